"""The clinic as its command serves it: ready at once, small, without torch, at peace with broken clients, ended in order."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.clinic.dicom_files import dicom, film_pixels
from tests.clinic.made_clinics import film_clinic
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.store.database import Store, first_broken_line
from wardround.clinic.store.people import People
from wardround.clinic.web.http_head import HEAD_BYTES
from wardround.clinic.web.server import store_url

from .served import served

FILM = dicom(film_pixels(), BitsStored=12)


def key_of(clinic: ClinicPlace) -> str:
    with Store(store_url(clinic)) as store:
        return People(store, clinic.path).add_key("pacs", actor="test")


@pytest.mark.slow
def test_nothing_that_the_clinic_loads_is_torch_nor_opens_a_connection_to_elsewhere() -> None:
    """Ten seconds of start, a gigabyte, and a hospital's network: none of it for an answer."""
    code = (
        "import sys, socket\n"
        "def refuse(*_): raise SystemExit('a connection')\n"
        "socket.socket.connect = refuse\n"
        "import wardround.clinic.web.server, wardround.clinic.intake.decoder, wardround.cli.main\n"
        "print(sorted({'torch', 'matplotlib', 'polars', 'flwr', 'reportlab', 'alembic', 'scipy'} & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_ready_soon_small_and_ended_in_order(tmp_path: Path) -> None:
    """Processor seconds, since a busy machine makes any start long; memory of all its processes; one that is told to end ends."""
    clinic = film_clinic(tmp_path / "clinic")
    key = key_of(clinic)
    with served(clinic.path) as (address, process):
        whole = psutil.Process(process.pid)
        headers = {"authorization": f"Bearer {key}", "content-type": "application/octet-stream"}
        assert httpx.post(f"http://{address}/v1/predict", content=FILM, headers=headers, timeout=60).status_code == 200
        used = sum(sum(one.cpu_times()[:2]) for one in (whole, *whole.children()))
        resident = sum(one.memory_full_info().pss for one in (whole, *whole.children()))
        assert used < 6.0 and resident < 300e6
        children = whole.children()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    with Store(store_url(clinic)) as store:
        assert first_broken_line(store) is None


@pytest.mark.slow
def test_clients_that_break_the_rules_of_http_cost_themselves_alone(tmp_path: Path) -> None:
    """A head without an end, bytes that are no HTTP, half a film: and the next one is answered."""
    clinic = film_clinic(tmp_path / "clinic")
    key = key_of(clinic)
    with served(clinic.path) as (address, _):
        host, port = address.split(":")

        def sent(*pieces: bytes) -> bytes:
            with socket.create_connection((host, int(port)), timeout=20) as line:
                try:
                    for piece in pieces:
                        line.sendall(piece)
                        time.sleep(0.05)
                    return line.recv(4096)
                except (ConnectionError, TimeoutError):
                    return b""

        endless = [b"GET / HTTP/1.1\r\nhost: x\r\nx: ", *([b"a" * 16_384] * (HEAD_BYTES // 16_384 + 3))]
        assert b"200" not in sent(*endless)
        assert b"200" not in sent(b"\x16\x03\x01 no http \r\n\r\n")
        sent(f"POST /v1/predict HTTP/1.1\r\nhost: {address}\r\ncontent-length: 99999\r\n\r\n".encode() + FILM[:100])
        headers = {"authorization": f"Bearer {key}", "content-type": "application/octet-stream"}
        with httpx.Client(base_url=f"http://{address}", headers=headers, timeout=60) as client:
            for _ in range(5):  # several on one connection, each with a body beyond one piece
                large = dicom(film_pixels(side=400), BitsStored=12)
                assert client.post("/v1/predict", content=large).status_code == 200


@pytest.mark.slow
def test_a_second_process_is_told_that_the_clinic_is_up(tmp_path: Path) -> None:
    """Two of them would answer from two states."""
    from wardround.clinic.web.server import opened
    from wardround.values.errors import RunError

    clinic = film_clinic(tmp_path / "clinic")
    with opened(clinic), pytest.raises(RunError, match="up already"), opened(clinic):
        pass
