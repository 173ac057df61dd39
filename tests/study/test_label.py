"""The label section: which kinds of question there are, and what each of them reads."""

from collections.abc import Iterator

import pytest

from wardround.study.label import BINARY, KIND_SETTINGS, LABEL_KINDS, LabelContract, LabelKind, Target, register_label_kind
from wardround.study.reading import parse_study
from wardround.values.errors import StudyError

from ..federation.tiny_federation import study
from ..simulation.small_study import TOML


def length(_label: LabelContract, value: str | int | float) -> Target | None:
    return float(value) if str(value).replace(".", "", 1).isdigit() else None


@pytest.fixture
def another_kind(monkeypatch: pytest.MonkeyPatch) -> Iterator[LabelKind]:
    kind = LabelKind("length-of-stay", length, "float32", frozenset())
    monkeypatch.setitem(LABEL_KINDS, kind.name, kind)
    yield kind


def asked(label: str = "", more: str = "") -> str:
    text = TOML.format(algorithm="fedavg", rounds=1).replace('column = "ill"', f'column = "ill"\n{label}')
    return text + more


def test_a_kind_that_nobody_registered_is_refused_with_those_that_there_are() -> None:
    """A study that no program can answer must not be found out in round one."""
    with pytest.raises(StudyError, match=r"kind is one of binary, .*classes.*; found 'grade'"):
        parse_study(asked('kind = "grade"'))


def test_a_registered_kind_reads_its_own_targets(another_kind: LabelKind) -> None:
    """Readers ask the label section alone; it must know what the kind makes of a cell."""
    label = parse_study(asked(f'kind = "{another_kind.name}"')).data.label
    assert (label.judge("3.5"), label.judge("none"), label.judge(None)) == (3.5, None, None)
    assert label.dtype == "float32"


@pytest.mark.parametrize(
    ("label", "more", "setting"),
    [
        ("positive = [7]", "", "data.label.positive"),
        ("", '[evaluation]\nthreshold = "half"\n', "evaluation.threshold"),
        ("", "[summation]\nmax_auc_drop = 0.1\n", "summation.max_auc_drop"),
    ],
)
def test_a_setting_that_the_kind_does_not_read_is_refused(another_kind: LabelKind, label: str, more: str, setting: str) -> None:
    """A setting that does nothing without a word is a mistake that nobody sees."""
    with pytest.raises(StudyError, match=rf"{setting} does nothing in this study"):
        parse_study(asked(f'kind = "{another_kind.name}"\n{label}', more))


def test_yes_or_no_reads_every_setting_of_a_kind() -> None:
    """Studies written before there were kinds stay what they were."""
    assert BINARY.uses == frozenset(KIND_SETTINGS)
    assert study().data.label.kind == "binary"


def test_two_kinds_of_one_name_and_settings_that_do_not_exist_are_refused() -> None:
    """The second would silently take the studies of the first."""
    register_label_kind(BINARY)
    with pytest.raises(ValueError, match="two kinds"):
        register_label_kind(LabelKind("binary", length, "float32", frozenset()))
    with pytest.raises(ValueError, match="not in KIND_SETTINGS"):
        register_label_kind(LabelKind("rank", length, "float32", frozenset({"training.speed"})))
