"""Numbers that the pages on security and privacy state are those that the code works with."""

import math
import re
from pathlib import Path

import pytest
from scipy.stats import hypergeom

from tests.federation.private_studies import private_study
from tests.federation.tiny_federation import NAMES
from wardround.crypto import keystream, quorum
from wardround.hub import checkpoint, masked_summing
from wardround.plan import permission, usable_arrays
from wardround.plan.private_plan import PrivatePlan
from wardround.privacy import discrete_gaussian
from wardround.site import masked_participant, refusals, site
from wardround.sources.files import file_tree
from wardround.summation.masked import keys
from wardround.summation.masked import site as masked_site
from wardround.summation.masked.layout import HASH, SEAL_EXTRA, SHARE, contribution_layout, largest_ask
from wardround.tasks.binary import score_sums
from wardround.training.per_patient import clipping
from wardround.values.ids import SiteId
from wardround.wire import envelope, payload

from .pages import read
from .test_command_blocks import Reader

SECURITY, PRIVACY, WIRE, MASKED = "docs/security.md", "docs/privacy.md", "docs/spec/wire.md", "docs/spec/masked-sum.md"
STATED = [
    (SECURITY, r"histograms have (\d+) bins", score_sums.BINS),
    (SECURITY, r"files above (\d+) MiB are not opened", file_tree.LARGEST_FILE / 2**20),
    (WIRE, r"after (\d+) refusals in a row", refusals.REFUSALS_IN_A_ROW),
    (WIRE, r"answered last, at most (\d+)\)", permission.MOST_UNNAMED),
    (WIRE, r"has offered\n([\d,]+) keys since", masked_participant.KEYS_IN_A_ROW),
    (MASKED, r"at most ([\d,]+) times between two contributions", masked_participant.KEYS_IN_A_ROW),
    (WIRE, r"heard in (two) rounds", site.TOLD_NOT_COUNTED),
    (WIRE, r"and at most 2\^(\d+)\.", math.log2(usable_arrays.LARGEST)),
    (WIRE, r"header, 2 <= h <= ([\d,]+)", envelope.HEADER_LIMIT),
    (WIRE, r"at most ([\d,]+) \+ 656 n bytes", envelope.largest_header(1000) - 1000 * 656),
    (WIRE, r"2,048 \+ (\d+) n bytes", (envelope.largest_header(1000) - 2048) / 1000),
    (WIRE, r"takes at most (\d+) GiB", payload.PAYLOAD_LIMIT / 2**30),
    (WIRE, r"at most (\d+) MiB of safetensors header", payload.TENSOR_HEADER_LIMIT / 2**20),
    (WIRE, r"and the last (\d+), the ones whose total", checkpoint.LATEST),
    (MASKED, r"`n <= (\d+)`", quorum.LARGEST),
    (MASKED, r"whose epoch is less, by at most ([\d,]+)", masked_site.LONGEST_EPOCH_JUMP),
    (MASKED, r"a jump of more than\n([\d,]+) too", keys.LONGEST_JUMP),
    (MASKED, r"at most (\d+) in a row", masked_summing.ATTEMPTS),
    (MASKED, r"chunks of 2\^(\d+)\nbytes", math.log2(keystream.CHUNK)),
    (MASKED, r"the \|U\| shares for j, AD\)`, 36 \|U\| \+ (\d+)\nbytes", SEAL_EXTRA),
    (PRIVACY, r"deviation of about\n? *([\d,]+) grid steps", round(math.sqrt(discrete_gaussian.VARIANCE), -3)),
    (PRIVACY, r"a\n? *(thousandth) of C is kept free", round(1 / clipping.ROOM, -3)),
]
WORDS = {"two": 2, "thousandth": 1000}


@pytest.mark.parametrize(("page", "phrase", "value"), STATED, ids=[phrase for _, phrase, _ in STATED])
def test_a_stated_limit_is_the_one_at_work(page: str, phrase: str, value: float) -> None:
    """Other software is written by these numbers, and a privacy officer counts on them."""
    (number,) = set(re.findall(phrase, read(page)))
    assert (WORDS.get(number) or float(number.replace(",", ""))) == value


def test_how_many_hospitals_a_round_survives_without() -> None:
    """A study is planned by this table; a wrong cell is a run that stops, or a hospital that shows."""

    def cell(hospitals: int, collusion: int) -> str:
        threshold = quorum.smallest_threshold(hospitals, collusion)
        return "refused" if threshold > hospitals else str(hospitals - threshold)

    rows = re.findall(r"^\| (\d+) \| (.*) \|$", read(SECURITY), re.MULTILINE)
    assert {int(n): cells.split(" | ") for n, cells in rows} == {n: [cell(n, c) for c in range(4)] for n in range(2, 11)}


def test_what_an_epsilon_allows_to_guess_is_never_more_than_the_table_says() -> None:
    """Rounded down, it would promise more than is proved; the program rounds up as well."""

    def most(before: float, epsilon: float) -> float:
        return 100 * before * math.exp(epsilon) / (1 - before + before * math.exp(epsilon))

    rows = re.findall(r"^\| ([\d.]+) \| ([\d.]+) % \| ([\d.]+) % \|$", read(PRIVACY), re.MULTILINE)
    assert len(rows) == 5
    for epsilon, *stated in rows:
        for before, text in zip((0.5, 0.1), stated, strict=True):
            last_digit = 10.0 ** -len(text.partition(".")[2])
            assert 0 <= float(text) - most(before, float(epsilon)) < last_digit, (epsilon, before)


@pytest.mark.slow
def test_the_tables_to_choose_a_noise_by_are_those_that_the_program_prints(tmp_path: Path) -> None:
    """A study lead finds the page beside her own terminal."""
    shown = [line.strip() for line in read(PRIVACY).splitlines() if line.startswith("    │")]
    root = Path(__file__).parents[2]
    printed = Reader(tmp_path).run(f"wardround study privacy {root}/examples/heart_disease_private.toml").stdout
    assert len(shown) == 8 and [line for line in shown if line not in printed.splitlines()] == []


def test_the_bytes_of_shares_are_as_stated() -> None:
    """With a hundred hospitals they are more than a small model."""
    words, sites = {"model/words": ("uint16", 5)}, 100
    extra = sum(size for name, (_, size) in contribution_layout(dict(words), sites).items() if name not in words)
    page = read(MASKED)
    assert "68 n^2 bytes with their commitments: 680 KB at n = 100" in page and SHARE + HASH == 68
    assert round(extra, -4) == 680_000 and round(largest_ask(sites), -4) == 360_000 and "36 n^2 bytes come back" in page


def test_the_bounds_for_a_thousand_sites_are_as_stated() -> None:
    """A section on paper is believed like the others."""
    text = re.sub(r"\s+", " ", read(MASKED).split("## 13.")[1].split("## 14.")[0])
    bounds = [int(bits) for bits in re.findall(r"2\^-(\d+)", text)]
    assert bounds == [69, 62, 44, 91, 61]
    assert "g = d = 0.1, with k = 150 and t_k = 103" in text and "g = d = 0.05, k = 100 and t_k = 69" in text
    too_many, lost = _failing(0.1, 150, 103)
    assert too_many < 2.0**-69 and 101 * too_many < 2.0**-62 and lost < 2.0**-44
    too_many, lost = _failing(0.05, 100, 69)
    assert too_many < 2.0**-91 and lost < 2.0**-61


def _failing(share: float, neighbours: int, threshold: int) -> tuple[float, float]:
    """Of 1,000 sites: that somewhere 2 t_k > k + X fails; that somewhere more than k - t_k neighbours are lost. Union bounds."""
    bad = round(1000 * share)
    too_many = hypergeom.sf(2 * threshold - neighbours - 1, 1000, bad, neighbours)
    return 1000 * float(too_many), 1000 * float(hypergeom.sf(neighbours - threshold, 1000, bad, neighbours))


def test_a_public_number_may_be_four_times_too_small() -> None:
    """Beyond that a sum wraps: its values would be those of another sum, and nobody would see it."""
    declared = private_study().revised(sites={"names": NAMES})
    plan = PrivatePlan(declared, 13)
    stated = sum(plan.patients(SiteId(name)) for name in NAMES)
    assert plan.noise_grid(13).capacity == 4 * stated
    assert "more than four times too small may spoil sums" in read(PRIVACY)
