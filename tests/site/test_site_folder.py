"""A real site's folder: for its own user alone, free of what a kill left, and never a way for others to change what it says."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wardround.crypto.identity import Identity
from wardround.privacy.ledger.ledger import Ledger
from wardround.site import store as store_module
from wardround.site.store import LastAnswer, SiteState, SiteStore
from wardround.summation.masked.memory import MaskedState
from wardround.values.errors import RunError
from wardround.values.log import LOG
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Refusal

from ..federation.private_site import LOCAL, opened, order, said
from ..federation.tiny_federation import enrolled, run, site, study

pytestmark = [pytest.mark.permission, pytest.mark.skipif(os.name != "posix", reason="rights of files are a POSIX thing")]


def loose(folder: Path) -> dict[str, str]:
    """Everything below the folder that others could reach, with its rights."""
    everything = {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}
    return {str(path): oct(mode) for path, mode in everything.items() if mode & 0o077}


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o000, 0o022])
@pytest.mark.parametrize("mode", ["masked", "private"])
def test_everything_that_a_site_makes_is_for_its_user_alone(tmp_path: Path, umask: int, mode: str) -> None:
    """State, answers, trees, report, log, ledger, locks and key: folders followed the umask."""
    before = os.umask(umask)
    try:
        if mode == "masked":
            run(study(mode="masked", own=True, rounds=1), tmp_path)
        else:
            said(one := opened(LOCAL, tmp_path / "sites" / "north"), order(LOCAL, "train", 1))
            assert said(one, b"nonsense") == "wire"
            one.close()
    finally:
        os.umask(before)
    names = {path.name for path in (tmp_path / "sites" / "north").iterdir()}
    assert names >= ({"identity.key", "report.json", "site.lock"} if mode == "masked" else {"ledger.sqlite", LOG, "report.json"})
    assert loose(tmp_path / "sites") == {}


def a_store(folder: Path) -> SiteStore:
    """A folder in which a site has worked."""
    store = SiteStore(folder)
    store.write(SiteState(study="s", order="0" * 64), LastAnswer(b"reply", {"words": np.arange(3, dtype=np.uint16)}))
    store.write_tree("start", {"w": np.ones(2, np.float32)})
    store.add_to_report("rounds", "1", {"loss": 0.5})
    store.log("data", "why")
    store.count_refusals(2)
    store.close()
    return store


OURS = ["state.safetensors", f"answer-{'0' * 64}.safetensors", "start.safetensors", "report.json", LOG, "refusals"]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("harm", ["readable", "writable", "link"])
def test_a_file_of_the_site_that_others_can_reach_is_refused_at_the_start(tmp_path: Path, name: str, harm: str) -> None:
    """Before a word is said, and by name: a person looks, mends it by the command that is told, and the site goes on."""
    a_store(tmp_path / "site")
    path = tmp_path / "site" / name
    if harm == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.chmod(0o640 if harm == "readable" else 0o602)
    with pytest.raises(RunError, match=name) as error:
        SiteStore(tmp_path / "site")
    command = error.value.hint.split(";")[0].split(": ")[-1]
    subprocess.run(command, shell=True, check=True)
    store = SiteStore(tmp_path / "site")
    assert store.read().order == "0" * 64 and store.last_answer().reply == b"reply"
    store.close()


@pytest.mark.parametrize("name", OURS[:4])
def test_a_file_that_is_loosened_while_the_site_works_is_refused_too(tmp_path: Path, name: str) -> None:
    """A site works for weeks."""
    folder = tmp_path / "site"
    a_store(folder)
    store = SiteStore(folder)
    store.read()
    (folder / name).chmod(0o666)
    readers: dict[str, Callable[[], object]] = {
        OURS[0]: store.read,
        OURS[1]: store.last_answer,
        OURS[2]: lambda: store.read_tree("start"),
        OURS[3]: store.report,
    }
    with pytest.raises(RunError, match="chmod 600"):
        readers[name]()
    store.close()


@pytest.mark.parametrize("harm", ["writable", "link"])
def test_a_counter_outside_that_others_can_reach_is_refused(tmp_path: Path, harm: str) -> None:
    """It tells a state that was moved away and back; whoever can lower it can have the site forget."""
    counter = tmp_path / "counters" / "north"
    store = SiteStore(tmp_path / "site", counter)
    store.write(SiteState(study="s", masked=MaskedState(epoch=1, counter=3)))
    assert loose(tmp_path / "counters") == {}
    if harm == "link":
        counter.rename(tmp_path / "elsewhere")
        counter.symlink_to(tmp_path / "elsewhere")
    else:
        counter.chmod(0o662)
    with pytest.raises(RunError, match="counters/north"):
        store.read()
    store.close()


def test_a_count_of_refusals_that_is_no_number_is_named(tmp_path: Path) -> None:
    """A ValueError would end the study at this site."""
    a_store(tmp_path / "site")
    (tmp_path / "site" / "refusals").write_text("many")
    store = SiteStore(tmp_path / "site")
    with pytest.raises(RunError, match="does not hold a number") as error:
        store.refusals()
    subprocess.run(error.value.hint.split(": ")[1], shell=True, check=True)
    assert store.refusals() == 0
    store.close()


def test_a_folder_of_an_earlier_version_is_closed_and_goes_on(tmp_path: Path) -> None:
    """Its umask made it 0755: nobody else could write there, so no hospital is stopped by an update."""
    a_store(tmp_path / "site")
    (tmp_path / "site").chmod(0o755)
    (tmp_path / "site" / "site.lock").chmod(0o644)
    SiteStore(tmp_path / "site").close()
    assert loose(tmp_path / "site") == {}


def test_an_empty_folder_that_a_person_made_is_taken_by_the_site(tmp_path: Path) -> None:
    """By `mkdir`, with the umask's 0755: the key is made there first, and the folder must still be known for the site's."""
    (tmp_path / "sites" / "north").mkdir(parents=True)
    (tmp_path / "sites" / "north").chmod(0o755)
    of = enrolled(study(mode="masked"), tmp_path)
    site("north", of, tmp_path / "sites" / "north").close()
    assert loose(tmp_path / "sites" / "north") == {}


def test_a_folder_that_others_may_write_to_is_refused_and_its_lock_is_let_go(tmp_path: Path) -> None:
    """Others could have moved the state away and back: that is for a person to judge."""
    a_store(tmp_path / "site")
    (tmp_path / "site").chmod(0o775)
    for _ in range(2):
        with pytest.raises(RunError, match="chmod 700"):
            SiteStore(tmp_path / "site")
    (tmp_path / "site").chmod(0o700)
    (tmp_path / "site" / LOG).chmod(0o644)
    for _ in range(2):
        with pytest.raises(RunError, match="chmod 600"):
            SiteStore(tmp_path / "site")
    (tmp_path / "site" / LOG).chmod(0o600)
    SiteStore(tmp_path / "site").close()


@pytest.mark.parametrize("mode", [0o666, 0o640, 0o604])
def test_a_key_that_others_could_have_is_not_used(tmp_path: Path, mode: int) -> None:
    """A key with mode 0666 was used in silence: whoever had it could speak as this hospital."""
    path = tmp_path / "identity.key"
    public = Identity.at(path).public
    path.chmod(mode)
    with pytest.raises(RunError, match=f"identity.key.*Found: {mode:o}.*chmod 600"):
        Identity.at(path)
    path.chmod(0o600)
    path.write_text(path.read_text() + "\n")
    assert Identity.at(path).public == public


def test_no_key_is_made_through_a_link(tmp_path: Path) -> None:
    """The link's maker would have had the key."""
    (tmp_path / "identity.key").symlink_to(tmp_path / "theirs")
    with pytest.raises(RunError, match="symbolic link"):
        Identity.at(tmp_path / "identity.key")
    assert not (tmp_path / "theirs").exists()


@pytest.mark.parametrize("name", ["patients.ledger", "patients.ledger.receipt", "patients.ledger.lock"])
def test_a_ledger_through_a_link_is_refused(tmp_path: Path, name: str) -> None:
    """A link lets whoever made it show the hospital a ledger of their choice."""
    Ledger(tmp_path / "patients.ledger").set_budget(1.0, 1e-5)
    (tmp_path / name).rename(tmp_path / "elsewhere")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=f"{name} is a symbolic link"):
        Ledger(tmp_path / "patients.ledger")


def test_a_ledger_that_others_may_change_is_refused_and_goes_on_once_mended(tmp_path: Path) -> None:
    """What was spent is what the next study is judged by."""
    Ledger(tmp_path / "ledger").set_budget(1.0, 1e-5)
    (tmp_path / "ledger").chmod(0o664)
    with pytest.raises(RunError, match=r"Found: 664.*chmod 600"):
        Ledger(tmp_path / "ledger")
    (tmp_path / "ledger").chmod(0o600)
    assert Ledger(tmp_path / "ledger").balance().budget is not None


KILLED_AT_THE_STATE = """
import os, signal, sys
from pathlib import Path
import numpy as np
from wardround.site import store as store_module
from wardround.values import durable

store = store_module.SiteStore(Path(sys.argv[1]))
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
store.write(store_module.SiteState(study="s", order="0" * 64), store_module.LastAnswer(b"words of one hospital"))
"""


def test_what_a_kill_in_a_write_left_is_gone_at_the_next_start(tmp_path: Path) -> None:
    """Chains and shares that the site has long moved on from lay in `.part` files for ever."""
    a_store(tmp_path / "site")
    subprocess.run([sys.executable, "-c", KILLED_AT_THE_STATE, str(tmp_path / "site")], check=False)
    assert [b"words of one hospital" in path.read_bytes() for path in (tmp_path / "site").glob(".*.part")] == [True]
    store = SiteStore(tmp_path / "site")
    assert list((tmp_path / "site").glob(".*")) == []
    assert store.read().order == "0" * 64 and store.last_answer().reply == b"reply", "the state before the kill stands"
    store.close()


@pytest.mark.parametrize("obstacle", ["folder", "pipe", "link"])
def test_a_site_answers_whatever_became_of_its_log(tmp_path: Path, obstacle: str, capfd: pytest.CaptureFixture[str]) -> None:
    """An unwritable log raised out of `handle`: the site fell silent, which tells more than a word."""
    one = site("north", of := study(), tmp_path / "north")
    log = tmp_path / "north" / LOG
    {"folder": log.mkdir, "pipe": lambda: os.mkfifo(log), "link": lambda: log.symlink_to(tmp_path / "victim")}[obstacle]()
    answer = from_bytes(one.handle(order(of, "train", 1)))
    assert isinstance(answer, Refusal) and answer.header.code == "not-open"
    assert not (tmp_path / "victim").exists() and "left out: not-open" in capfd.readouterr().err
    one.close()


def test_a_report_takes_no_more_than_it_holds_and_the_log_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can name what is reported could fill the hospital's disk."""
    monkeypatch.setattr(store_module, "REPORT_ENTRIES", 3)
    monkeypatch.setattr(store_module, "REPORT_BYTES", 200)
    store = SiteStore(tmp_path / "site")
    for number in range(5):
        store.add_to_report("rounds", str(number), 0)
    assert list(store.report()["rounds"]) == ["0", "1", "2"]
    store.add_to_report("rounds", "0", "x" * 300)
    store.add_to_report("rounds", "0", [1.5, float("nan")])
    assert store.report()["rounds"]["0"] == [1.5, None]
    texts = [json.loads(line)["text"] for line in (tmp_path / "site" / LOG).read_text().splitlines()]
    assert len(texts) == 3 and all("is full" in text for text in texts)
    store.close()


def test_a_damaged_report_is_named_and_mended_as_told(tmp_path: Path) -> None:
    """It ended in a traceback and the word `internal`."""
    store = SiteStore(tmp_path / "a site")
    for damage in ("{", "[]", '{"rounds": 3}'):
        store.add_to_report("rounds", "1", 0)
        (tmp_path / "a site" / "report.json").write_text(damage)
        with pytest.raises(RunError, match="damaged") as error:
            store.add_to_report("rounds", "2", 0)
        subprocess.run(error.value.hint.split(": ")[1], shell=True, check=True)
        assert store.report() == {}
    store.close()
