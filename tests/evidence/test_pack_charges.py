"""Evidence of a private study: every answer of the log is tied to the entry of the ledger that charged it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wardround.cli.evidence import _files
from wardround.evidence.pack import LEDGER, write_pack
from wardround.evidence.pack_check import check_pack
from wardround.hub.coordinator import Coordinator
from wardround.privacy.ledger.file import GENESIS, link
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.daemon.examination import ledger_path
from wardround.values.canonical import sha256_hex
from wardround.values.chained_log import START, Entry, read_entries

from ..federation.private_studies import private_study
from ..federation.tiny_federation import NAMES
from ..site.daemon.hospitals import DATA, DeskEngine, Hospitals

NORTH, LOGGED = "north", "log/current.ndjson"
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospitals]:
    """Three hospitals after two rounds of a private study."""
    folder = tmp_path_factory.mktemp("charges")
    hospitals = Hospitals(folder / "hospitals", private_study(rounds=2, noise=0.0))
    for name in NAMES:
        Ledger(ledger_path(hospitals.homes[name].ledgers, DATA))
        hospitals.offered(name)
        hospitals.approve(name)
    coordinator = Coordinator(hospitals.study, DeskEngine(hospitals), folder / "run")
    coordinator.run()
    coordinator.close()
    yield hospitals
    hospitals.close()


@pytest.fixture(scope="module")
def files(ward: Hospitals) -> Files:
    return _files(ward.homes[NORTH], ward.study.hash)


def problems(ward: Hospitals, path: Path, files: Files) -> tuple[str, ...]:
    """What is found in evidence that the hospital itself signed."""
    write_pack(path, NORTH, ward.study.hash, files, ward.homes[NORTH].identity)
    return check_pack(path).problems


def answers(files: Files) -> list[Entry]:
    return [entry for entry in read_entries(files[LOGGED]) if entry.code == "answer"]


def logged_anew(files: Files, change: Callable[[Entry], Entry | None]) -> Files:
    """The log with each line changed or left out, its chain whole: as a hospital that lies from the beginning would write it."""
    lines, before = [], START
    for entry in filter(None, map(change, read_entries(files[LOGGED]))):
        line = Entry(len(lines) + 1, entry.time, entry.code, entry.text, before, entry.facts).line()
        lines.append(line)
        before = sha256_hex(line)
    return files | {LOGGED: b"".join(lines)}


def with_facts(files: Files, **facts: object) -> Files:
    """The log in which the charged answers state these facts."""

    def changed(entry: Entry) -> Entry:
        new = {**entry.facts, **facts} if "ledger_entry" in entry.facts else entry.facts
        return Entry(entry.number, entry.time, entry.code, entry.text, entry.before, new)

    return logged_anew(files, changed)


def ledger_without(files: Files, kind: str) -> Files:
    """A ledger with a whole chain in which entries of a kind are missing."""
    entries, before = [], GENESIS
    for value in json.loads(files[LEDGER]):
        if value["kind"] != kind:
            entry = link(before, len(entries) + 1, value["at"], value["kind"], value["content"])
            entries.append(vars(entry))
            before = entry.chain
    return files | {LEDGER: json.dumps(entries).encode()}


@pytest.mark.slow
def test_every_private_answer_names_what_was_charged_for_it(ward: Hospitals, files: Files, tmp_path: Path) -> None:
    """An auditor follows one line from what left to what it cost. Sums that cost nothing name no entry."""
    charged = [entry for entry in answers(files) if "ledger_entry" in entry.facts]
    assert {entry.facts["sum"] for entry in charged} == {"train/1/", "train/2/"}
    ledger = {value["number"]: value for value in json.loads(files[LEDGER])}
    for entry in charged:
        named = ledger[entry.facts["ledger_entry"]]
        assert (named["kind"], named["chain"]) == ("reserved", entry.facts["ledger_chain"])
        assert named["content"] == {
            "study": ward.study.hash,
            "release": entry.facts["release"],
            **entry.facts["charged"],
        }
    assert problems(ward, tmp_path / "x.zip", files) == ()
    assert any("stands in the ledger" in sentence for sentence in check_pack(tmp_path / "x.zip").confirmed)


def test_nothing_of_a_charge_leaves(ward: Hospitals, files: Files) -> None:
    """What the ledger holds of other studies is the hospital's own."""
    chains = {str(entry.facts["ledger_chain"]).encode() for entry in answers(files) if "ledger_entry" in entry.facts}
    run = ward.folder.parent / "run"
    said = b"".join(path.read_bytes() for path in run.rglob("*") if path.is_file())
    assert chains and said and not any(chain in said for chain in chains)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"ledger_entry": 10_000}, "nothing was charged"),
        ({"ledger_entry": None}, "nothing was charged"),
        ({"ledger_entry": True}, "nothing was charged"),
        ({"ledger_entry": 1}, "charged something else"),
        ({"ledger_chain": "0" * 64}, "charged something else"),
        ({"release": "train/1/" + "0" * 64}, "charged something else"),
        ({"sum": "train/9/"}, "charged something else"),
        ({"charged": {}}, "charged something else"),
        ({"charged": []}, "charged something else"),
    ],
)
def test_an_answer_that_its_entry_did_not_pay_is_told(
    ward: Hospitals, files: Files, tmp_path: Path, facts: dict[str, object], said: str
) -> None:
    """Log and ledger are each whole; only together they show that numbers left for nothing."""
    (problem,) = problems(ward, tmp_path / "x.zip", with_facts(files, **facts))
    assert said in problem and "line " in problem


def test_a_ledger_in_which_a_charge_is_missing_is_told(ward: Hospitals, files: Files, tmp_path: Path) -> None:
    """A ledger that was begun anew, or was that of other patients, agrees with itself."""
    assert "entry" in problems(ward, tmp_path / "a.zip", ledger_without(files, "reserved"))[0]
    assert "released" in problems(ward, tmp_path / "b.zip", ledger_without(files, "released"))[0]
    without = {name: data for name, data in files.items() if name != LEDGER}
    assert "nothing was charged" in problems(ward, tmp_path / "c.zip", without)[0]


def test_a_log_that_does_not_say_what_it_answered_is_told(ward: Hospitals, files: Files, tmp_path: Path) -> None:
    """As earlier releases wrote it: what left cannot be held against the ledger."""

    def without(entry: Entry) -> Entry:
        kept = {name: fact for name, fact in entry.facts.items() if name in ("study", "order", "bytes", "reply", "reply_bytes")}
        return Entry(
            entry.number, entry.time, entry.code, entry.text, entry.before, kept if entry.code == "answer" else entry.facts
        )

    (problem,) = problems(ward, tmp_path / "x.zip", logged_anew(files, without))
    assert "released 2 sums" in problem


@pytest.mark.parametrize(
    "content", [b"7", b"[7]", b'[{"number": 1}]', b'[{"number":1,"at":"","kind":"a","content":[],"chain":""}]', b"\xff"]
)
def test_a_ledger_that_is_none_is_a_sentence(ward: Hospitals, files: Files, tmp_path: Path, content: bytes) -> None:
    """Whoever forges one must not stop the one who looks."""
    assert any("ledger" in problem for problem in problems(ward, tmp_path / "x.zip", files | {LEDGER: content}))
