"""The checkpoint: what a killed run goes on from. What is not in it is lost, and what is wrong in it must not be believed."""

import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from wardround.hub.checkpoint import FILE, KeyProgress, Progress, RoundHistory, load, resumed, save
from wardround.hub.exchange import Traffic
from wardround.plan.plan import LOSS_UNIT, Plan
from wardround.summation.plain import SumOpened
from wardround.values.contribution import Contribution
from wardround.values.errors import RunError
from wardround.values.ids import SiteId
from wardround.values.tensor_file import write_tensors
from wardround.values.tree import Tree
from wardround.wire.messages import Statement

from ..federation.tiny_federation import study

STUDY, OTHER_STUDY = "a" * 64, "b" * 64
WEIGHTS = np.array([[0.1, -2.5e-30, np.inf]], np.float32)
PLAIN: dict[Any, Any] = {str: "west", SiteId: SiteId("west"), int: 3, float: 0.1, bool: True, Any: {"test": [[1, 2], [3, 4]]}}


def sample(hint: Any, default: Any = None) -> Any:
    """A value of the type of a field that no field has by default."""
    if hint is bool:
        return default is not True
    if hint in PLAIN:
        return PLAIN[hint]
    if hint is Statement:
        return Statement(site="west", key="c" * 64, turn=4, stage=2, counter=5, signature="d" * 128)
    if is_dataclass(hint):
        kind: Any = hint
        return kind(**{each.name: sample(_hints(kind)[each.name], each.default) for each in fields(kind)})
    origin, inside = get_origin(hint), get_args(hint)
    if origin is tuple:
        return (sample(inside[0]),)
    if origin is list:
        return [sample(inside[0])]
    if origin in (Union, UnionType):
        return sample(inside[0])
    if origin in (dict, Mapping):
        return {sample(inside[0]): WEIGHTS if get_origin(inside[1]) is np.ndarray else sample(inside[1])}
    raise TypeError(f"a field of a new type, {hint}: teach `sample` a value of it")


def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def alike(one: Any, other: Any) -> bool:
    """Equal in value and type; arrays in bits, names and shapes."""
    if isinstance(one, np.ndarray):
        same = isinstance(other, np.ndarray) and (one.dtype, one.shape) == (other.dtype, other.shape)
        return same and one.tobytes() == other.tobytes()
    if type(one) is not type(other):
        return False
    if is_dataclass(one):
        return all(alike(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(value, other[name]) for name, value in one.items())
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


def with_field(kind: type, name: str) -> Progress:
    """A progress that differs from a new one in this field alone."""
    value = sample(_hints(kind)[name], {each.name: each.default for each in fields(kind)}[name])
    if kind is Progress:
        return replace(Progress(STUDY), **{name: value})
    if kind is KeyProgress:
        return Progress(STUDY, keys=replace(KeyProgress(), **{name: value}))
    return Progress(STUDY, history=(replace(a_round(), **{name: value}),))


def a_round(**changes: Any) -> RoundHistory:
    """A round in which nothing happened."""
    empty: dict[str, Any] = {"round": 0, "seconds": 0.0, "counted": (), "lost": {}, "loss": None, "clipped": 0}
    return RoundHistory(**(empty | {"validation": {}, "bytes_out": 0, "bytes_in": 0} | changes))


FIELDS = [(kind, each.name) for kind in (Progress, KeyProgress, RoundHistory) for each in fields(kind)]


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=[f"{kind.__name__}.{name}" for kind, name in FIELDS])
def test_every_field_survives(tmp_path: Path, kind: type, name: str) -> None:
    """A field that is not written comes back as its default: a resumed run would go on from another state than it had."""
    before = Progress(STUDY, history=(a_round(),)) if kind is RoundHistory else Progress(STUDY)
    changed = with_field(kind, name)
    assert not alike(changed, before), "the sample is the default: the test would see nothing"
    save(changed, tmp_path)
    assert alike(load(tmp_path), changed)


def test_all_fields_survive_together(tmp_path: Path) -> None:
    """Arrays of several fields lie in one file: none may take another's name."""
    full = sample(Progress)
    save(full, tmp_path)
    assert alike(load(tmp_path), full)


def test_equal_progress_gives_equal_files(tmp_path: Path) -> None:
    """That a resumed run changes no bit is tested by comparing files."""
    save(sample(Progress), tmp_path / "one")
    save(sample(Progress), tmp_path / "two")
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "two" / FILE).read_bytes()


def test_a_folder_without_a_checkpoint_begins_a_run(tmp_path: Path) -> None:
    """The first start is not an error."""
    assert load(tmp_path) is None
    assert alike(resumed(tmp_path, STUDY), Progress(STUDY))


def test_a_checkpoint_of_another_study_is_refused(tmp_path: Path) -> None:
    """Hospitals approved one study: its model must not become the start of another."""
    save(Progress(STUDY, round=2), tmp_path)
    assert resumed(tmp_path, STUDY).round == 2
    with pytest.raises(RunError, match="another study") as error:
        resumed(tmp_path, OTHER_STUDY)
    assert STUDY[:12] in error.value.found and OTHER_STUDY[:12] in error.value.expected and error.value.hint


def test_no_flipped_bit_is_believed(tmp_path: Path) -> None:
    """A disk that changed one bit of a weight would give a slightly other model, and nobody would know."""
    save(sample(Progress), tmp_path)
    path = tmp_path / FILE
    whole = path.read_bytes()
    spaces = {position for position in range(len(whole)) if whole[position : position + 1] == b" "}  # padding holds nothing
    for position in sorted(set(range(0, len(whole), 7)) - spaces):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(RunError) as error:
            load(tmp_path)
        assert error.value.hint


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_checkpoint_that_was_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    """A copy that was stopped must not be taken for a run at its beginning."""
    save(sample(Progress), tmp_path)
    path = tmp_path / FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path)


@pytest.mark.parametrize(
    "head",
    [{}, {"study": STUDY, "colour": "blue"}, {"study": STUDY, "round": "two"}, {"study": STUDY, "history": [{"round": 1}]}],
    ids=["nothing", "an unknown field", "a word for a number", "half a round"],
)
def test_a_whole_file_of_another_release_is_refused_as_such(tmp_path: Path, head: dict[str, Any]) -> None:
    """Its hash is right and its fields are not: a person must hear that the release is the cause, not the disk."""
    write_tensors(tmp_path / FILE, {"state/model/w": WEIGHTS}, head)
    with pytest.raises(RunError, match="another release") as error:
        load(tmp_path)
    assert error.value.hint


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are POSIX")
def test_a_disk_that_refuses_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    """A full disk in round 40 must cost one round and not forty."""
    import resource

    earlier = Progress(STUDY, round=1)
    save(earlier, tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(RunError, match="could not be written"):
            save(Progress(STUDY, round=2, state={"model": {"w": np.zeros(10_000)}}), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert alike(load(tmp_path), earlier)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def model(value: float) -> dict[str, Tree]:
    return {"model": {"w": np.full(2, value, np.float32)}}


def test_a_rolled_back_round_leaves_the_state_before_it_and_stays_in_the_history() -> None:
    """The model is as if the round had not been; that it was tried, and why it was not used, stays on record."""
    first = Progress(STUDY, state=model(0)).with_round(a_round(round=1, counted=(SiteId("east"),)), model(1), model(0))
    second = first.with_round(a_round(round=2, counted=(SiteId("east"), SiteId("west"))), model(2), model(1))
    assert second.last_counted == {"east": 2, "west": 2}
    back = second.rolled_back("the AUC fell")
    assert alike(back.state, first.state) and back.before == {}
    assert [entry.discarded for entry in back.history] == ["", "the AUC fell"]
    assert (back.round, back.last_counted, back.unused) == (2, {"east": 2, "west": 2}, (2,))


def test_a_round_without_a_new_state_keeps_the_old_one() -> None:
    """A discarded total changes the count of rounds and nothing else."""
    before = Progress(STUDY, state=model(1), before=model(0))
    after = before.with_round(a_round(round=1, discarded="too long"))
    assert alike(replace(after, round=0, history=()), before)


@pytest.mark.parametrize(("counts", "loss"), [({"loss": [3 << 20, 6]}, 0.5), ({"loss": [0, 0]}, None), ({}, None)])
def test_the_loss_of_a_round_is_a_mean_or_nothing(counts: dict[str, list[int]], loss: float | None) -> None:
    """Losses travel as whole numbers; a private round sends none, and none is not zero."""
    assert LOSS_UNIT == 2.0**-20
    total = Contribution({}, 6, {name: np.array(value) for name, value in counts.items()})
    opened = SumOpened(total=total, counted=(SiteId("east"),), lost={SiteId("west"): "no-answer"})
    entry = RoundHistory.of_total(
        4, 1.5, opened, total, Traffic(out=10, back=20, exchanges=2), Plan(study()).no_scores, whole=True
    )
    assert (entry.loss, entry.round, entry.counted, entry.lost) == (loss, 4, ("east",), {"west": "no-answer"})
    partial = RoundHistory.of_total(4, 1.5, opened, total, Traffic(), Plan(study()).no_scores, whole=False)
    assert partial.loss is None
    assert (entry.bytes_out, entry.bytes_in, entry.exchanges, entry.clipped) == (10, 20, 2, 0)
