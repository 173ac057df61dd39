"""The watch of tests/permission over the clinic beside a PACS: it connects to what clinic.toml names, and to nothing else."""

import os
import re
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.clinic.made_clinics import film_clinic
from tests.permission.system_calls import SystemCalls, watched, why_nothing_is_traced
from wardround.clinic.place.dicom_settings import ArchiveSection, DicomSection, NodeSection, PeerSection

from .films import SENDER, film
from .orthanc import HERE, free_port
from .test_listener import send, wait_for
from .test_outbox import archive
from .web_archives import dicom_json, web_archive

pytestmark = [pytest.mark.slow, pytest.mark.permission]

CLINIC = """
import sys, time
from pathlib import Path
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.web.server import opened
with opened(ClinicPlace.at(Path(sys.argv[1]))) as state:
    Path("ready").touch()
    while not Path("done").exists():
        time.sleep(0.05)
    assert state.dicom.worklist() == ()
"""


def test_the_clinic_beside_a_pacs_talks_to_what_its_settings_name(tmp_path: Path) -> None:
    """A hospital's firewall has a rule for each address that somebody wrote down, and an alarm for every other."""
    if reason := why_nothing_is_traced():
        pytest.skip(reason)
    listens, takes = free_port(), free_port()
    node = NodeSection(name="pacs", address=HERE, port=takes)
    peers = (PeerSection(ae_title=SENDER, addresses=(HERE,)),)
    work, home, traces = (tmp_path / name for name in ("work", "home", "traces"))
    for folder in (work, home):
        folder.mkdir()
    with web_archive(lambda *_: dicom_json()) as web, archive(tmp_path / "kept", takes):
        settings = DicomSection(port=listens, peers=peers, nodes=(node,), archive=ArchiveSection(url=web.url), timeout_s=60.0)
        clinic = film_clinic(tmp_path / "clinic", dicom=settings)
        calls: list[SystemCalls] = []
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(work), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        command = [sys.executable, "-c", CLINIC, str(clinic.path)]
        running = threading.Thread(target=lambda: calls.append(watched(command, environment, work, traces)))
        running.start()
        try:
            assert wait_for((work / "ready").exists, 120)
            assert send(listens, film())[0] == 0
            assert wait_for(lambda: len(list((tmp_path / "kept").iterdir())) == 3, 60)
            time.sleep(0.5)
        finally:
            (work / "done").touch()
            running.join(120)
    (told,) = calls
    assert told.status == 0, told.output
    # Looking up an address, the C library asks a cache on this machine, and tries sockets that send nothing (RFC 6724, rule 8).
    named = [line for line in told.sockets if re.search("AF_INET6?", line)]
    connected = {port_of(line) for line in named if line.startswith("connect(")}
    assert {(host, port) for host, port in connected if port} == {(HERE, takes), (HERE, web.port)}
    bound = {port_of(line) for line in named if line.startswith("bind(")}
    assert (HERE, listens) in bound and {port for _, port in bound} == {listens, 0}  # 0: whatever port a caller gets
    assert not [line for line in named if line.startswith("send")]  # on a connection no address is named
    others = {line.partition("sa_family=")[2][:10] for line in set(told.sockets) - set(named) if "sa_family" in line}
    assert all(family.startswith(("AF_UNIX", "AF_UNSPEC", "AF_NETLINK")) for family in others), others
    assert told.outside([clinic.path, work]) == []
    assert "Mustermann" not in told.output and "Traceback" not in told.output


def port_of(line: str) -> tuple[str, int]:
    """The address in a call, as strace writes it."""
    port = re.search(r"sin6?_port=htons\((\d+)\)", line)
    host = re.search(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', line)
    assert port is not None and host is not None, line
    return host[1] or host[2], int(port[1])
