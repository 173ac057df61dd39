"""The whole of `wardround clinic up` under strace, through a day's work: it connects to what clinic.toml names, and writes into
its folder alone.

A person logs in with a password and by the hospital's login, drops a film, reads it with its heat map, prints sheets; machines
send films over DICOM and REST, ask over FHIR; a folder is watched; a RIS and two archives stand beside.
"""

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyotp
import pytest
import tomli_w

from tests.clinic.dicom.films import SENDER, film
from tests.clinic.dicom.orthanc import HERE, free_port
from tests.clinic.dicom.test_archive import STUDY, listing
from tests.clinic.dicom.test_listener import send, wait_for
from tests.clinic.dicom.test_modality_worklist import TITLE, lying_ris
from tests.clinic.dicom.test_nothing_else_talks import port_of
from tests.clinic.dicom.test_outbox import archive
from tests.clinic.dicom.web_archives import part, web_archive
from tests.clinic.made_clinics import film_clinic
from tests.permission.system_calls import SystemCalls, watched, why_nothing_is_traced
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.store.database import Store, first_broken_line
from wardround.clinic.store.opening import store_url
from wardround.clinic.store.people import People

from .login_provider import LoginProvider, login_provider
from .test_oidc import section_of
from .visitors import NAMES, PASSWORD, secret_in, token_in

pytestmark = [pytest.mark.slow, pytest.mark.permission]


def settings_of(places: dict[str, Any], provider: LoginProvider, folder: Path) -> dict[str, Any]:
    """Everything that can be switched on, each beside a machine of the test."""
    return {
        "hospital": "St Anna",
        "listen": places["pages"],
        "keep_films": True,
        "watched_folder": str(folder / "watched"),
        "oidc": section_of(provider, folder, address=f"http://{places['pages']}"),
        "fhir": {"readers": ["his"]},
        "hooks": {},
        "watch": {"metrics_token": "numbers"},
        "dicom": {
            "port": places["listens"],
            "timeout_s": 60.0,
            "peers": [{"ae_title": SENDER, "addresses": [HERE]}],
            "nodes": [{"name": "pacs", "address": HERE, "port": places["takes"]}],
            "archive": {"url": places["web"], "modalities": ["CR"]},
            "worklist": {"address": HERE, "port": places["ris"], "ae_title": TITLE, "modalities": ["CR"], "timeout_s": 20.0},
        },
    }


@contextmanager
def up(clinic: ClinicPlace, folder: Path) -> Iterator[list[SystemCalls]]:
    """`wardround clinic up` under strace within the block, ended by SIGTERM. The list holds what it asked of the system."""
    home, work = folder / "home", folder / "work"
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(work), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"WARDROUND_HOME": str(home / "none"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "wardround", "clinic", "up", "--clinic", str(clinic.path)]
    calls: list[SystemCalls] = []
    running = threading.Thread(target=lambda: calls.append(watched(command, environment, work, folder / "traces")))
    running.start()
    try:
        yield calls
    finally:
        for process in psutil.Process().children(recursive=True):
            line = process.cmdline()
            if line[1:] == command[1:] and "strace" not in line[0]:
                process.send_signal(signal.SIGTERM)
        running.join(120)


def a_day(address: str, key: str, his: str, login: LoginProvider, listens: int) -> None:
    """What people and machines do."""
    base = f"http://{address}"
    with httpx.Client(base_url=base, timeout=120, trust_env=False) as anna:
        anna.post("/login", data={"name": NAMES["doctor"], "password": PASSWORD})
        page = anna.get("/second").text
        code = pyotp.TOTP(secret_in(page)).now()
        assert anna.post("/second", data={"code": code, "token": token_in(page)}).status_code == 303
        page = anna.get("/").text
        token = token_in(page)
        assert "Planned examinations" in page
        files = {"file": ("film.dcm", film(number=11))}
        case = anna.post("/cases", data={"token": token}, files=files, headers={"accept": "application/json"}).json()["case"]
        for path in ("", "/film", "/heat", "/sheet", "/sheet.pdf"):
            assert anna.get(f"/cases/{case}{path}").status_code == 200, path
        assert anna.post(f"/cases/{case}/feedback", data={"token": token, "opinion": "agree", "comment": "x"}).status_code == 303
        taken = anna.post("/archive", data={"token": token, "study": STUDY})
        assert taken.status_code == 303, taken.text
        for path in ("/facts", "/leaflet", "/leaflet.pdf", "/watch", "/archive", "/static/viewer.js", "/health", "/none"):
            assert anna.get(path).status_code == (404 if path == "/none" else 200), path
        anna.post("/logout", data={"token": token})
    with httpx.Client(base_url=base, timeout=60, trust_env=False) as berg:
        away = berg.get("/oidc/start").headers["location"]
        back = httpx.get(away, trust_env=False).headers["location"]
        assert "url=/" in berg.get(back).text and berg.get("/").status_code == 200
    assert login.sent
    with httpx.Client(base_url=base, timeout=60, trust_env=False, headers={"authorization": f"Bearer {key}"}) as machine:
        mine = machine.post("/v1/predict", content=film(number=12)).json()["case"]
        for path in (f"/v1/cases/{mine}", "/v1/model", "/v1/openapi.json", "/fhir/metadata", f"/fhir/DiagnosticReport/{mine}"):
            assert machine.get(path).status_code == 200, path
        assert machine.post("/v1/predict", content=b"no film").status_code == 422
    with httpx.Client(base_url=base, timeout=60, trust_env=False, headers={"authorization": f"Bearer {his}"}) as reader:
        info = {"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}}
        order = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"reference": "Patient/p"}}
        assert reader.post("/fhir/$answer", json=order | {"supportingInfo": [info]}).status_code == 200
    assert httpx.get(f"{base}/metrics", headers={"authorization": "Bearer numbers"}, trust_env=False).status_code == 200
    assert send(listens, film(number=13))[0] == 0
    assert send(listens, film(number=14, NumberOfFrames=3, PixelData=b"0" * 3 * 64 * 64))[0] != 0


def test_a_day_at_the_clinic_leaves_no_trace_elsewhere(tmp_path: Path) -> None:
    """A hospital's firewall has a rule for each address that somebody wrote down; and no film lies in a folder of all users."""
    if reason := why_nothing_is_traced():
        pytest.skip(reason)
    for name in ("work", "home", "watched"):
        (tmp_path / name).mkdir()
    (tmp_path / "watched" / "a.dcm").write_bytes(film(number=15))
    ports = {name: free_port() for name in ("pages", "listens", "takes")}
    clinic = film_clinic(tmp_path / "clinic")
    with Store(store_url(clinic)) as store:
        people = People(store, clinic.path)
        people.add(NAMES["doctor"], "doctor", PASSWORD, actor="test")
        key, his = (people.add_key(name, actor="test") for name in ("pacs", "his"))
    with (
        web_archive(listing(part(film()))) as web,
        archive(tmp_path / "kept", ports["takes"]),
        lying_ris(lambda _: iter([(0x0000, None)])) as (ris, asked),
        login_provider() as login,
    ):
        places = {**ports, "pages": f"{HERE}:{ports['pages']}", "web": web.url, "ris": ris.port}
        (clinic.path / "clinic.toml").write_text(tomli_w.dumps(settings_of(places, login, tmp_path)))
        with up(clinic, tmp_path) as calls:
            assert wait_for(lambda: healthy(places["pages"]), 120), calls
            a_day(places["pages"], key, his, login, ports["listens"])
            assert wait_for(lambda: len(list((tmp_path / "kept").iterdir())) >= 6, 60)
        provider = int(login.issuer.rpartition(":")[2])
    (told,) = calls
    assert told.status == 0 and "Traceback" not in told.output, told.output
    named = [line for line in told.sockets if re.search("AF_INET6?", line)]
    reached = {port_of(line)[1] for line in named if line.startswith("connect(")} - {0}
    assert reached == {ports["takes"], web.port, ris.port, provider} and asked
    bound = {port_of(line) for line in named if line.startswith("bind(")}
    assert bound <= {(HERE, ports["pages"]), (HERE, ports["listens"]), (HERE, 0), ("0.0.0.0", 0), ("::1", 0), ("::", 0)}
    listening = {match[1] for line in told.sockets if (match := re.match(r"listen\(\d+<(socket:\[\d+\])", line))}
    assert len(listening) == 2, told.sockets
    assert not [line for line in named if line.startswith("send")]
    assert told.outside([clinic.path]) == []
    assert [*(tmp_path / "home").iterdir(), *(tmp_path / "work").iterdir()] == []
    assert (tmp_path / "watched" / "a.dcm").read_bytes() == film(number=15)
    for word in ("Mustermann", "PID-4711", "PID1", "anna.berg", PASSWORD, key):
        assert word not in told.output
    with Store(store_url(clinic)) as store:
        assert first_broken_line(store) is None
    everything = b"".join(path.read_bytes() for path in clinic.path.rglob("*") if path.is_file())
    assert b"Mustermann" not in everything and b"PID-4711" not in everything and key.encode() not in everything


def healthy(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/health", trust_env=False).json() == {"ready": True, "model": True}
    except httpx.HTTPError:
        return False
