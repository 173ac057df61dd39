"""A hundred hospitals on this machine: one hub process, and a process for each hospital, over TLS and Flower.

    python benchmarks/network/many_sites.py --sites 100 --rounds 20

The hospitals are forked from one process that has loaded PyTorch, so that they share its memory. Each has a folder, keys, a table
of 60 made-up patients, a policy and an approval of its own, and speaks for itself; nothing is shared but memory that nobody
writes.

The last line is JSON: `sites_100_cpu_s` (CPU seconds of the hub for one exchange, whatever the number of sites was), `sites`,
`rounds`, `exchanges`, `seconds` (from the first order to the finished model), `seconds_a_round`, `hub_peak_mib`, `finished`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from federation import Federation, write_table
from last_line import last_line
from wardround.cli.site.wiring import site_line
from wardround.hub.daemon.certificates import Authority
from wardround.hub.daemon.home import HubHome
from wardround.hub.daemon.invitations import Inviter, invite
from wardround.hub.daemon.roster import Roster
from wardround.site.daemon.approvals import DAY_MS, Deciding, Decisions
from wardround.site.daemon.data_sets import DataSets
from wardround.site.daemon.desk import SiteDesk
from wardround.site.daemon.examination import examine
from wardround.site.daemon.home import SiteHome
from wardround.site.daemon.hub_record import HubRecord
from wardround.site.daemon.joining import join, status
from wardround.site.daemon.offers import Offers
from wardround.site.daemon.policy import load_policy
from wardround.site.daemon.service import SiteService
from wardround.wire.hub_address import HubAddress
from wardround.wire.sealed import KeyCard

DATA = "records"
STUDY = """\
format = 1
[question]
title = "Many hospitals"
[data]
kind = "table"
[[data.columns]]
name = "a"
range = [-40, 40]
[[data.columns]]
name = "b"
range = [-40, 40]
[[data.columns]]
name = "c"
range = [-40, 40]
[network]
name = "mlp"
hidden = [8]
[training]
learning_rate = 0.1
local_epochs = 1
[algorithm]
name = "fedavg"
rounds = ROUNDS
[evaluation]
own_baseline = false
"""


def joined(federation: Federation, name: str) -> SiteHome:
    """A hospital that has joined and was confirmed, with a data set of its own."""
    hub = HubHome(federation.hub)
    roster = Roster(hub.path, hub.log)
    authority = Authority.at(hub.path / "keys").certificate
    inviter = Inviter(HubAddress.read(hub.settings.address), hub.identity, hub.sealing.public, authority)
    home = SiteHome(federation.home(name))
    asked = join(invite(roster, inviter, name).text.encode(), home)
    roster.confirm(name, asked.words)
    status(home)
    table = federation.folder / f"{name}.csv"
    write_table(table, 1 + abs(hash(name)) % 7, 60)
    DataSets(home.data_file).add(DATA, str(table), mapping=None, ledger=None)
    home.policy_file.write_text("smallest_patients = 10\ncores = 1\n")
    home.policy_file.chmod(0o600)
    return home


def serve(home: SiteHome) -> None:
    """One hospital's process, until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with site_line(home) as line:
        SiteService(home, SiteDesk(home, card_of(home)), line, lambda _: None).run(stop)


def card_of(home: SiteHome) -> KeyCard:
    return KeyCard(HubRecord.required(home).name, home.identity.public, home.sealing.public)


def approve(home: SiteHome, study: str) -> bool:
    """As its people would; whether the study was offered."""
    offers = Offers(home, card_of(home))
    if study not in offers.hashes():
        return False
    offered, policy = offers.get(study), load_policy(home.policy_file)
    examined = examine(offered.study, DATA, DataSets(home.data_file).get(DATA), policy, home.ledgers)
    now_ms = int(time.time() * 1000)
    decisions = Decisions(home.studies, card_of(home).name, home.identity)
    decisions.decide(study, "approved", examined.facts, policy, Deciding("Benchmark", now_ms, now_ms + DAY_MS))
    return True


def forked(homes: dict[str, SiteHome]) -> list[int]:
    """A process for each hospital, in which PyTorch is loaded already."""
    import torch

    import wardround.training.loop  # noqa: F401

    torch.set_num_threads(1)
    processes = []
    for home in homes.values():
        process = os.fork()
        if process == 0:
            try:
                serve(home)
            finally:
                os._exit(0)
        processes.append(process)
    return processes


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--sites", type=int, default=100)
    asked.add_argument("--rounds", type=int, default=20)
    chosen = asked.parse_args()
    names = tuple(f"site-{number:03}" for number in range(1, chosen.sites + 1))
    folder = Path(tempfile.mkdtemp(prefix="wardround-many-"))
    os.environ["WARDROUND_HOME"] = str(folder / "home")
    federation = Federation(folder, names)
    processes: list[int] = []
    try:
        federation.begin_hub()
        began = time.monotonic()
        homes = {name: joined(federation, name) for name in names}
        print(f"{len(names)} hospitals have joined in {time.monotonic() - began:.0f} s")
        processes = forked(homes)
        (study_file := folder / "study.toml").write_text(STUDY.replace("ROUNDS", str(chosen.rounds)))
        study = federation.submit(study_file)
        waiting = dict(homes)
        while waiting:
            waiting = {name: home for name, home in waiting.items() if not approve(home, study)}
            time.sleep(0.5)
        print(f"all have approved, {time.monotonic() - began:.0f} s after the first joined")
        figures = measured(federation, study, chosen.rounds)
    finally:
        for process in processes:
            os.kill(process, signal.SIGKILL)
        federation.close()
    print(
        f"{'sites':>6} {'rounds':>6} {'seconds':>8} {'a round':>8} {'exchanges':>9} {'hub CPU s an exchange':>22} {'hub MiB':>8}"
    )
    print(
        f"{figures['sites']:6} {figures['rounds']:6} {figures['seconds']:8.1f} {figures['seconds_a_round']:8.2f} "
        f"{figures['exchanges']:9} {figures['sites_100_cpu_s']:22.3f} {figures['hub_peak_mib']:8.0f}"
    )
    print(last_line(figures, None))


def cpu_seconds(process: int) -> float:
    """CPU time of a process so far, its threads together."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(federation: Federation, study: str, rounds: int) -> dict[str, float]:
    """What the hub took from the first order to the finished model."""
    hub = federation.processes["hub"].pid
    while federation.state(study)["phase"] == "offered":
        time.sleep(0.1)
    cpu, began = cpu_seconds(hub), time.monotonic()
    phase = federation.wait(study, 3600.0)
    seconds = time.monotonic() - began
    used = cpu_seconds(hub) - cpu
    lines = [line for path in (federation.hub / "log").glob("*.ndjson") for line in path.read_text().splitlines()]
    exchanges = sum(json.loads(line)["code"] == "order-sent" for line in lines)
    status = Path(f"/proc/{hub}/status").read_text().splitlines()
    peak = int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
    return {
        "sites_100_cpu_s": used / max(1, exchanges),
        "sites": len(federation.names),
        "rounds": rounds,
        "exchanges": exchanges,
        "seconds": seconds,
        "seconds_a_round": seconds / rounds,
        "hub_peak_mib": peak,
        "finished": int(phase == "finished"),
    }


if __name__ == "__main__":
    main()
