"""What a message between hospitals costs: a hub and three sites, each a process of its own, over TLS on this machine.

    python benchmarks/network/network.py                       # short messages and 100 MB each way: two minutes on idle cores
    python benchmarks/network/network.py --repeats 3 --large 20
    python benchmarks/network/network.py --all                 # then against_local.py and many_sites.py, one line for all

Sealed messages go the whole way: seal, log, Flower's SuperLink behind the gate, number file, open, answer, and back. Sites
answer with what came and a few bytes of their own, so that no two answers are equal. A site's work takes no time, so that what is
seen is the way alone.

Seconds are medians by the hub's clock, from before sealing to the last answer opened. Peaks are the high-water mark of resident
memory (VmHWM) of the hub's and of the largest site's process after the large exchanges; `…_over_payload` is the peak less 200 MB
over one payload. The hub reads its answers one after the other, as the coordinator does. The machine's load is in the last line.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line

SITES = ("east", "north", "south")
SHORT = (1_000, 100_000, 1_000_000)
STUDY = "5" * 64
SPARE_BYTES = 200e6


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a stopped benchmark ends what it started
    parser = argparse.ArgumentParser(description="Messages between a hub and three hospitals.")
    parser.add_argument("--repeats", type=int, default=30, help="exchanges of each short size")
    parser.add_argument("--large", type=int, default=100, help="MB of the large message; 0 for none")
    parser.add_argument("--large-repeats", type=int, default=5)
    parser.add_argument("--all", action="store_true", help="run against_local.py and many_sites.py too, ten minutes more")
    parser.add_argument("--role", choices=("hub", "site"), help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.role == "hub":
        hub(chosen.folder, chosen.repeats, chosen.large * 1_000_000, chosen.large_repeats)
    elif chosen.role == "site":
        site(chosen.folder, chosen.name)
    else:
        measure(chosen)


def measure(chosen: argparse.Namespace) -> None:
    """Starts the processes, prints the table and the last line."""
    with tempfile.TemporaryDirectory(prefix="wardround-network-") as temporary:
        folder = Path(temporary)
        make_parties(folder)
        passed = [f"--repeats={chosen.repeats}", f"--large={chosen.large}", f"--large-repeats={chosen.large_repeats}"]
        processes = [started("site", folder, "--name", name) for name in SITES]
        try:
            result = json.loads(subprocess.run(command("hub", folder, *passed), check=True, stdout=subprocess.PIPE).stdout)
        finally:
            for process in processes:
                process.kill()
                process.wait()
    print(f"{'bytes':>12} {'median s':>9} {'fastest':>8} {'slowest':>8} {'hub CPU s':>10} {'sites CPU s':>12}")
    for row in result["rows"]:
        print(
            f"{row['bytes']:>12,} {row['median']:>9.3f} {row['fastest']:>8.3f} {row['slowest']:>8.3f} "
            f"{row['hub_cpu']:>10.3f} {row['sites_cpu']:>12.3f}"
        )
    print(last_line({**figures(result), **(others() if chosen.all else {})}, None))


def others() -> dict[str, float]:
    """The figures of the two programs beside this one."""
    told: dict[str, float] = {}
    for name, *keys in (("against_local", "wall_vs_local", "same_bits"), ("many_sites", "sites_100_cpu_s", "sites")):
        path = Path(__file__).with_name(f"{name}.py")
        printed = subprocess.run([sys.executable, str(path)], check=True, stdout=subprocess.PIPE, text=True).stdout
        line = json.loads(printed.splitlines()[-1])
        told |= {key: line[key] for key in keys}
    return told


def figures(result: dict[str, Any]) -> dict[str, float]:
    short = [row["median"] for row in result["rows"] if row["bytes"] in SHORT]
    shown = {"exchange_s": round(max(short), 3), "load": result["load"]}
    for row in result["rows"]:
        if row["bytes"] not in SHORT:
            shown["exchange_100mb_s"] = round(row["median"] * 100e6 / row["bytes"], 2)
            shown["hub_peak_over_payload"] = round((result["hub_peak"] - SPARE_BYTES) / row["bytes"], 2)
            shown["site_peak_over_payload"] = round((result["site_peak"] - SPARE_BYTES) / row["bytes"], 2)
            shown["hub_peak_mb"], shown["site_peak_mb"] = round(result["hub_peak"] / 1e6), round(result["site_peak"] / 1e6)
    return shown


def hub(folder: Path, repeats: int, large: int, large_repeats: int) -> None:
    """The hub's process: measures, and prints what it saw as JSON."""
    from wardround.engines.flower.hub import FlowerHub
    from wardround.engines.remote.body_app import BodyApp
    from wardround.engines.remote.body_store import BodyStore
    from wardround.engines.remote.hub_post import HubPost
    from wardround.values.chained_log import ChainedLog
    from wardround.values.ids import SiteId
    from wardround.wire.sealed import HUB, KeyCard

    cards = {name: KeyCard(**card) for name, card in json.loads((folder / "cards.json").read_text()).items()}
    logins = {SiteId(name): (folder / name / "login.pub").read_bytes() for name in SITES}
    store = BodyStore(folder / HUB / "bodies")
    server = FlowerHub(
        "127.0.0.1",
        0,
        folder / "keys" / "server.pem",
        folder / "keys" / "server.pem",
        lambda: logins,
        BodyApp(store, lambda: cards),
    )
    log, numbers = ChainedLog(folder / HUB / "log"), folder / HUB / "numbers"
    post = HubPost(server.carrier, party(folder, HUB), lambda: cards, store, log, numbers)
    server.start()
    (folder / "address.part").write_text(f"127.0.0.1:{server.port}")
    (folder / "address.part").rename(folder / "address")
    rows = [timed(folder, post, size, repeats) for size in SHORT]
    if large:
        rows.append(timed(folder, post, large, large_repeats))
    pids = site_pids(folder)
    peaks = {"hub_peak": peak(os.getpid()), "site_peak": max(map(peak, pids))}
    print(json.dumps({"rows": rows, **peaks, "load": round(os.getloadavg()[0], 1)}), flush=True)
    server.stop()


def timed(folder: Path, post: Any, size: int, repeats: int) -> dict[str, float]:
    """The same bytes to every site, as a plain round has them; another message each time. The first exchange is not counted."""
    seconds: list[float] = []
    cpu = (0.0, 0.0)
    for repeat in range(repeats + 1):
        if repeat == 1:
            cpu = cpu_seconds([os.getpid()]), cpu_seconds(site_pids(folder))
        data = os.urandom(size)
        began = time.monotonic()
        answers = post.ask("order", STUDY, dict.fromkeys(SITES, data), 300.0)
        for name in answers:
            answer = answers[name]
            if not (answer.startswith(data) and answer.endswith(name.encode())):
                raise SystemExit(f"{name} answered something else")
            del answer  # one of them at a time
        if len(answers) < len(SITES):
            raise SystemExit(f"only {', '.join(answers)} answered")
        seconds.append(time.monotonic() - began)
        del data, answers
    seconds = seconds[1:]
    hub_cpu, sites_cpu = cpu_seconds([os.getpid()]) - cpu[0], cpu_seconds(site_pids(folder)) - cpu[1]
    return {
        "bytes": size,
        "median": statistics.median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "hub_cpu": hub_cpu / repeats,
        "sites_cpu": sites_cpu / repeats,
    }


def site(folder: Path, name: str) -> None:
    """A site's process: answers with what came and its name."""
    from wardround.engines.flower.site_carrier import FlowerSiteCarrier
    from wardround.engines.remote.body_client import BodyClient
    from wardround.engines.remote.site_post import SitePost
    from wardround.values.chained_log import ChainedLog
    from wardround.wire.sealed import HUB, KeyCard

    (folder / name / "pid").write_text(str(os.getpid()))
    while not (folder / "address").exists():
        time.sleep(0.05)
    address, ca_pem = (folder / "address").read_text(), (folder / "ca.pem").read_bytes()
    me = party(folder, name)
    card = KeyCard(**json.loads((folder / "cards.json").read_text())[HUB])
    carrier = FlowerSiteCarrier(address, ca_pem, folder / name / "login.key", folder / name / "node")
    log, bodies = ChainedLog(folder / name / "log"), BodyClient(address, ca_pem, me)
    SitePost(carrier, me, card, folder / name / "post", bodies, log).serve(
        lambda _, body: ("reply", body + name.encode()), threading.Event()
    )


def party(folder: Path, name: str) -> Any:
    from wardround.crypto.identity import Identity
    from wardround.crypto.sealing import SealingKey
    from wardround.wire.sealed import Party

    return Party(name, Identity.at(folder / name / "identity.key"), SealingKey.at(folder / name / "sealing.key"))


def make_parties(folder: Path) -> None:
    """Keys and certificates, as `hub init` and `site join` make them."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from wardround.hub.daemon.certificates import Authority, server_certificate
    from wardround.values.durable import write_atomic
    from wardround.wire.hub_address import HubAddress
    from wardround.wire.sealed import HUB

    (folder / "ca.pem").write_text(Authority.at(folder / "keys").certificate)
    server_certificate(folder / "keys", HubAddress.read("127.0.0.1:443"))
    cards = {name: vars(party(folder, name).card) for name in (HUB, *SITES)}
    (folder / "cards.json").write_text(json.dumps(cards))
    pem, kind = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    for name in SITES:
        key = ec.generate_private_key(ec.SECP384R1())
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        write_atomic(folder / name / "login.key", private, private=True)
        (folder / name / "login.pub").write_bytes(key.public_key().public_bytes(pem, kind))


def command(role: str, folder: Path, *more: str) -> list[str]:
    return [sys.executable, str(Path(__file__).resolve()), f"--role={role}", f"--folder={folder}", *more]


def started(role: str, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command(role, folder, *more))


def site_pids(folder: Path) -> list[int]:
    return [int((folder / name / "pid").read_text()) for name in SITES]


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these processes so far."""
    ticks = 0
    for pid in pids:
        values = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(values[11]) + int(values[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak(pid: int) -> int:
    """Bytes of resident memory at most so far."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
