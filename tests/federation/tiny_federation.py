"""Three tiny hospitals with a table of three columns: a round of real training takes milliseconds."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from wardround.hub.coordinator import Coordinator
from wardround.hub.notices import Listener, Notice
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.config import identity_in
from wardround.site.refusals import REFUSALS_IN_A_ROW
from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.values.canonical import sha256_hex
from wardround.values.ids import SiteId, site_id
from wardround.values.records import Records
from wardround.values.rows import Rows
from wardround.values.tree import Tree

MARKER = "ANNA-MUELLER-1951"
NAMES = ("east", "north", "south")
SIZES = {"east": 30, "north": 48, "south": 36}

STUDY = """\
format = 1
[question]
title = "Tiny"
[data]
kind = "table"
[[data.columns]]
name = "a"
range = [-4, 4]
[[data.columns]]
name = "b"
range = [-4, 4]
[[data.columns]]
name = "c"
range = [-4, 4]
[network]
name = "mlp"
hidden = [4]
[training]
optimizer = "sgd"
learning_rate = 0.5
batch_size = 16
local_epochs = 2
seed = 7
[algorithm]
name = "ALGORITHM"
rounds = ROUNDS
[summation]
mode = "MODE"
collusion = 1
[evaluation]
own_baseline = OWN
[sites]
minimum = MINIMUM
"""
LOCAL_STEPS = 'optimizer = "sgd"\nlearning_rate = 0.5\nbatch_size = 16\nlocal_epochs = 2\n'


def study(
    algorithm: str = "fedavg", *, rounds: int = 3, own: bool = False, minimum: int = 2, mode: str = "plain", collusion: int = 1
) -> Study:
    """Plain unless asked: what is not about masks is tested without them."""
    text = STUDY.replace("ALGORITHM", algorithm).replace("ROUNDS", str(rounds)).replace("MINIMUM", str(minimum))
    text = text.replace("MODE", mode).replace("collusion = 1", f"collusion = {collusion}")
    if algorithm == "fedsgd":
        text = text.replace(LOCAL_STEPS, "")
    return parse_study(text.replace("OWN", str(own).lower()))


def enrolled(of: Study, folder: Path, names: tuple[str, ...] = NAMES) -> Study:
    """The study with the identity keys that its sites' folders hold; as it is where nothing is masked."""
    if of.summation.mode == "plain":
        return of
    keys = {name: identity_in(folder / "sites" / name).public for name in sorted(names)}
    return of.revised(sites={"names": tuple(keys), "keys": keys})


def records(name: str, *, shift: float = 0.0) -> Records:
    """Each hospital's own mix of patients; the names of patients and one value hold MARKER and 1951."""
    count = SIZES[name]
    rng = np.random.Generator(np.random.Philox(NAMES.index(name)))
    inputs = (rng.standard_normal((count, 3)) + 0.3 * NAMES.index(name) + shift).astype(np.float32)
    noise = rng.standard_normal(count)
    return Records(
        inputs,
        (inputs @ np.array([1.0, -1.0, 0.5]) + noise > 0.2).astype(np.int8),
        np.array([f"{MARKER}-{name}-{index}" for index in range(count)]),
        np.array((["train"] * 4 + ["validation", "test"]) * (count // 6)),
    )


def rows(name: str) -> Rows:
    """The same patients as they were measured; the label is the column `ill`."""
    own = records(name)
    columns = {column: own.inputs[:, at].astype(np.float64) for at, column in enumerate("abc")}
    return Rows({**columns, "ill": own.labels.astype(np.float64)}, own.patients, own.splits, name)


def site(
    name: str,
    of: Study,
    folder: Path,
    load: Callable[[], Records] | None = None,
    *,
    refusals_in_a_row: int = REFUSALS_IN_A_ROW,
) -> Site:
    identity = identity_in(folder) if of.summation.mode == "masked" else None
    ledger = Ledger(folder / "ledger.sqlite") if of.privacy.private else None
    own: Any = records if of.analysis is None else rows
    read = load or (lambda: own(name))
    return Site(
        site_id(name),
        of,
        read,
        folder,
        identity=identity,
        device="cpu",
        threads=1,
        ledger=ledger,
        refusals_in_a_row=refusals_in_a_row,
    )


Handle = Callable[[bytes], bytes]
Tamper = Callable[[SiteId, bytes, Handle], bytes | None]
"""Gets a site's name, the order and the site; gives the answer, or None for none."""


def honest(name: SiteId, order: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:  # noqa: ARG001
    return handle(order)


class Ward:
    """An engine whose exchanges a test can tamper with. Keeps every byte that went either way."""

    def __init__(
        self,
        of: Study,
        folder: Path,
        *,
        tamper: Tamper = honest,
        names: tuple[str, ...] = NAMES,
        refusals_in_a_row: int = REFUSALS_IN_A_ROW,
    ) -> None:
        self._sites = {
            site_id(name): site(name, of, folder / "sites" / name, refusals_in_a_row=refusals_in_a_row) for name in names
        }
        self.tamper = tamper
        self.orders: list[bytes] = []
        self.answers: list[bytes] = []

    def sites(self) -> tuple[SiteId, ...]:
        return tuple(sorted(self._sites))

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> dict[SiteId, bytes]:
        assert deadline_s > 0
        found: dict[SiteId, bytes] = {}
        for name, order in sorted(outbox.items()):
            self.orders.append(order)
            answer = self.tamper(name, order, self._sites[name].handle)
            if answer is not None:
                found[name] = answer
                self.answers.append(answer)
                if arrived:
                    arrived(name)
        return found

    def close(self) -> None:
        for one in self._sites.values():
            one.close()


@contextmanager
def ward(of: Study, folder: Path, tamper: Tamper = honest, names: tuple[str, ...] = NAMES) -> Iterator[Ward]:
    made = Ward(of, folder, tamper=tamper, names=names)
    try:
        yield made
    finally:
        made.close()


def silent(event: Notice) -> None:
    """The listener that listens to nothing."""


def run(of: Study, folder: Path, tamper: Tamper = honest, listener: Listener = silent) -> Tree:
    """The study from its checkpoint, or from the start, to the closed run. The final model."""
    of = enrolled(of, folder)
    with ward(of, folder, tamper) as engine:
        coordinator = Coordinator(of, engine, folder, listener=listener)
        coordinator.run()
        coordinator.close()
        return coordinator.model


def files_in(folder: Path) -> dict[str, str]:
    """Hashes of all files that hold state: not the log and the count of refusals, which may grow, and not locks."""
    return {
        str(path.relative_to(folder)): sha256_hex(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("log.ndjson", "refusals") and path.suffix != ".lock"
    }
