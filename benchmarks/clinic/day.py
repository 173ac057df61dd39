"""Ten days of a clinic in some minutes: how much memory it gains, and whether a request is lost.

    WARDROUND_DATA=... python benchmarks/clinic/day.py [--minutes 10] [--films 20000] [--doctors 2000]

A day is taken to bring 2,000 films by machines (`/v1/predict`) and 200 that a doctor drops, reads with the heat map and prints
the sheet of: about the chest films of a hospital of 1,000 beds. Ten times that arrives at random moments: no request waits for
another's answer. Machines send real films of 224 pixels, doctors the real DICOM film of 1024 pixels. Memory is that of all
processes of the clinic (PSS), looked at at every tenth.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from clinic import cpu_s, doctor, films, made_clinic, resident_mb, served
from last_line import last_line

SEED = 1
_AT_ONCE = 64
"""Connections of all clients; a request that finds none waits, and its wait counts."""


class Visitors:
    """What machines and doctors do, and how long it took."""

    def __init__(self, client: httpx.AsyncClient, key: str, cookies: httpx.Cookies, token: str, contents: list[bytes]) -> None:
        self._client, self._headers, self._cookies, self._token = client, {"authorization": f"Bearer {key}"}, cookies, token
        self._contents = contents
        self.took: dict[str, list[float]] = {"film": [], "doctor": []}
        self.errors: Counter[str] = Counter()

    async def film(self, number: int) -> None:
        content = self._contents[number % len(self._contents)]
        reply = await self._client.post("/v1/predict", content=content, headers=self._headers)
        self._note("/v1/predict", reply)

    async def read(self, film: bytes) -> None:
        """A doctor's film: dropped, shown with its heat map, and the patient's sheet as PDF."""
        form = {"data": {"token": self._token}, "files": {"file": ("film.dcm", film)}, "headers": {"accept": "application/json"}}
        told = await self._client.post("/cases", cookies=self._cookies, **form)  # type: ignore[arg-type]
        self._note("/cases", told)
        case = told.json().get("case", "") if told.status_code == 200 else ""
        for path in ("", "/film", "/heat", "/sheet.pdf") if case else ():
            self._note(f"/cases/ID{path}", await self._client.get(f"/cases/{case}{path}", cookies=self._cookies))

    async def timed(self, kind: str, work: Any) -> None:
        began = time.perf_counter()
        try:
            await work
        except httpx.HTTPError as error:
            self.errors[type(error).__name__] += 1
        self.took[kind].append(time.perf_counter() - began)

    def _note(self, path: str, reply: httpx.Response) -> None:
        if reply.status_code != 200:
            self.errors[f"{path} {reply.status_code}"] += 1


async def days(
    address: str, key: str, secret: str, contents: list[bytes], film: bytes, process: psutil.Process, wishes: argparse.Namespace
) -> tuple[Visitors, list[float]]:
    """Everybody comes at their moment. Memory at every tenth."""
    seconds, rng = 60.0 * wishes.minutes, np.random.default_rng(SEED)
    moments = [(at, "film") for at in rng.uniform(0, seconds, wishes.films)]
    moments += [(at, "doctor") for at in rng.uniform(0, seconds, wishes.doctors)]
    person = doctor(address, secret)
    page = person.get("/facts").text
    token = next(part.split('"')[0] for part in page.split('name="token" value="')[1:])
    limits = httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE)
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=120, limits=limits, trust_env=False) as client:
        visitors = Visitors(client, key, person.cookies, token, contents)
        memory, began, tasks = [], time.perf_counter(), set()
        for number, (at, kind) in enumerate(sorted(moments)):
            wait = at - (time.perf_counter() - began)
            if wait > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(visitors.timed(kind, visitors.film(number) if kind == "film" else visitors.read(film)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            if number % (len(moments) // 10) == len(moments) // 10 - 1:
                memory.append(resident_mb(process))
                print(
                    f"{number + 1} of {len(moments)}: {memory[-1]:.0f} MB, {sum(visitors.errors.values())} errors",
                    file=sys.stderr,
                )
        await asyncio.gather(*tasks)
        memory.append(resident_mb(process))
    return visitors, memory


def main() -> None:
    """Prints what it finds as it goes, and one line of JSON at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--films", type=int, default=20_000)
    parser.add_argument("--doctors", type=int, default=2_000)
    wishes = parser.parse_args()
    data = Path(os.environ["WARDROUND_DATA"])
    with tempfile.TemporaryDirectory() as made:
        clinic, secret, key = made_clinic(Path(made), data)
        contents = [content for _, content in films(data, 320)]
        film = next((data / "dicom_cxr").glob("*.dcm")).read_bytes()
        with served(clinic) as (address, process, _):
            began = time.perf_counter()
            visitors, memory = asyncio.run(days(address, key, secret, contents, film, process, wishes))
            seconds, used = time.perf_counter() - began, cpu_s(process)
        size = sum(path.stat().st_size for path in clinic.path.glob("clinic.db*"))
    figures: dict[str, Any] = {"films": wishes.films, "doctors": wishes.doctors, "seconds": round(seconds, 1)}
    for kind, took in visitors.took.items():
        figures |= {
            f"{kind}_p50_s": round(float(np.quantile(took, 0.5)), 4),
            f"{kind}_p99_s": round(float(np.quantile(took, 0.99)), 4),
        }
    figures |= {
        "errors": dict(visitors.errors),
        "memory_mb": [round(value, 1) for value in memory],
        "memory_growth": round(memory[-1] / memory[2] - 1, 4),
        "database_mb": round(size / 1e6, 1),
        "server_share": round(used / seconds / (os.cpu_count() or 1), 3),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(figures["memory_mb"]), file=sys.stderr)
    print(last_line(figures, SEED))


if __name__ == "__main__":
    main()
