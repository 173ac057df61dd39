"""What a hospital reads before it approves: it must say who could see its contribution, in numbers."""

from pathlib import Path

import pytest

from wardround.study.declaration import Study
from wardround.study.protection import protection
from wardround.study.reading import parse_study
from wardround.study.starter import starter

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "heart_risk_factors.toml"


def declared(names: str = "", summation: str = "") -> Study:
    text = starter("table").replace("minimum = 2", f"{names}\nminimum = 2")
    return parse_study(f"{text}\n[summation]\n{summation}\n")


@pytest.mark.parametrize(
    ("names", "summation", "said"),
    [
        ("", "", "at least 3 hospitals"),
        ('names = ["a", "b", "c"]', "", "3 of 3 hospitals must contribute to each round and help to open its sum: none"),
        ('names = ["a", "b", "c", "d", "e"]', "", "4 of 5 hospitals must contribute"),
        ('names = ["a", "b", "c", "d", "e"]', "", "one hospital may be missing"),
        ('names = ["a", "b"]', "collusion = 0", "every hospital trusts every other"),
        ("", 'mode = "plain"', "reads each hospital's contribution"),
        ("", "", "may change as often as there are hospitals"),
        ("", "max_set_changes = 2", "may change 2 times"),
        ('names = ["a", "b", "c", "d"]', "", "one hospital may be missing from a round. The first sum takes 4."),
        ("", "", "No patient is protected by noise: a coordinator that crafts models could read records"),
        ("", "weight_step = 50", "shows how many training records it has in steps of 50"),
    ],
)
def test_it_says_who_could_see_a_contribution(names: str, summation: str, said: str) -> None:
    """The settings that weaken the sum are named as such."""
    assert said in " ".join(protection(declared(names, summation)))


@pytest.mark.parametrize("names", ["", "names = ['a', 'b', 'c', 'd', 'e']\nminimum = 3"])
def test_an_analysis_trains_nothing_and_waits_for_everybody(names: str) -> None:
    """Rounds that miss a hospital, training records and crafted models are of other studies."""
    text = EXAMPLE.read_text() + (f"\n[sites]\n{names}\n" if names else "")
    said = " ".join(protection(parse_study(text)))
    assert "Nothing is trained" in said and "counts below 5 are not shown" in said and "reads every total" in said
    assert "round" not in said and "training records" not in said and "be missing" not in said
    assert ("Every sum takes all 5 hospitals; 4 of them help to open it." in said) == bool(names)
