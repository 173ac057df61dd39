"""A hospital's own rules: each refuses what it is for, and a file that is not sound refuses everything."""

from datetime import datetime, time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wardround.site.daemon.policy import Policy, broken_rules, load_policy, write_starter
from wardround.study.declaration import Study
from wardround.values.errors import RunError, StudyError

from ...federation.tiny_federation import NAMES, study

CLOCK = st.times().map(lambda at: f"{at.hour:02d}:{at.minute:02d}")


def broken(policy: Policy, of: Study, patients: int = 100, epsilon: float | None = None, in_all: float | None = None) -> str:
    return " | ".join(broken_rules(policy, of, patients=patients, epsilon=epsilon, epsilon_in_all=in_all))


def named(of: Study) -> Study:
    return of.revised(sites={"names": NAMES})


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        ({"leads": ("Dr. Weber",)}, "leads"),
        ({"questions": ("survival",)}, "questions"),
        ({"privacy_modes": ("site",)}, "privacy_modes"),
        ({"smallest_patients": 101}, "smallest_patients"),
        ({"smallest_hospitals": 4}, "smallest_hospitals"),
    ],
)
def test_each_rule_refuses_what_it_is_for(rules: dict[str, object], word: str) -> None:
    """A rule that nothing reads would be a promise that nobody keeps."""
    of = named(study(mode="masked"))
    assert broken(Policy(), of) == ""
    assert word in broken(Policy(**rules), of)


def test_a_plain_sum_needs_a_word_of_its_own() -> None:
    """The hub would read this hospital's own share."""
    assert "plain_sums" in broken(Policy(), named(study(mode="plain")))
    assert broken(Policy(plain_sums=True), named(study(mode="plain"))) == ""


def test_a_private_study_keeps_to_the_limits_of_epsilon() -> None:
    """Of one study and of all of a ledger together; one that has no bound breaks every limit."""
    of, limits = named(study(mode="masked")), Policy(largest_epsilon=2.0, largest_epsilon_in_all=5.0)
    assert broken(limits, of, epsilon=2.0, in_all=5.0) == ""
    assert "largest_epsilon is 2" in broken(limits, of, epsilon=2.1, in_all=5.0)
    assert "largest_epsilon_in_all is 5" in broken(limits, of, epsilon=1.0, in_all=5.1)
    assert "without bound" in broken(limits, of, epsilon=float("inf"), in_all=float("inf"))


@given(CLOCK, CLOCK, st.times())
def test_hours_are_those_of_the_clock_also_over_midnight(start: str, end: str, now: time) -> None:
    """Inside is from the first to before the last; the same twice is all day, and the two halves of a day never overlap."""
    at = datetime.combine(datetime(2026, 11, 28), now)
    inside = Policy(from_hour=start, until_hour=end).allows_now(at)
    if start == end:
        assert inside
    else:
        assert inside != Policy(from_hour=end, until_hour=start).allows_now(at)


def test_the_starter_is_the_defaults_with_every_rule_named(tmp_path: Path) -> None:
    """What a data manager edits says what each rule is for, and changes nothing before she does."""
    path = tmp_path / "policy.toml"
    write_starter(path)
    assert load_policy(path) == Policy() == load_policy(tmp_path / "none")
    assert all(name in path.read_text() for name in Policy.model_fields)


@pytest.mark.parametrize(
    "text",
    ["cores = -1", "hours = 3", 'from_hour = "25:00"', "smallest_patients = 0", "privacy_modes = []", "cores = ", "x" * 10],
)
def test_a_policy_that_is_not_sound_is_refused(tmp_path: Path, text: str) -> None:
    """A rule that was mistyped is not left out."""
    (path := tmp_path / "policy.toml").write_text(text)
    path.chmod(0o600)
    with pytest.raises(StudyError):
        load_policy(path)


def test_a_policy_that_others_can_change_is_refused(tmp_path: Path) -> None:
    """It decides what leaves."""
    (path := tmp_path / "policy.toml").write_text("cores = 1")
    path.chmod(0o666)
    with pytest.raises(RunError, match="Other users"):
        load_policy(path)


def test_every_rule_changes_the_hash() -> None:
    """An approval names the policy that it was given under."""
    changes: dict[str, object] = {
        "leads": ("a",), "questions": ("binary",), "privacy_modes": ("none",), "plain_sums": True, "smallest_patients": 31,
        "smallest_hospitals": 4, "smallest_cell": 5, "largest_epsilon": 1.0, "largest_epsilon_in_all": 1.0, "from_hour": "01:00",
        "until_hour": "02:00", "longest_days": 1, "cores": 1, "memory_gb": 1.0, "tell_release": False,
    }  # fmt: skip
    more: dict[str, object] = {
        "pre_approve_hospitals": (f"south {'a' * 20}",), "pre_approve_data": ("b",), "pre_approve_studies": 2,
        "pre_approve_models": ("a" * 64,),
    }  # fmt: skip
    assert {*changes, *more, "pre_approve"} == set(Policy.model_fields)
    hashes = {Policy().hash, *(Policy(**{name: value}).hash for name, value in changes.items())}
    beforehand = BEFOREHAND.model_dump()
    hashes |= {BEFOREHAND.hash, *(Policy(**{**beforehand, name: value}).hash for name, value in more.items())}
    assert len(hashes) == len(changes) + len(more) + 2


BEFOREHAND = Policy(
    leads=("Dr. Weber",),
    pre_approve="evaluation-only",
    pre_approve_hospitals=(f"south {'b' * 64}",),
    pre_approve_data=("a",),
    pre_approve_studies=1,
)


def test_a_policy_that_approves_nothing_beforehand_keeps_its_hash() -> None:
    """Approvals name it: with another hash all of them would fall with a new release."""
    assert Policy().hash == "c24a9cf2a1af16da0108a12ed6c0068b507bbdf10d32fb53c6ea54c78e35c5c9"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"leads": ()}, "needs leads"),
        ({"pre_approve_hospitals": ()}, "needs pre_approve_hospitals"),
        ({"pre_approve_data": ()}, "needs pre_approve_data"),
        ({"pre_approve_studies": 0}, "needs pre_approve_studies"),
        ({"pre_approve_studies": 1001}, "less than or equal to 1000"),
        ({"pre_approve_hospitals": ("south",)}, "pattern"),
        ({"pre_approve_hospitals": ("south abcd",)}, "pattern"),
        ({"pre_approve_models": ("abc",)}, "pattern"),
        ({"pre_approve": "nothing"}, "does nothing with pre_approve"),
        ({"pre_approve": "everything"}, "evaluation-only"),
    ],
)
def test_what_is_approved_beforehand_is_said_whole(change: dict[str, object], words: str) -> None:
    """A setting that was forgotten would approve the studies of anybody, with hospitals that the hub made up."""
    with pytest.raises(ValidationError, match=words):
        Policy(**{**BEFOREHAND.model_dump(), **change})


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("south aaaa bbbb cccc dddd eeee", True),
        ("south: aaaa bbbb cccc dddd eeee", True),
        (f"south aaaabbbbccccddddeeee{'f' * 44}", True),
        ("south aaaa bbbb cccc dddd eeef", False),
        ("north aaaa bbbb cccc dddd eeee", False),
        ("sout haaa abbb bccc cddd deee e", None),
    ],
)
def test_hospitals_are_known_by_name_and_key(text: str, known: bool | None) -> None:
    """As the page shows them and two people read them to each other."""
    key = f"aaaabbbbccccddddeeee{'f' * 44}"
    if known is None:
        with pytest.raises(ValidationError):
            Policy(**{**BEFOREHAND.model_dump(), "pre_approve_hospitals": (text,)})
    else:
        assert Policy(**{**BEFOREHAND.model_dump(), "pre_approve_hospitals": (text,)}).knows("south", key) is known
