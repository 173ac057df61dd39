"""A hub that is killed -9 at its writes, again and again, until its study is over. Not a test: `test_killed_hub.py` runs it.

Each life is a child of this process. It kills itself just before some file of it or of a hospital is replaced. Printed is one
JSON object: how often it died, in which phases, and the hash of the model.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import wardround.evidence.charts
import wardround.tasks
import wardround.training.onnx_export  # noqa: F401  (loaded once, before the children)
from tests.federation.tiny_federation import NAMES, study
from tests.hub.daemon.hub_ward import Hospital, HubWard, until
from wardround.hub.daemon.studies import StudyFolder, folders

CLOSED = "closed"
MOST_LIVES = 300


def hub_at(path: Path) -> HubWard:
    hub = HubWard(path)
    closed = path / CLOSED

    def before(_: bytes) -> None:
        hub.hospitals["south"].away = closed.exists()

    hub.hospitals["east"].before = before  # so it approves, and is away from the first order on
    return hub


def life(path: Path, writes: int | None) -> None:
    """One process's life. writes: it dies at this one; None: it lives to the end."""
    left = [writes]
    replace = Path.replace

    def replaced(self: Path, target: Path) -> Path:
        if left[0] is not None:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    Path.replace = replaced  # type: ignore[assignment]
    hub = hub_at(path)
    folder = hub.submit(study(mode="masked", rounds=3, collusion=0))
    with hub.up():
        until(folder, "finished", "failed", "stopped", seconds=20)
    hub.close()


def one_life(path: Path, writes: int | None) -> bool:
    """Whether the child lived to the end of what it had to do."""
    child = os.fork()
    if child == 0:
        try:
            life(path, writes)
        except AssertionError:
            os._exit(3)  # it waits for a person or a hospital
        except BaseException:  # noqa: BLE001
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 1:
        raise SystemExit("a life ended with an error")
    return code in (0, 3)


def submitted(path: Path) -> StudyFolder | None:
    found = list((path / "hub" / "studies").glob("?" * 64))
    return StudyFolder(found[0]) if found else None


def killed(path: Path, seed: int) -> dict[str, object]:
    """Lives until the study is finished; the hospital's gate opens, and a person stops and resumes it, on the way."""
    rng, began = random.Random(seed), time.monotonic()
    phases: dict[str, int] = {}
    (path / CLOSED).touch()
    for lives in range(1, MOST_LIVES):
        # The first three die while the hub is made, while the study is submitted, and at the first offer.
        survived = one_life(path, lives + 2 if lives <= 3 else rng.randint(1, 14))
        folder = submitted(path)
        if folder is None:
            phases["none"] = phases.get("none", 0) + 1
            continue
        state = folder.state
        phases[state.phase] = phases.get(state.phase, 0) + (not survived)
        if state.phase == "finished":
            return {"lives": lives, "phases": phases, "model": state.model, "seconds": round(time.monotonic() - began)}
        if state.phase == "failed":
            raise SystemExit(f"{state.reason} {state.mend}")
        _person(path, folder, phases)
    raise SystemExit(f"not finished after {MOST_LIVES} lives: {phases}")


def _person(path: Path, folder: StudyFolder, phases: dict[str, int]) -> None:
    if phases.get("waiting", 0) >= 3:
        (path / CLOSED).unlink(missing_ok=True)
    if folder.state.phase == "stopped":
        folder.say("resume")
    elif folder.state.phase == "running" and len(folder.state.rounds) == 1 and "stopped" not in phases:
        folder.say("stop")


def main(root: Path, seed: int) -> None:
    undisturbed, disturbed = root / "undisturbed", root / "disturbed"
    for name in NAMES:
        key = Hospital(name, undisturbed / "hospitals" / name)
        key.identity()
        shutil.copytree(key.folder, disturbed / "hospitals" / name)
    assert one_life(undisturbed, None)
    folder = submitted(undisturbed)
    assert folder is not None and folder.state.phase == "finished"
    told = killed(disturbed, seed)
    print(json.dumps({**told, "reference": folder.state.model, "rounds": len(folders(HubWard(disturbed).home)[0].state.rounds)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
