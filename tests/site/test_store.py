"""What a site remembers: whole after every stop, for one process at a time, and readable by this user alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wardround.site import store as store_module
from wardround.site.store import LastAnswer, SiteState, SiteStore
from wardround.values.errors import RunError
from wardround.values.tensor_file import write_tensors
from wardround.values.tree import same_bits

OLD, NEW = {"model": {"a": np.zeros(3)}}, {"model": {"a": np.ones(3)}}
STATE = SiteState(study="s", round=2, order="0" * 64, memory=OLD, pending=NEW, records="r")
ANSWER = LastAnswer(b"the reply", {"words": np.arange(4, dtype=np.uint16)})


def opened(folder: Path) -> SiteStore:
    return SiteStore(folder)


def test_a_new_folder_holds_nothing(tmp_path: Path) -> None:
    """A site that never answered is not one that lost its memory."""
    store = opened(tmp_path / "new" / "site")
    assert store.read() == SiteState()
    assert store.report() == {} and store.read_tree("start") is None


def test_state_and_answer_come_back_in_another_process_s_hands(tmp_path: Path) -> None:
    """A site killed after it recorded sends the same bytes again."""
    store = opened(tmp_path)
    store.write(STATE, ANSWER)
    store.close()
    again = opened(tmp_path)
    state, answer = again.read(), again.last_answer()
    assert (state.round, state.order, state.records) == (2, "0" * 64, "r")
    assert state.pending is not None
    assert same_bits(state.memory["model"], OLD["model"]) and same_bits(state.pending["model"], NEW["model"])
    assert answer.reply == b"the reply" and same_bits(answer.words, ANSWER.words)


@pytest.mark.parametrize(("last_counted", "kept"), [(2, NEW), (1, OLD), (0, OLD), (3, OLD)])
def test_memory_follows_the_round_that_counted(last_counted: int, kept: dict[str, dict[str, np.ndarray]]) -> None:
    """State of a reply that was lost, kept as if it had counted, would spoil every later round."""
    settled = STATE.settled(last_counted)
    assert same_bits(settled.memory["model"], kept["model"]) and settled.pending is None
    assert settled.settled(last_counted) is settled


def test_of_two_answers_only_the_last_is_left(tmp_path: Path) -> None:
    """Each is as large as the model."""
    store = opened(tmp_path)
    store.write(STATE, ANSWER)
    store.write(replace(STATE, order="1" * 64), LastAnswer(b"another"))
    assert [path.name for path in tmp_path.glob("answer-*")] == [f"answer-{'1' * 64}.safetensors"]
    store.write(replace(STATE, order="1" * 64, pending=None))
    assert store.last_answer().reply == b"another"


def test_a_stop_between_answer_and_state_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state file counts, and it names a large file that is there."""
    store = opened(tmp_path)
    store.write(STATE, ANSWER)
    write = store_module.write_tensors  # type: ignore[attr-defined]

    def full_disk(path: Path, *values: object, **options: object) -> None:
        if path.name == store_module.STATE:
            raise OSError("no space left")
        write(path, *values, **options)

    with monkeypatch.context() as patched:
        patched.setattr(store_module, "write_tensors", full_disk)
        with pytest.raises(OSError, match="no space"):
            store.write(replace(STATE, order="1" * 64), LastAnswer(b"never sent"))
    store.close()
    again = opened(tmp_path)
    assert again.read().order == STATE.order
    assert again.last_answer().reply == b"the reply"


def test_a_folder_in_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes with one memory would both believe that they speak for the hospital."""
    monkeypatch.setattr(store_module, "LOCK_WAIT_S", 0.1)
    store = opened(tmp_path)
    with pytest.raises(RunError, match="in use") as error:
        opened(tmp_path)
    assert error.value.hint
    store.close()
    opened(tmp_path).close()


def test_a_site_that_finds_its_state_gone_knows_that_it_had_one(tmp_path: Path) -> None:
    """It may have spoken for a sum already, and must not speak for it again."""
    store = opened(tmp_path)
    store.write(replace(STATE, masked=replace(STATE.masked, memory_status="member")), ANSWER)
    assert store.read().masked.memory_status == "member"
    (tmp_path / store_module.STATE).unlink()
    assert store.read().masked.memory_status == "none"


def test_a_state_with_keys_that_was_copied_elsewhere_is_known_for_a_copy(tmp_path: Path) -> None:
    """A backup that is put back has older keys than the hospital used."""
    store = opened(tmp_path / "one")
    keyed = replace(STATE, masked=replace(STATE.masked, epoch=1, memory_status="member"))
    store.write(keyed, ANSWER)
    assert store.read().masked == keyed.masked
    store.close()
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    assert opened(tmp_path / "copy").read().masked != keyed.masked


def test_report_and_log_grow_and_are_for_this_user_alone(tmp_path: Path) -> None:
    """An error's text may quote a record."""
    store = opened(tmp_path)
    store.add_to_report("federated", "auc", 0.5)
    store.add_to_report("federated", "n", 3)
    store.add_to_report("counts", "patients", 7)
    assert store.report() == {"federated": {"auc": 0.5, "n": 3}, "counts": {"patients": 7}}
    store.log("data", "first")
    store.log("budget", "second\nline")
    lines = [json.loads(line) for line in (tmp_path / "log.ndjson").read_text().splitlines()]
    assert [(line["code"], line["text"]) for line in lines] == [("data", "first"), ("budget", "second\nline")]
    store.write(STATE, ANSWER)
    private = [path for path in tmp_path.iterdir() if path.name != "site.lock"]
    assert {path.stat().st_mode & 0o077 for path in private} == {0}


def test_a_file_that_is_no_state_is_named(tmp_path: Path) -> None:
    """A state of another release, or another file under its name, ended in a KeyError."""
    store = opened(tmp_path)
    for head in ({}, {"last": "", "place": "", "state": {"unknown": 1}}, {"last": "", "state": {}}):
        write_tensors(tmp_path / store_module.STATE, {}, head)
        with pytest.raises(RunError, match="no state of a site of this release"):
            store.read()
    store.close()
