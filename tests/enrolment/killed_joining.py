"""Kills `join`, `status` or the hub at one step after the other, and runs it again. A program of its own, without threads.

    python killed_joining.py FOLDER     FOLDER/n.invitation: for step n      FOLDER/moving: a home whose new keys are confirmed
                                        FOLDER/hub: a hub's home; FOLDER/request: to it, not sent yet; FOLDER/card.json: its keys

Prints one line of JSON: the steps that were killed, and every result that differs from what an undisturbed run gives.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from wardround.crypto.login_key import LoginKey
from wardround.hub.daemon.admission import Admission
from wardround.hub.daemon.roster import Roster, RosterEntry
from wardround.site.daemon.home import SiteHome
from wardround.site.daemon.hub_record import HubRecord
from wardround.site.daemon.joining import join, status
from wardround.values.chained_log import ChainedLog, verify
from wardround.values.errors import WardroundError
from wardround.wire.enrolment import read_request
from wardround.wire.sealed import KeyCard

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "socket.connect"}


def killed_at(step: int, folder: Path, action: Callable[[], object]) -> bool:
    """Runs the action in a child that dies at its n-th change of the disk or connection. Whether it died."""
    child = os.fork()
    if child == 0:
        count = 0

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
            inside = event == "socket.connect" or any(str(folder) in str(one) for one in arguments)
            if (opens or event in CHANGES) and inside:
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        action()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def keys_of(home: SiteHome) -> tuple[str, str, str]:
    return home.identity.public, home.sealing.public, LoginKey.at(home.login_key).public


def joined_in_steps(folder: Path) -> tuple[int, list[str]]:
    faults: list[str] = []
    for step in range(1, 1000):
        invitation = (folder / f"{step}.invitation").read_bytes()
        path = folder / f"home{step}"
        died = killed_at(step, path, lambda path=path, text=invitation: join(text, SiteHome(path)))  # type: ignore[misc]
        try:
            home = SiteHome(path)
            joined, record = join(invitation, home), HubRecord.required(home)
        except WardroundError as error:
            faults.append(f"{step}: {error}")
            continue
        keys = read_request(record.request.encode()).keys
        if joined.state != "waiting" or (keys.identity, keys.sealing, keys.login) != keys_of(home):
            faults.append(f"{step}: {joined}")
        if not died:
            return step, faults
    raise AssertionError("it never ended")


def moved_in_steps(folder: Path) -> tuple[int, list[str]]:
    faults: list[str] = []
    for step in range(1, 1000):
        path = folder / f"moved{step}"
        shutil.copytree(folder / "moving", path)
        died = killed_at(step, path, lambda path=path: status(SiteHome(path)))  # type: ignore[misc]
        try:
            home = SiteHome(path)
            joined, record = status(home), HubRecord.required(home)
        except WardroundError as error:
            faults.append(f"{step}: {error}")
            continue
        keys = read_request(record.request.encode()).keys
        if joined.state != "confirmed" or (keys.identity, keys.sealing, keys.login) != keys_of(home):
            faults.append(f"{step}: {joined}")
        if (path / "keys" / "next").exists() or record.rotation or record.moving:
            faults.append(f"{step}: something was left")
        if not died:
            return step, faults
    raise AssertionError("it never ended")


def entered_in_steps(folder: Path) -> tuple[int, list[str]]:
    """The hub dies while it enters a site, and hears the same request again."""
    faults: list[str] = []
    request, card = (folder / "request").read_bytes(), KeyCard(**json.loads((folder / "card.json").read_text()))
    for step in range(1, 1000):
        path = folder / f"hub{step}"
        shutil.copytree(folder / "hub", path)

        def entered(path: Path = path) -> RosterEntry:
            return Admission(Roster(path, ChainedLog(path / "log")), card).entry(request)

        died = killed_at(step, path, entered)
        try:
            states = [entered().state, entered().state]
        except WardroundError as error:
            faults.append(f"{step}: {error}")
            continue
        content = Roster(path, ChainedLog(path / "log")).content()
        if states != ["waiting"] * 2 or len(content.entries) != 1 or content.invitations or verify(path / "log").problem:
            faults.append(f"{step}: {states} {content}")
        if not died:
            return step, faults
    raise AssertionError("it never ended")


if __name__ == "__main__":
    there = Path(sys.argv[1])
    ways = {"joining": joined_in_steps(there), "moving": moved_in_steps(there), "entering": entered_in_steps(there)}
    print(json.dumps({name: {"steps": steps, "faults": faults} for name, (steps, faults) in ways.items()}))
