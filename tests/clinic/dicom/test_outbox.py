"""Results on their way: none is lost, none goes twice, and a node that does not take them is named."""

import contextlib
import io
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from wardround.clinic.dicom.answered_film import AnsweredFilm
from wardround.clinic.dicom.film_header import film_header
from wardround.clinic.dicom.outbox import FIRST_WAIT_S, LONGEST_WAIT_S, Outbox
from wardround.clinic.dicom.results import ResultFile, result_files
from wardround.clinic.dicom.sending import Courier, deliver
from wardround.clinic.place.dicom_settings import NodeSection
from wardround.values.errors import RunError

from .films import ANSWER, QUESTION, film, tool
from .test_listener import certificate

HERE = "127.0.0.1"


def report(number: int) -> ResultFile:
    answered = AnsweredFilm(film_header(film(number=number)), ANSWER, QUESTION, datetime(2026, 11, 29, tzinfo=UTC))
    (file,) = result_files(answered, ("report",))
    return file


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class OutboxMachine(RuleBasedStateMachine):
    """Against a dictionary: what was put and not sent waits, whatever happens between, also across a new start."""

    objects = Bundle("objects")

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "box" / "outbox.sqlite"
        self.clock = Clock()
        self.outbox = Outbox(self.path, self.clock)
        self.waiting: dict[tuple[str, str], float] = {}
        self.gone: set[tuple[str, str]] = set()

    @rule(target=objects, node=st.sampled_from(["pacs", "other"]), number=st.integers(0, 4))
    def put(self, node: str, number: int) -> tuple[str, str]:
        key = (node, f"1.2.{number}")
        added = self.outbox.put(node, "case", [ResultFile("1.2", key[1], b"content")])
        assert added == (key not in self.waiting and key not in self.gone)
        if added:
            self.waiting[key] = self.clock.now
        return key

    @rule(key=objects)
    def is_sent(self, key: tuple[str, str]) -> None:
        self.outbox.sent(*key)
        self.waiting.pop(key, None)
        self.gone.add(key)

    @rule(key=objects, attempts=st.integers(1, 12))
    def fails(self, key: tuple[str, str], attempts: int) -> None:
        for _ in range(attempts):
            self.outbox.failed(*key, "the node refused")
        if key in self.waiting:
            self.waiting[key] = self.clock.now + LONGEST_WAIT_S

    @rule(seconds=st.sampled_from([1.0, FIRST_WAIT_S, LONGEST_WAIT_S]))
    def time_goes_on(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def is_opened_anew(self) -> None:
        self.outbox.close()
        self.outbox = Outbox(self.path, self.clock)

    @rule()
    def a_person_asks_again(self) -> None:
        assert self.outbox.again() == len(self.waiting)
        self.waiting = dict.fromkeys(self.waiting, self.clock.now)

    @invariant()
    def what_waits_is_there(self) -> None:
        assert {one.node: one.objects for one in self.outbox.unsent()} == {
            node: count for node in ("pacs", "other") if (count := sum(key[0] == node for key in self.waiting))
        }
        for node in ("pacs", "other"):
            due = {one.file.sop_instance_uid for one in self.outbox.due(node)}
            assert due <= {uid for name, uid in self.waiting if name == node}
            assert due >= {uid for (name, uid), latest in self.waiting.items() if name == node and latest <= self.clock.now}

    def teardown(self) -> None:
        self.outbox.close()
        self.folder.cleanup()


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = settings(max_examples=10, stateful_step_count=15, deadline=None)


def test_what_was_sent_is_erased_from_the_disk(tmp_path: Path) -> None:
    """It names a patient, and its archive has it."""
    outbox = Outbox(tmp_path / "box" / "outbox.sqlite")
    outbox.put("pacs", "case", [report(1)])
    outbox.sent("pacs", report(1).sop_instance_uid)
    outbox.close()
    assert [path for path in (tmp_path / "box").iterdir() if b"Mustermann" in path.read_bytes()] == []
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "box").iterdir())


def test_an_outbox_that_is_none_is_said(tmp_path: Path) -> None:
    """Its path is in the message, and nothing in it is touched."""
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"no database at all, but somebody's file" * 100)
    path.chmod(0o600)
    with pytest.raises(RunError, match="cannot be used"):
        Outbox(path)
    assert path.read_bytes().startswith(b"no database")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def archive(folder: Path, port: int, *more: str) -> Iterator[None]:
    """dcmtk's own archive: each object becomes a file in the folder."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen([tool("storescp"), "-od", str(folder), *more, str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection((HERE, port), timeout=1):
                break
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def kept(folder: Path) -> list[str]:
    return sorted(str(pydicom.dcmread(path).SOPInstanceUID) for path in folder.iterdir())


def test_results_reach_an_archive_of_another_maker_once(tmp_path: Path) -> None:
    """dcmtk takes them, and they are whole."""
    outbox, node = Outbox(tmp_path / "box" / "outbox.sqlite"), NodeSection(name="pacs", address=HERE, port=free_port())
    files = [report(number) for number in range(1, 4)]
    assert outbox.put("pacs", "case", files) == 3 and outbox.put("pacs", "case", files) == 0
    with archive(tmp_path / "archive", node.port):
        assert deliver(node, outbox, "WARDROUND") == (3, 0)
        assert outbox.unsent() == () and outbox.put("pacs", "case", files) == 0
        assert deliver(node, outbox, "WARDROUND") == (0, 0)
    assert kept(tmp_path / "archive") == sorted(file.sop_instance_uid for file in files)
    sent = pydicom.dcmread(io.BytesIO(files[0].content))
    name = next(path for path in (tmp_path / "archive").iterdir() if files[0].sop_instance_uid in path.name)
    assert pydicom.dcmread(name) == sent
    outbox.close()


def test_an_archive_that_is_away_gets_them_when_it_is_back(tmp_path: Path) -> None:
    """Nights of a PACS's maintenance must cost no answer; and the screen says what waits, and why."""
    clock = Clock()
    outbox, node = Outbox(tmp_path / "box" / "outbox.sqlite", clock), NodeSection(name="pacs", address=HERE, port=free_port())
    outbox.put("pacs", "case", [report(1)])
    assert deliver(node, outbox, "WARDROUND") == (0, 1)
    (unsent,) = outbox.unsent()
    assert (unsent.node, unsent.objects, unsent.attempts) == ("pacs", 1, 1) and "cannot be reached" in unsent.words
    assert deliver(node, outbox, "WARDROUND") == (0, 0)  # not yet
    clock.now += FIRST_WAIT_S
    with archive(tmp_path / "archive", node.port, "--refuse"):
        assert deliver(node, outbox, "WARDROUND") == (0, 1)
    assert outbox.unsent()[0].words == "the node rejected the association"
    clock.now += LONGEST_WAIT_S
    with archive(tmp_path / "archive", node.port):
        assert deliver(node, outbox, "WARDROUND") == (1, 0)
    assert outbox.unsent() == ()
    outbox.close()


def test_results_go_over_tls_to_the_right_archive_alone(tmp_path: Path) -> None:
    """dcmtk with certificates of both sides; an archive with another authority's certificate gets nothing."""
    authority, _, issuer = certificate(tmp_path, "authority")
    server, server_key, _ = certificate(tmp_path, "127.0.0.1", issuer)
    own, own_key, _ = certificate(tmp_path, "clinic", issuer)
    other, *_ = certificate(tmp_path, "other")
    outbox, port = Outbox(tmp_path / "box" / "outbox.sqlite"), free_port()
    outbox.put("pacs", "case", [report(1)])
    right = {"name": "pacs", "address": HERE, "port": port, "tls_ca": authority, "tls_certificate": own, "tls_key": own_key}
    with archive(tmp_path / "archive", port, "+tls", str(server_key), str(server), "+cf", str(authority), "-rc"):
        for wrong in (NodeSection(**{**right, "tls_ca": other}), NodeSection(name="pacs", address=HERE, port=port)):
            assert deliver(wrong, outbox, "WARDROUND") == (0, 1)
            outbox.again()
        assert list((tmp_path / "archive").iterdir()) == []
        assert deliver(NodeSection(**right), outbox, "WARDROUND") == (1, 0)
    assert kept(tmp_path / "archive") == [report(1).sop_instance_uid]
    outbox.close()


def test_the_courier_carries_what_comes_while_it_runs(tmp_path: Path) -> None:
    """Nobody starts it anew for each film."""
    told: list[tuple[str, str]] = []
    outbox, node = Outbox(tmp_path / "box" / "outbox.sqlite"), NodeSection(name="pacs", address=HERE, port=free_port())
    with (
        archive(tmp_path / "archive", node.port),
        Courier([node], outbox, "WARDROUND", lambda code, text: told.append((code, text)), pause_s=30) as courier,
    ):
        for number in (1, 2):
            outbox.put("pacs", "case", [report(number)])
            courier.wake()
            for _ in range(300):
                if not outbox.unsent():
                    break
                time.sleep(0.02)
            assert outbox.unsent() == ()
    assert {code for code, _ in told} == {"results-sent"}
    outbox.close()


CARRIER = """
import sys
from wardround.clinic.dicom.loading import need_pynetdicom
from wardround.clinic.dicom.outbox import Outbox
from wardround.clinic.dicom.sending import deliver
from wardround.clinic.place.dicom_settings import NodeSection
outbox = Outbox(__import__("pathlib").Path(sys.argv[1]))
node = NodeSection(name="pacs", address="127.0.0.1", port=int(sys.argv[2]))
need_pynetdicom()
print("ready", flush=True)
while outbox.unsent():
    for one in outbox.due("pacs", 1):
        deliver(node, outbox, "WARDROUND")
"""


@pytest.mark.slow
def test_killed_at_any_instant_every_result_arrives_once(tmp_path: Path) -> None:
    """A power cut between an archive's answer and our own note of it is the instant that loses or doubles."""
    path, port, rng = tmp_path / "box" / "outbox.sqlite", free_port(), random.Random(7)
    outbox = Outbox(path)
    files = [report(number) for number in range(1, 25)]
    outbox.put("pacs", "case", files)
    command = [sys.executable, "-c", CARRIER, str(path), str(port)]
    kills = 0
    with archive(tmp_path / "archive", port):
        while outbox.unsent() and kills < 6:
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None and process.stdout.readline() == b"ready\n"
                time.sleep(rng.random() * 0.5)
                kills += process.poll() is None
                process.kill()
        outbox.again()
        subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL)
    assert outbox.unsent() == () and kills > 0
    assert kept(tmp_path / "archive") == sorted(file.sop_instance_uid for file in files)
    outbox.close()
