"""How quickly the clinic answers: a doctor with one film, and 16 machines that never stop asking.

    WARDROUND_DATA=... python benchmarks/clinic/clinic.py [--seconds 60] [--clients 16] [--skip browser] [--all]

The clinic is `wardround clinic up` in a process of its own, with EfficientNet-Lite0 at 224 pixels, accepted on 120 real films. A
doctor's film is the real chest film of `dicom_cxr` (1024 pixels). The machines send different real films (JPEG, 224 pixels). They
run on the same machine as the clinic, and what they take of it is said. The model's own time is one answer to one record in this
process, while nothing else of this benchmark runs: network, calibration, conformal limits, unusual score. With `--all` it runs
acceptance.py too, and its figures stand in the last line.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyotp

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmark rooms share

from last_line import last_line
from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.answering.serving import in_service
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.service import activate
from wardround.clinic.store.database import Store
from wardround.clinic.store.people import People
from wardround.clinic.web.server import store_url
from wardround.sources import network_input, prepare

PASSWORD = "a password of the benchmark"
HERE = Path(__file__).parent


def films(data: Path, count: int) -> list[tuple[str, bytes]]:
    """Label and bytes of real films, both labels alike often."""
    with zipfile.ZipFile(data / "kermany_cxr" / "kermany_cxr_224_jpeg.zip") as archive:
        names = [name for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg"))]
        rng = np.random.default_rng(1)
        chosen = []
        for label in ("NORMAL", "PNEUMONIA"):
            mine = [name for name in names if _label(name) == label]
            chosen += [(label, archive.read(mine[number])) for number in rng.permutation(len(mine))[: count // 2]]
    return chosen


def _label(name: str) -> str:
    return "NORMAL" if "normal" in name.lower() else "PNEUMONIA"


def made_clinic(folder: Path, data: Path) -> tuple[ClinicPlace, str, str]:
    """A clinic whose model was accepted on real films; the doctor's second factor, and a machine's key."""
    model = folder / "model.onnx"
    subprocess.run([sys.executable, str(HERE / "made_model.py"), str(model)], check=True)
    cases = folder / "cases"
    for number, (label, content) in enumerate(films(data, 120)):
        (cases / label).mkdir(parents=True, exist_ok=True)
        (cases / label / f"{number}.jpg").write_bytes(content)
    clinic = ClinicPlace.begin(folder / "clinic", ClinicSettings(hospital="Benchmark"))
    record = accept(clinic, candidates_of(clinic, str(model)), str(cases), AcceptanceSettings())
    activate(clinic, record.id, record.model, by="benchmark")
    with Store(store_url(clinic)) as store:
        people = People(store, clinic.path)
        people.add("anna", "doctor", PASSWORD, actor="benchmark")
        key = people.add_key("machine", actor="benchmark")
        session = people.login("anna", PASSWORD) or ""
        secret = (people.second_secret(session) or ("", ""))[0]
        people.second_step(session, pyotp.TOTP(secret).at(int(time.time()) - 30))
    return clinic, secret, key


@contextmanager
def served(clinic: ClinicPlace) -> Iterator[tuple[str, psutil.Process, float]]:
    """Address, process, and seconds from start to the first ready answer."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "wardround", "clinic", "up", "--clinic", str(clinic.path), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        assert process.stdout is not None
        address = process.stdout.readline().rpartition("http://")[2].strip().rstrip("/")
        while True:
            try:
                if httpx.get(f"http://{address}/health", timeout=5).json() == {"ready": True, "model": True}:
                    break
            except httpx.HTTPError:
                time.sleep(0.01)
        start_s = time.perf_counter() - began
        try:
            yield address, psutil.Process(process.pid), start_s
        finally:
            process.terminate()


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def resident_mb(process: psutil.Process) -> float:
    """Of the clinic with its decoders; pages that they share count once (PSS)."""
    return float(sum(one.memory_full_info().pss for one in family(process))) / 1e6


def cpu_s(process: psutil.Process) -> float:
    return float(sum(sum(one.cpu_times()[:2]) for one in family(process)))


def doctor(address: str, secret: str) -> httpx.Client:
    client = httpx.Client(base_url=f"http://{address}", timeout=60)
    client.post("/login", data={"name": "anna", "password": PASSWORD})
    token = _token(client.get("/second").text)
    client.post("/second", data={"code": pyotp.TOTP(secret).now(), "token": token})
    assert client.get("/").status_code == 200
    return client


def _token(page: str) -> str:
    return next(str(token) for token in re.findall(r'name="token" value="([^"]*)"', page) if token)


def one_doctor(client: httpx.Client, film: bytes) -> tuple[float, float]:
    """Median seconds from a drop to the answer, and of the heat map after it."""
    token = _token(client.get("/facts").text)
    answer, heat = [], []
    for _ in range(10):
        began = time.perf_counter()
        files = {"file": ("film.dcm", film)}
        case = client.post("/cases", data={"token": token}, files=files, headers={"accept": "application/json"}).json()["case"]
        assert client.get(f"/cases/{case}").status_code == 200
        answer.append(time.perf_counter() - began)
        client.get(f"/cases/{case}/heat")
        heat.append(time.perf_counter() - began)
    return statistics.median(answer), statistics.median(heat)


def in_browser(address: str, secret: str, film: Path) -> tuple[float, float]:
    """Median seconds in Chromium from the drop to the probability on the screen, and to the heat map on the film."""
    from playwright.sync_api import sync_playwright

    answers, maps = [], []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://{address}/login")
        page.fill("#name", "anna")
        page.fill("#password", PASSWORD)
        page.click("main button")
        page.fill("#code", pyotp.TOTP(secret).at(int(time.time()) + 30))
        page.click("main button")
        for _ in range(7):
            page.goto(f"http://{address}/")
            began = time.perf_counter()
            page.set_input_files("#file", film)
            page.wait_for_selector("#probability")
            answers.append(time.perf_counter() - began)
            page.click("[data-act=heat]")
            page.wait_for_selector("#viewer[data-heat-shown=true]")
            maps.append(time.perf_counter() - began)
        browser.close()
    return statistics.median(answers), statistics.median(maps)


def own_time_s(clinic: ClinicPlace, contents: list[bytes]) -> tuple[float, float]:
    """Median seconds of one answer by the model alone, with as many threads as in service; and processor seconds of one."""
    model = in_service(clinic, threads=1)
    assert model is not None
    records = [network_input(model.contract, prepare(model.contract, content)[None])[0] for content in contents[:20]]
    times, used = [], time.process_time()
    for record in records * 3:
        began = time.perf_counter()
        model.answer(record)
        times.append(time.perf_counter() - began)
    return statistics.median(times[5:]), (time.process_time() - used) / len(times)


async def asking(address: str, key: str, contents: list[bytes], until: float, took: list[float], errors: list[str]) -> None:
    """One machine that asks again as soon as it was answered, over one connection."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = ("POST /v1/predict HTTP/1.1", f"Host: {address}", f"Authorization: Bearer {key}", "Content-Type: image/jpeg", "")
    head = "\r\n".join(lines)
    turn = 0
    while time.perf_counter() < until:
        content = contents[turn % len(contents)]
        turn += 1
        began = time.perf_counter()
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        told = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", told, re.IGNORECASE)[1])  # type: ignore[index]
        body = await reader.readexactly(length)
        took.append(time.perf_counter() - began)
        if not told.startswith(b"HTTP/1.1 200") or b'"probability"' not in body:
            errors.append(body[:200].decode("utf-8", "replace"))
    writer.close()


def hammer(address: str, key: str, contents: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """In a process of its own, as machines are: latencies, errors, processor seconds of the clients."""
    took: list[float] = []
    errors: list[str] = []

    async def everybody() -> None:
        until = time.perf_counter() + seconds
        shares = [contents[number::clients] for number in range(clients)]
        await asyncio.gather(*(asking(address, key, share, until, took, errors) for share in shares))

    asyncio.run(everybody())
    used = sum(os.times()[:2])
    return {"took": took, "errors": errors, "cpu_s": used}


def under_load(address: str, key: str, process: psutil.Process, data: Path, clients: int, seconds: float) -> dict[str, Any]:
    """What `hammer` saw, and what the clinic took meanwhile; memory from the first quarter to the end."""
    command = [sys.executable, __file__, "--hammer", json.dumps([address, key, str(data), clients, seconds])]
    before, began = cpu_s(process), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        time.sleep(max(10.0, seconds / 4))  # every batch size was seen, and every decoder has started
        first = resident_mb(process)
        output, _ = child.communicate()
    told = json.loads(output)
    wall = time.perf_counter() - began
    return {**told, "server_cpu_s": cpu_s(process) - before, "wall_s": wall, "growth": resident_mb(process) / first - 1}


def accepted() -> dict[str, float]:
    """The figures of acceptance.py."""
    done = subprocess.run([sys.executable, str(HERE / "acceptance.py")], check=True, stdout=subprocess.PIPE, text=True)
    line = json.loads(done.stdout.splitlines()[-1])
    return {name: line[name] for name in ("ece", "coverage_error", "ood_auroc")}


def main() -> None:
    """Prints what it finds as it goes, and one line of JSON at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--skip", nargs="*", default=[])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--hammer", default="", help=argparse.SUPPRESS)
    wishes = parser.parse_args()
    data = Path(os.environ["WARDROUND_DATA"])
    if wishes.hammer:
        address, key, data_path, clients, seconds = json.loads(wishes.hammer)
        contents = [content for _, content in films(Path(data_path), 320)]
        print(json.dumps(hammer(address, key, contents, clients, seconds)))
        return
    with tempfile.TemporaryDirectory() as made:
        clinic, secret, key = made_clinic(Path(made), data)
        contents = [content for _, content in films(data, 40)]
        film = next((data / "dicom_cxr").glob("*.dcm"))
        own_s, own_cpu_s = own_time_s(clinic, contents)
        with served(clinic) as (address, process, start_s):
            figures: dict[str, Any] = {"start_s": start_s, "start_cpu_s": cpu_s(process), "resident_mb": resident_mb(process)}
            figures |= {"model_s": own_s, "model_cpu_s": own_cpu_s}
            client = doctor(address, secret)
            figures["answer_s"], figures["answer_with_map_s"] = one_doctor(client, film.read_bytes())
            figures["resident_with_films_mb"] = resident_mb(process)
            if "browser" not in wishes.skip:
                figures["browser_answer_s"], figures["browser_map_s"] = in_browser(address, secret, film)
            print(json.dumps(figures), file=sys.stderr)
            told = under_load(address, key, process, data, wishes.clients, wishes.seconds)
        took = np.array(told["took"])
        count = len(took)
        figures |= {
            "requests": count,
            "p50_s": float(np.quantile(took, 0.5)),
            "p99_s": float(np.quantile(took, 0.99)),
            "p99_over_model": float(np.quantile(took, 0.99)) / own_s,
            "errors": len(told["errors"]),
            "memory_growth": told["growth"],
            "server_cpu_ms_a_request": 1e3 * told["server_cpu_s"] / count,
            "client_cpu_ms_a_request": 1e3 * told["cpu_s"] / count,
            "server_share": told["server_cpu_s"] / told["wall_s"] / (os.cpu_count() or 1),
            "client_share": told["cpu_s"] / told["wall_s"] / (os.cpu_count() or 1),
            "load": os.getloadavg()[0],
        }
        if wishes.all:
            figures |= accepted()
        if told["errors"]:
            print(told["errors"][:3], file=sys.stderr)
        print(last_line({name: round(value, 4) for name, value in figures.items()}, 1))


if __name__ == "__main__":
    main()
