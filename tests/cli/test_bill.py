"""The bill of a private study: a person approves a number that stands here, so it must stand here whole."""

import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from wardround.cli.bill import bill_json, cost_table, show_bill
from wardround.plan.pricing import Price, price_of
from wardround.study.declaration import Study

from ..federation.private_studies import private_study

COSTS = {1e-4: 1.44, 1e-5: 1.7, 1e-6: 1.93, 1e-7: 2.13}
PRICE = Price(epsilon=1.14, delta=1e-3, noise_multiplier=4.0, events=3, epsilons=COSTS)


def printed(study: Study, price: Price, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(cost_table(study, price))
    return out.getvalue().splitlines()


def cells(lines: list[str]) -> list[list[str]]:
    """The words of each column, row by row of the screen."""
    return [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in lines if line[:1] in ("│", "┃")]


def test_eighty_columns_hold_the_whole_table() -> None:
    """Five deltas cut their own headings to `epsil…`: nobody could tell which figure was which."""
    lines = printed(private_study(noise=4.0), PRICE)
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    columns = [list(column) for column in zip(*cells(lines), strict=True)]
    assert [word for column in columns for word in column if word in ("hospital", "charged", "delta")] == [
        "hospital",
        "charged",
        *["delta"] * 5,
    ]
    for delta, epsilon in {PRICE.delta: PRICE.epsilon, **COSTS}.items():
        (column,) = [column for column in columns if f"{delta:g}" in column]
        assert column.count(f"{epsilon:g}") == 3  # one for each hospital, under its own delta


def test_each_hospital_has_its_own_number_of_patients() -> None:
    """The price is that of one patient; for how many it was worked out is the hospital's own public number."""
    text = " ".join(" ".join(row) for row in cells(printed(private_study(), PRICE, width=200)))
    for site, count in {"east": 20, "north": 32, "south": 24}.items():
        assert f"{site} {count} 3 1.14" in text
    assert "each 1 3 1.14" in " ".join(" ".join(row) for row in cells(printed(private_study("site", "fedavg"), PRICE, width=200)))


@pytest.mark.parametrize(
    ("epsilon", "words"),
    [
        (1234567.0, "over 999"),
        (999.4, "999"),
        (123.456, "123"),
        (0.0123456, "0.0123"),
        (0.0001, "under 0.01"),
        (math.inf, "no bound"),
    ],
)
def test_no_character_of_a_figure_is_cut_off(epsilon: float, words: str) -> None:
    """`1.23e…` may be a thousand or a million; infinity printed as a figure, or left out, looks like a price."""
    lines = printed(private_study(), replace(PRICE, epsilon=epsilon, epsilons=dict.fromkeys(COSTS, epsilon)))
    assert max(map(len, lines)) <= 80 and not any("…" in line for line in lines)
    text = " ".join(" ".join(column) for column in zip(*cells(lines), strict=True))
    assert text.count(words) == 3 * 5


def test_four_deltas_leave_room_for_no_bound_on_one_line() -> None:
    """The usual delta is one of the four: a search for the words finds them."""
    lines = printed(private_study(), Price(math.inf, 1e-5, 0.0, 3, dict.fromkeys((1e-4, 1e-6, 1e-7), math.inf)))
    assert max(map(len, lines)) <= 80 and sum(line.count("no bound") for line in lines) == 3 * 4


@pytest.mark.slow
def test_the_bill_and_its_json_say_the_same(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A dashboard and a privacy officer must approve one and the same number."""
    monkeypatch.setenv("COLUMNS", "80")
    study = private_study(noise=4.0)
    bill = bill_json(study)
    assert bill["epsilon"] == price_of(study).epsilon and bill["noise_multiplier"] == 4.0
    noise = list(bill["noise_by_epsilon"].values())
    assert noise == sorted(noise, reverse=True)  # less epsilon takes more noise
    show_bill(study, study)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    for target, multiplier in bill["noise_by_epsilon"].items():
        assert re.search(rf"│ +{target} │ +{multiplier:g} │", text)
    assert "noise_multiplier =" not in text  # it is stated already


@pytest.mark.slow
def test_no_noise_is_no_bound_for_a_program_either() -> None:
    """JSON knows no infinity; a missing key would be read as nothing to pay."""
    bill = bill_json(private_study(noise=0.0))
    assert bill["epsilon"] is None and set(bill["epsilons"].values()) == {None}
