"""Two worlds: the same hospital with other patients, asked the same by a coordinator that a test plays.

    World (records) --Asked by Asked--> Coordinator of one site --> what the network sees: a word, the size of the reply

Studies are those of `tiny_federation`, with a deeper network and with columns that take any number up to 1e30, or none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.crypto.identity import Identity
from wardround.plan.plan import Plan
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.summation.masked.layout import content_of, set_hash
from wardround.values.canonical import sha256_hex
from wardround.values.ids import site_id
from wardround.values.records import Records
from wardround.values.tree import Bundle, Tree
from wardround.wire.envelope import from_bytes, pack_bundle, to_bytes
from wardround.wire.messages import Answer, Ask, AskHeader, ContributionMessage, Masked, Order, OrderHeader, Refusal, Statement

from ..federation.private_studies import PAIRS, private_study
from ..federation.tiny_federation import NAMES, study

FEATURES = 4
LIMIT = 2.0**20  # the largest value of a model that a site looks at
ALGORITHMS = ("fedavg", "fedprox", "fedopt", "scaffold", "fedbn", "fedsgd")
KINDS: dict[str, tuple[str, str, str]] = {
    **{f"none-{mode}-{name}": ("none", name, mode) for mode in ("plain", "masked") for name in ALGORITHMS},
    **{f"{mode}-{name}": (mode, name, "masked") for mode, name in PAIRS},
    "patient-local-plain-fedavg": ("patient-local", "fedavg", "plain"),
    "none-plain-settings": ("none", "fedavg", "plain"),
}
PERSONAL: dict[str, tuple[str, str, str]] = {
    "personal-none-plain-fedavg": ("none", "fedavg", "plain"),
    "personal-patient-distributed-fedsgd": ("patient-distributed", "fedsgd", "masked"),
}
"""Two with personal models, which are plain training under every mode."""
LOCAL_THRESHOLD = frozenset({"patient-local-plain-fedavg", "personal-patient-distributed-fedsgd"})
"""Those whose hospitals choose a threshold of their own."""
CANDIDATES = ["own", "federated", "fine_tuned", "recalibrated", "mixed", "neighbours"]
"""Every privacy mode with every algorithm that it takes, and with every way of adding: name -> mode, algorithm, summation. The
last has what else a study may set."""
SETTINGS: dict[str, dict[str, Any]] = {
    "training": {
        "optimizer": "adamw",
        "beta2": 0.9,
        "keep_optimizer": True,
        "weight_decay": 0.1,
        "ema_decay": 0.9,
        "clip_norm": 1.0,
        "label_smoothing": 0.1,
        "warmup_rounds": 0.5,
        "augmentation": {"mixup": 0.4},
    },
    "summation": {"max_update_norm": 0.5, "weight_step": 3, "word_bits": 16, "clip": 0.1},
}

PICTURES: dict[str, tuple[str, str, str]] = {
    "pictures-none-fedbn": ("none", "fedbn", "plain"),
    "pictures-none-scaffold": ("none", "scaffold", "plain"),
    "pictures-patient-distributed-fedsgd": ("patient-distributed", "fedsgd", "masked"),
    "pictures-site-fedbn": ("site", "fedbn", "masked"),
}
"""The same over images, whose networks normalise."""

_IDENTITIES = {name: Identity.new() for name in NAMES}
_COLUMNS = [
    {"name": "a", "center": 0.0, "scale": 1.0},
    {"name": "b", "center": 0.0, "scale": 1.0, "max_missing": 1.0},
    {"name": "c", "range": [-4.0, 4.0]},
]


@cache
def study_of(kind: str) -> Study:
    """One of KINDS, with a network deep enough to overflow under weights that no bound could forbid, or of PICTURES."""
    mode, algorithm, summation = (KINDS | PICTURES | PERSONAL)[kind]
    if mode == "none":
        plain = study(algorithm, mode=summation, own=summation == "plain")
    else:
        # Few patients are drawn, so that steps of all of them and of nobody are among the worlds.
        plain = private_study(mode, algorithm, summation=summation, noise=30.0, rate=1.0 if mode == "site" else 0.3)
    keys = {name: identity.public for name, identity in _IDENTITIES.items()}
    sites = {"names": list(NAMES), **({"keys": keys} if summation == "masked" else {})}
    if kind == "none-plain-settings":
        plain = plain.revised(**SETTINGS)
    if kind in LOCAL_THRESHOLD:
        plain = plain.revised(evaluation={"threshold": "local"})
    if kind in PERSONAL:
        plain = plain.revised(personal={"candidates": CANDIDATES, "passes": 1})
    if kind in KINDS | PERSONAL:
        return plain.revised(data={"columns": _COLUMNS}, network={"hidden": [4, 4, 4, 4, 4, 4, 4]}, sites=sites)
    images = {"kind": "image", "columns": [], "image": {"size": [8, 8]}, "patient": {"required": True}}
    network = {"name": "small_cnn", "hidden": None, "width": 8, "blocks": [1, 1]}
    changed = {"evaluation": {"threshold": "robust", "own_baseline": False}} if mode == "none" else {}
    augmented = {"augmentation": {"shift": 0.1, "gamma": 1.5, "noise": 0.1}}
    return plain.revised(data=images, network=network, training=augmented, sites=sites, **changed)


# --- Worlds ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """The records of one hospital. rows: (n, FEATURES), or grey levels of n images, one level an image that is even; 256 and
    above for one that is noise. splits: "train" among them."""

    rows: tuple[Any, ...]
    labels: tuple[int, ...]
    splits: tuple[str, ...]
    patients: tuple[int, ...]

    def records(self) -> Records:
        return Records(
            np.array(self.rows, np.float32) if isinstance(self.rows[0], tuple) else np.stack([*map(_image, self.rows)]),
            np.array(self.labels, np.int8),
            np.array([f"patient-{number}" for number in self.patients]),
            np.array(self.splits),
        )


def _image(level: int) -> NDArray[np.uint8]:
    rng = np.random.Generator(np.random.Philox(level))
    return np.full((8, 8), level, np.uint8) if level < 256 else rng.integers(0, 256, (8, 8), np.uint8)


def around(value: float, *, split: str = "train", count: int = 12) -> World:
    """A world whose first column is 0 for everybody but one patient of `split`, who has `value` there."""
    splits = tuple((["train"] * 4 + ["validation", "test"]) * (count // 6))
    rows = [[0.0, 0.5, 0.0, float(row % 2)] for row in range(count)]
    rows[splits.index(split)][0] = value
    return World(tuple(map(tuple, rows)), tuple(row % 2 for row in range(count)), splits, tuple(range(count)))


# --- Models ---------------------------------------------------------------------------------------------------------------------


def _drawn(kind: str, scale: float) -> Tree:
    rng = np.random.Generator(np.random.Philox(7))
    return {
        name: (scale * rng.standard_normal(array.shape)).astype(np.float32).clip(-LIMIT, LIMIT)
        for name, array in Plan(study_of(kind)).initial_model().items()
    }


def _filled(kind: str, value: float) -> Tree:
    return {name: np.full_like(array, value) for name, array in Plan(study_of(kind)).initial_model().items()}


def prying(kind: str, inner: float, last: float, *, both_ends: bool) -> Tree:
    """A model whose output is infinity less infinity for a first column above 1.5 (both_ends: and below 4), 0 for one below
    (both_ends: infinite). inner, last: the weights of six layers and of the last, where their product overflows."""
    model = _filled(kind, 0.0)
    model["hidden.0.weight"][:2, 0] = 1.0, -1.0 if both_ends else 1.0
    model["hidden.0.bias"][:2] = -1.5, 4.0 if both_ends else -1.5
    for layer in range(1, 7):
        model[f"hidden.{2 * layer}.weight"][[0, 1], [0, 1]] = inner
    model["head.weight"][0, :2] = last, -last
    return model


MODELS: dict[str, Callable[[str], Tree]] = {
    "honest": lambda kind: Plan(study_of(kind)).initial_model(),
    "trained": lambda kind: _drawn(kind, 0.7),
    "zero": lambda kind: _filled(kind, 0.0),
    "above": lambda kind: prying(kind, LIMIT, LIMIT, both_ends=False),
    "between": lambda kind: prying(kind, LIMIT, LIMIT, both_ends=True),
    "above, beyond the bound": lambda kind: prying(kind, 4.0, 3e38, both_ends=False),
    "between, beyond the bound": lambda kind: prying(kind, 4.0, 3e38, both_ends=True),
    "largest": lambda kind: _filled(kind, LIMIT),
    "smallest": lambda kind: _filled(kind, -LIMIT),
    "large and chaotic": lambda kind: _drawn(kind, LIMIT / 3),
    "not a number": lambda kind: _filled(kind, np.nan),
}


@cache
def model_of(kind: str, name: str) -> Tree:
    return MODELS[name](kind)


# --- A coordinator --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One order. model: of MODELS. weight: the total that the coordinator states. counted: the last round of this site that it
    says was counted. label: of an evaluation. control: what a shift of gradients is filled with, where the algorithm has one."""

    step: Any
    round: int = 1
    model: str = "honest"
    weight: int = 76
    counted: int = 0
    control: float = 0.0
    label: str = "federated"

    def round_in(self, one: Study) -> int:
        """Only training, and a hospital's own model, have rounds."""
        return {"open": 0, "train": self.round, "own": self.round}.get(self.step, one.algorithm.rounds)

    def order(self, kind: str, masked: Masked | None = None, opening: str = "") -> Order:
        one = study_of(kind)
        bundle: Bundle = {"model": model_of(kind, self.model)} if self.step in ("open", "train", "evaluate", "personal") else {}
        if self.step == "train" and one.algorithm.name == "scaffold":
            bundle["control"] = {name: np.full_like(array, self.control) for name, array in bundle["model"].items()}
        header = OrderHeader(
            study=one.hash,
            step=self.step,
            round=self.round_in(one),
            label=self.label if self.step == "evaluate" else "",
            cohort=NAMES,
            counted={"north": self.counted} if self.counted else {},
            opening="" if self.step == "open" else opening,
            weight=self.weight if self.step == "train" else 0,
            masked=masked,
        )
        return Order(header, pack_bundle(bundle))


@dataclass(frozen=True)
class Seen:
    """What leaves a site, as far as it may not depend on records: what was asked, the word, the size of the reply."""

    asked: Asked | str
    word: str
    size: int


@dataclass
class Coordinator:
    """Asks one site, north, and writes down what comes back."""

    kind: str
    site: Site
    seen: list[Seen] = field(default_factory=list)
    roster: tuple[Statement, ...] = ()
    turn: int = 0
    opening: str = ""
    last_set: str = ""

    def ask(self, asked: Asked) -> str:
        """The word of the answer: "contribution", or that of the refusal."""
        masked = self._masked() if self.site.plan.masked and asked.step in self.site.plan.summed else None
        order = asked.order(self.kind, masked, self.opening)
        word = self._put(asked, to_bytes(order))
        if (asked.step, word, self.opening) == ("open", "contribution", ""):
            self.opening = content_of(order)
        return word

    def sign(self, asked: Asked) -> None:
        """Asks for a signature under the sum that `asked` just had, where it has one."""
        if self.turn:
            order = to_bytes(asked.order(self.kind, self._at_turn(), self.opening))
            study = study_of(self.kind).hash
            header = AskHeader(study=study, what="sign", order=sha256_hex(order), counted=NAMES)
            if self._put("sign", to_bytes(Ask(header))) == "Answer":
                self.last_set = set_hash(bytes.fromhex(study), NAMES)

    def _put(self, asked: Asked | str, data: bytes) -> str:
        reply = self.site.handle(data)
        message = from_bytes(reply)
        word = message.header.code if isinstance(message, Refusal) else type(message).__name__
        word = "contribution" if isinstance(message, ContributionMessage) else word
        self.seen.append(Seen(asked, word, len(reply)))
        return word

    def keys(self) -> None:
        """The keys of a masked sum, asked once."""
        if self.site.plan.masked and not self.roster:
            own = _statement_of(self.site, self.kind)
            self.roster = tuple(sorted([own, *_others(self.kind)], key=lambda statement: statement.site))

    def _masked(self) -> Masked:
        self.keys()
        self.turn += 1
        return self._at_turn()

    def _at_turn(self) -> Masked:
        return Masked(attempt=1, turn=self.turn, epoch=1, roster=self.roster, last_set=self.last_set)


def _statement_of(site: Site, kind: str) -> Statement:
    message = from_bytes(site.handle(to_bytes(Ask(AskHeader(study=study_of(kind).hash, what="keys", epoch=1)))))
    assert isinstance(message, Answer), message
    return Statement(**{name: getattr(message.header, name) for name in Statement.model_fields})


@cache
def _others(kind: str) -> tuple[Statement, ...]:
    """The keys of the other two hospitals, which take no further part."""
    statements = []
    for name in ("east", "south"):
        with TemporaryDirectory() as folder:
            one = _site(kind, name, Path(folder), around(0.0))  # whose records are not read
            statements.append(_statement_of(one, kind))
            one.close()
    return tuple(statements)


def _site(kind: str, name: str, folder: Path, world: World) -> Site:
    one = study_of(kind)
    identity = _IDENTITIES[name] if one.summation.mode == "masked" else None
    ledger = Ledger(folder / "ledger.sqlite") if one.privacy.private else None
    return Site(site_id(name), one, world.records, folder, identity=identity, device="cpu", threads=1, ledger=ledger)


def coordinator_of(kind: str, world: World, folder: Path) -> Coordinator:
    """A coordinator alone with the hospital north in this world."""
    return Coordinator(kind, _site(kind, "north", folder, world))


def seen_in(world: World, kind: str, orders: Sequence[Asked], folder: Path) -> tuple[list[Seen], dict[str, int]]:
    """What a coordinator sees of the hospital north in this world, and what its ledger was charged."""
    coordinator = coordinator_of(kind, world, folder)
    try:
        for asked in orders:
            if coordinator.ask(asked) == "contribution":
                coordinator.sign(asked)
        return coordinator.seen, _charges(coordinator.site, folder)
    finally:
        coordinator.site.close()


def _charges(one: Site, folder: Path) -> dict[str, int]:
    if one.charges is None:
        return {}
    charges = Ledger(folder / "ledger.sqlite").charges()
    return {f"{release} {charge.status}": charge.count for (_, release), charge in charges.items()}
