"""What a data manager is told."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from wardround.simulation.division import divide_by_column
from wardround.sources.opening import open_source
from wardround.sources.places import Place
from wardround.sources.readiness.listing import write_listing
from wardround.sources.readiness.rendering import render, render_rich
from wardround.sources.readiness.report import HIDDEN, Finding, Readiness, count_text, counted, suppressed
from wardround.sources.splitting import split_of
from wardround.study.contract import ColumnContract, DataContract, ImageContract, SplitsContract

from .source_conformance import Item
from .test_npz import write_flat

CONTRACT = DataContract(kind="image", image=ImageContract(size=(16, 16)))


def chests(count: int) -> np.ndarray:
    """Bright in the middle, dark at the edge, each with its own noise."""
    y, x = np.mgrid[-1:1:16j, -1:1:16j]
    noise = np.random.default_rng(5).normal(0, 8, (count, 16, 16))
    return (210 * np.exp(-(x**2 + y**2)) + 15 + noise).clip(0, 254).astype(np.uint8)


def report(path: Path, images: np.ndarray, label: np.ndarray | None = None, **arrays: np.ndarray) -> Readiness:
    labels = np.arange(len(images)) % 2 if label is None else label
    patient = np.array([f"Mustermann-{k}" for k in range(len(images))])
    np.savez(path / "r.npz", images=images, label=labels, **{"patient": patient, **arrays})
    return open_source(path / "r.npz", CONTRACT).check()


def codes(readiness: Readiness) -> set[str]:
    return {finding.code for finding in readiness.findings}


@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 40), min_size=2))
def test_no_small_count_can_be_worked_out(cells: dict[str, int]) -> None:
    """The total is told; so a single hidden part would be the total less the rest."""
    told = suppressed(cells)
    small = {name for name, count in cells.items() if 0 < count < 5}
    hidden = {name for name, text in told.items() if not text.isdigit()}
    assert small <= hidden
    assert not small or len(hidden) >= 2 or sum(cells.values()) < 5 or all(c == 0 for n, c in cells.items() if n not in small)


def test_a_rare_label_is_told_as_fewer_than_five(tmp_path: Path) -> None:
    """Three cases of a rare disease in one hospital may be three known people."""
    label = np.zeros(60, np.uint8)
    label[:3] = 1
    readiness = report(tmp_path, chests(60), label)
    values = {count.name: count.value for count in readiness.counts}
    assert values["positive (label)"] == "fewer than 5"
    assert values["negative"] == HIDDEN
    assert "3" not in {count.value for count in readiness.counts}
    assert "57" not in render(readiness, where=False)
    assert count_text(5) == "5"


def test_her_own_screen_tells_every_count_and_what_may_be_sent_does_not(tmp_path: Path) -> None:
    """She mends three cells by their number; whoever gets the report must not learn that there are three."""
    label = np.zeros(61, np.uint8)
    label[:3], label[60] = 1, 9
    images = chests(61)
    images[10], images[11] = images[12], images[12]
    readiness = report(tmp_path, images, label)
    here = render(readiness)
    assert all(words in here for words in ("copy another one exactly: 2", "outside the contract: 1"))
    told = {tuple(line.split()[-2:]) for line in here.splitlines()}
    assert {("(label)", "3"), ("negative", "57")} <= told
    screen = io.StringIO()
    Console(file=screen, width=100).print(render_rich(readiness))
    assert "copy another one exactly: 2" in screen.getvalue()
    sent = json.dumps(readiness.to_json()) + render(readiness, where=False)
    assert not [words for words in ("57", "exactly: 2", "contract: 1", '"3"') if words in sent]
    assert sent.count("fewer than 5") >= 6


def test_a_hospital_that_could_not_train_is_told_before_a_division_by_hospital(tmp_path: Path) -> None:
    """READY, and then a run without that hospital: its only patient is for testing."""
    site = np.array(["north", "south"] * 30, dtype="<U6")
    tested = next(k for k in range(60) if split_of(f"Mustermann-{k}", CONTRACT.splits) == "test")
    site[tested] = "west"
    readiness = report(tmp_path, chests(60), site=site)
    places = {finding.code: [spot.value for spot in finding.places] for finding in readiness.findings}
    assert readiness.ready()
    assert places == {"site-without-training": ["west"]}
    assert "west" in render(readiness) and "west" not in str(readiness.to_json())
    records, sites = open_source(tmp_path / "r.npz", CONTRACT).load_with_sites()
    assert not np.any(divide_by_column(records, sites)["west"].splits == "train")


@given(st.integers(0, 12), st.integers(0, 12))
def test_what_may_be_sent_depends_on_a_small_count_in_no_way(one: int, other: int) -> None:
    """Two reports that differ in small counts alone must read the same, or the difference tells."""
    left, right = (counted("warning", "c", "Images are odd", "mend", count) for count in (one, other))
    sent = [Readiness("images", (), (finding,)).to_json() for finding in (left, right)]
    hidden = one == other or (0 < one < 5 and 0 < other < 5)
    assert (sent[0] == sent[1]) is hidden
    assert (left.exact == right.exact) is (one == other)


def test_clean_images_raise_nothing(tmp_path: Path) -> None:
    """The report may not cry wolf."""
    assert codes(report(tmp_path, chests(60))) == set()


def test_copies_are_found_and_told_apart_by_what_they_cross(tmp_path: Path) -> None:
    """A copy across splits makes held-out figures false; across labels one of them is wrong."""
    images = chests(60)
    images[1], images[3] = images[0], images[2]
    split = np.array(["train", "test"] * 30)
    readiness = report(tmp_path, images, split=split)
    assert {"duplicates", "duplicates-across-splits", "duplicates-other-label", "duplicates-other-patient"} <= codes(readiness)


def test_odd_photometry_is_found(tmp_path: Path) -> None:
    """Inverted, blank and burnt-out images are the usual export mistakes."""
    images = chests(60)
    images[:6] = 255 - images[:6]
    assert "inverted-images" in codes(report(tmp_path, images))
    images = chests(60)
    images[0] = 7
    assert "constant-image" in codes(report(tmp_path, images))
    images = chests(60)
    images[0] = np.where(np.mgrid[:16, :16][0] < 12, 255, images[0])
    assert "saturated-image" in codes(report(tmp_path, images))
    assert "dark-images" in codes(report(tmp_path, (chests(60).astype(np.uint16) * 16)))


def test_the_black_that_makes_an_image_square_has_no_say_in_what_is_found_of_it(tmp_path: Path) -> None:
    """A burnt-out or blank strip beside black bars is white to a third, and has a contrast: it passed for a picture."""
    padded = CONTRACT.changed(image=CONTRACT.image.changed(size=(32, 32), fit="pad"))
    images = np.repeat(chests(60), 2, axis=1)
    assert images.shape[1:] == (32, 16)
    report(tmp_path, images)
    assert codes(open_source(tmp_path / "r.npz", padded).check()) == {"small-images", "sizes"}
    images[0], images[2, :24] = 120, 255
    images[4:10] = 255 - images[4:10]
    report(tmp_path, images)
    told = {
        finding.code: finding.exact.rpartition(": ")[2] for finding in open_source(tmp_path / "r.npz", padded).check().findings
    }
    assert {code: told.get(code) for code in ("constant-image", "saturated-image", "inverted-images")} == {
        "constant-image": "1", "saturated-image": "1", "inverted-images": "6",
    }  # fmt: skip


def test_sizes_are_told(tmp_path: Path) -> None:
    """An enlarged thumbnail looks like a blurred film."""
    assert "small-images" in codes(report(tmp_path, chests(60)[:, :8, :8]))
    large = np.repeat(np.repeat(chests(60), 2, axis=1), 2, axis=2)
    assert codes(report(tmp_path, large)) == {"sizes"}


def test_a_source_without_patients_is_warned_of(tmp_path: Path) -> None:
    """Two films of one person may then stand in train and in test."""
    np.savez(tmp_path / "n.npz", images=chests(60), label=np.arange(60) % 2)
    readiness = open_source(tmp_path / "n.npz", CONTRACT).check()
    assert codes(readiness) == {"no-patients"}
    assert readiness.ready()
    strict = CONTRACT.changed(patient=CONTRACT.patient.changed(required=True))
    assert not open_source(tmp_path / "n.npz", strict).check().ready()


def test_no_usable_record_is_not_ready(tmp_path: Path) -> None:
    """An empty site."""
    readiness = report(tmp_path, chests(0))
    assert not readiness.ready()
    assert readiness.exit_code == 3
    assert "empty" in codes(readiness)


def test_uneven_labels_are_noted(tmp_path: Path) -> None:
    """Accuracy alone would look good on them."""
    label = np.zeros(200, np.uint8)
    label[:8] = 1
    assert "uneven-labels" in codes(report(tmp_path, chests(200), label))


@pytest.mark.parametrize("damage", [False, True])
def test_the_text_says_ready_or_not_with_a_mend_for_each_error(tmp_path: Path, damage: bool) -> None:
    """What a person reads, and mails."""
    path = write_flat(
        tmp_path / "w.npz", [Item(k, f"Mustermann-{k}", "9" if damage and k == 0 else str(k % 2)) for k in range(40)]
    )
    readiness = open_source(path, CONTRACT).check()
    text = render(readiness)
    assert text.startswith("NOT READY: 1 thing to mend" if damage else "READY")
    assert "Mustermann" not in text
    assert all(finding.hint for finding in readiness.findings if finding.level == "error")
    assert max(map(len, text.splitlines())) <= 100
    assert readiness.to_json()["ready"] is not damage
    assert render_rich(readiness).renderables


def test_where_is_told_here_and_never_sent_on(tmp_path: Path) -> None:
    """The data manager must find the record; the study's other readers need not."""
    path = write_flat(tmp_path / "w.npz", [Item(k, f"p{k}", "9" if k == 6 else str(k % 2)) for k in range(40)])
    readiness = open_source(path, CONTRACT).check()
    assert "record 7; values: '9' (1)" in render(readiness)
    assert "record 7" not in render(readiness, where=False)
    assert "record 7" not in str(readiness.to_json())


def test_the_list_names_every_place_and_is_private(tmp_path: Path) -> None:
    """Forty wrong cells are mended from a list, which holds values, and is for this user alone."""
    path = write_flat(tmp_path / "w.npz", [Item(k, f"p{k}", "9" if k % 2 else "0") for k in range(40)])
    rows = write_listing(open_source(path, CONTRACT).check(), tmp_path / "list.csv")
    lines = list(csv.DictReader(io.StringIO((tmp_path / "list.csv").read_text("utf-8-sig"))))
    labels = [line for line in lines if line["code"] == "label-outside"]
    assert rows == len(lines)
    assert [int(line["record"]) for line in labels] == list(range(2, 41, 2))
    assert {line["value"] for line in labels} == {"9"}
    assert (tmp_path / "list.csv").stat().st_mode & 0o777 == 0o600


def test_a_cell_of_the_list_is_no_formula(tmp_path: Path) -> None:
    """The list is opened with a spreadsheet, and a value in it was chosen by whoever wrote the data."""
    finding = Finding("error", "label-outside", "Labels are outside the contract: 1", places=(Place(1, value="=1+1"),))
    write_listing(Readiness("table", (), (finding,)), tmp_path / "list.csv")
    (line,) = csv.DictReader(io.StringIO((tmp_path / "list.csv").read_text("utf-8-sig")))
    assert line["value"] == "'=1+1"


def test_records_without_a_hospital_among_others_are_told(tmp_path: Path) -> None:
    """READY, and then refused by `--split column`: the check is made before."""
    site = np.array(["north"] * 50 + [""] * 10)
    readiness = report(tmp_path, chests(60), site=site)
    (told,) = (finding for finding in readiness.findings if finding.code == "site-absent")
    assert told.level == "warning"
    assert sorted(spot.position for spot in told.places) == list(range(51, 61))
    assert codes(report(tmp_path, chests(60), site=np.full(60, "north"))) == set()


def test_too_few_patients_are_counted_on_the_screen_and_hidden_in_what_may_be_sent(tmp_path: Path) -> None:
    """She reads "3 patients" two lines above; a sentence that hides it there only looks broken."""
    (tmp_path / "t.csv").write_text("patient,age,label\n" + "".join(f"p{k},{40 + k},{k % 2}\n" for k in range(3)))
    rules = DataContract(
        kind="table", columns=(ColumnContract(name="age", range=(18, 110)),), splits=SplitsContract(minimum_patients=7)
    )
    report = open_source(tmp_path / "t.csv", rules).check()
    assert "There are 3 patients; the study needs at least 7" in render(report)
    sent = f"{report.to_json()} {render(report, where=False)}"
    assert "There are fewer than 5 patients" in sent and "There are 3 patients" not in sent
