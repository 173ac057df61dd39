"""Fuzzed messages to real sites and to a real coordinator, in the middle of real runs. A program as well:

    python -m tests.wire.fuzzing --count 2000000 --seed 1

Every order and ask of a run is changed in many ways and sent to the site before and after the honest one; every answer is changed
and read by the hub, and now and then stands for the honest one. Counted: `internal`, exceptions of the hub that have no name, and
refusals after which a file of the site is another, besides the note that it stops. A run that the changed messages have spoilt is
followed by another.
"""

import argparse
import json
import random
import re
import resource
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wardround.crypto.identity import Identity
from wardround.hub.coordinator import Coordinator
from wardround.hub.exchange import read_reply
from wardround.hub.sum_coordinator import SumCoordinator
from wardround.plan.sum_plan import Quantity, SumPlan
from wardround.site.refusals import ENDING
from wardround.site.store import REFUSALS, STATE
from wardround.site.sum_site import SumSite
from wardround.study.declaration import Study
from wardround.summation.masked.layout import contribution_digest
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.errors import WardroundError
from wardround.values.ids import SiteId
from wardround.values.log import LOG
from wardround.values.tensor_file import read_tensors
from wardround.values.tree import Tree
from wardround.wire.envelope import from_bytes, open_envelope, payload_digest, to_bytes
from wardround.wire.messages import Answer, Ask, ContributionMessage, Message, Order, Refusal

from ..federation.private_studies import private_study
from ..federation.tiny_federation import Ward, enrolled, silent, study
from .spoilt_bytes import spoilt

STUDIES: dict[str, Callable[[], Study]] = {
    "plain": lambda: study(own=True, rounds=2),
    "masked": lambda: study(mode="masked", own=True, rounds=2),
    "masked scaffold": lambda: study("scaffold", mode="masked", collusion=0, rounds=2),
    "patient-distributed": lambda: private_study(rounds=2, noise=4.0),
    "patient-local": lambda: private_study("patient-local", "scaffold", rounds=2, noise=4.0, summation="plain"),
    "site": lambda: private_study("site", "fedavg", rounds=2, noise=4.0),
}
SUM = "secure sum"
FOR_EVER = 10**9  # refusals in a row: a site that stopped would be no test of anything
NUMBERS = [0, 1, 2, -1, 3, 99_999, 100_000, 100_001, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**63, 2**64, 10**30, 0.5, True, None]
WORDS = [
    *("", "a", "federated", "last", "own-north", "north", "0" * 64, "f" * 64, "0" * 128, "../x", "\n", "é", "x" * 5000),
    *("open", "train", "evaluate", "own", "personal", "close"),
    *("keys", "sign", "order", "ask", "answer", "contribution", "refusal"),
]
FLOATS = [0.0, -0.0, np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, 1.0]
PLACE = re.compile(r'File "[^"]*?(wardround/[^"]+)", line (\d+), in (\w+)')


@dataclass
class Tally:
    """What was sent and what came of it. causes: place and exception of every `internal`, and of each nameless one at the hub."""

    to_sites: int = 0
    to_hub: int = 0
    runs: int = 0
    words: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    changed_by: Counter[str] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        return self.to_sites + self.to_hub

    def lines(self) -> Iterator[str]:
        yield f"{self.to_sites} messages to sites, {self.to_hub} to the hub, in {self.runs} runs"
        for title, counter in (("words", self.words), ("nameless", self.causes), ("changed by a refusal", self.changed_by)):
            yield f"{title}: {sum(counter.values())}"
            yield from (f"  {times:7d}  {what}" for what, times in counter.most_common())
        yield f"largest resident memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"


class Fuzzer:
    """Changes messages. Equal seeds give equal changes of equal messages."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self._seen: list[bytes] = []

    def changed(self, data: bytes) -> bytes:
        """One to three changes: of bytes, of the header's fields, of the arrays, of the arrays' header."""
        if len(self._seen) < 200 or self.draw.random() < 0.02:
            self._seen = [*self._seen[-199:], data]
        for _ in range(self.draw.choice([1, 1, 1, 2, 3])):
            change = self.draw.choices([self._bytes, self._tensors, self._fields, self._arrays], [1, 1, 3, 3])[0]
            data = change(data)
        return data

    def _bytes(self, data: bytes) -> bytes:
        draw, at = self.draw, self.draw.randrange(len(data) + 1)
        other = draw.choice(self._seen)
        return spoilt(draw, data, at, other)

    def _fields(self, data: bytes) -> bytes:
        """Another value in one field of the header, spelled canonically; now and then the header of another message."""
        cut = _parts(data)
        if cut is None:
            return data
        header, payload = cut
        other = _parts(self.draw.choice(self._seen))
        if other is not None and self.draw.random() < 0.1:
            shared = [name for name in header if name in other[0]]
            if shared:
                name = self.draw.choice(shared)
                header[name] = other[0][name]
        else:
            self._change(header)
        return _sealed(header, payload)

    def _change(self, value: dict[str, Any]) -> None:
        name = self.draw.choice(sorted(value))
        if self.draw.random() < 0.05:
            del value[name]
        elif self.draw.random() < 0.05:
            value[self.draw.choice(WORDS)] = self.draw.choice(NUMBERS)
        else:
            value[name] = self._another(value[name])

    def _another(self, value: Any) -> Any:
        draw = self.draw
        if isinstance(value, dict) and value and draw.random() < 0.9:
            self._change(value)
            return value
        if isinstance(value, list) and value and draw.random() < 0.9:
            at = draw.randrange(len(value))
            match draw.randrange(4):
                case 0:
                    return value[:at] + value[at + 1 :]
                case 1:
                    return [*value, value[at]]
                case 2:
                    return [*value[:at], self._another(value[at]), *value[at + 1 :]]
            return draw.sample(value, len(value))
        if isinstance(value, int) and draw.random() < 0.7:
            return draw.choice([value + 1, value - 1, *NUMBERS])
        if isinstance(value, str) and value and draw.random() < 0.5:
            at = draw.randrange(len(value))
            return value[:at] + draw.choice("0123456789abcdef_-é") + value[at + 1 :]
        return draw.choice([*NUMBERS, *WORDS, [], {}, [value], {"a": value}])

    def _arrays(self, data: bytes) -> bytes:
        """Arrays more, fewer, of other names, types, shapes and values, well spelled."""
        try:
            message = from_bytes(data)
        except WardroundError:
            return data
        if isinstance(message, Refusal):
            return data
        tree = dict(message.arrays)
        name = self.draw.choice(sorted(tree)) if tree else "model/w"
        array = tree.pop(name, np.zeros(3, np.float32))
        try:
            return to_bytes(_with(message, {**tree, **self._replaced(name, array)}))
        except WardroundError:
            return data

    def _replaced(self, name: str, array: np.ndarray) -> Tree:
        draw = self.draw
        bits = np.frombuffer(draw.randbytes(array.nbytes), array.dtype).reshape(array.shape)
        filled = np.full_like(array, draw.choice(FLOATS)) if array.dtype.kind == "f" else bits
        one = array.copy()
        if one.size:
            one.reshape(-1)[draw.randrange(one.size)] = draw.choice(FLOATS) if array.dtype.kind == "f" else draw.randrange(256)
        other_type = draw.choice(["float32", "uint8", "uint16", "uint32", "uint64"])
        return draw.choice(
            [
                {},
                {name: bits},
                {name: filled},
                {name: one},
                {name: one},
                {name: array.reshape(-1)},
                {name: array[..., None]},
                {name: np.zeros((0, *array.shape), array.dtype)},
                {name: np.concatenate([array.reshape(-1), array.reshape(-1)])},
                {name: np.zeros(array.shape, other_type)},
                {name: array, f"{name}2": array},
                {name: array, "extra/w": array},
                {name.partition("/")[2][:200] + "/x": array},
                {"other" + name[-20:]: array},
                {f"{name[:20]}{number}": np.zeros(0, array.dtype) for number in range(300)},
            ]
        )

    def _tensors(self, data: bytes) -> bytes:
        """Another value somewhere in the header of the arrays, or another length of it."""
        cut = _parts(data)
        if cut is None or len(cut[1]) < 8:
            return data
        header, payload = cut
        size = int.from_bytes(payload[:8], "little")
        if self.draw.random() < 0.2:
            size = self.draw.choice([0, 1, 7, size + 8, size - 8, 2**31, 2**63])
            return _sealed(header, size.to_bytes(8, "little", signed=False) + payload[8:]) if size >= 0 else data
        try:
            entries = json.loads(payload[8 : 8 + size])
            self._change(entries)
            text = canonical_json(entries)
        except (ValueError, LookupError, AttributeError, TypeError):
            return data
        text += b" " * (-len(text) % 8)
        return _sealed(header, len(text).to_bytes(8, "little") + text + payload[8 + size :])


def _parts(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    try:
        envelope = open_envelope(data)
    except WardroundError:
        return None
    return envelope.header.model_dump(mode="json"), bytes(envelope.payload)


def _sealed(header: dict[str, Any], payload: bytes) -> bytes:
    raw = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return b"WRND" + (1).to_bytes(2, "big") + len(raw).to_bytes(4, "big") + len(payload).to_bytes(8, "big") + raw + payload


def _with(message: Order | ContributionMessage | Ask | Answer, tree: Tree) -> Message:
    kinds: dict[type, Any] = {Order: Order, ContributionMessage: ContributionMessage, Ask: Ask, Answer: Answer}
    changed: Message = kinds[type(message)](message.header, tree)
    return changed


def _files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What tells each file of the site from what it was: all but locks, the log, and the number of refusals, which may grow."""
    grows = ("log.", REFUSALS)
    status = {path.name: path.stat() for path in folder.iterdir() if not path.name.startswith(grows) and path.suffix != ".lock"}
    return {name: (one.st_ino, one.st_mtime_ns, one.st_size) for name, one in status.items() if not name.endswith("-journal")}


def _stopped_alone(before: bytes, folder: Path) -> bool:
    """Whether the state is the one before but for the note that the site has stopped."""
    earlier = folder.parent / "earlier.safetensors"
    earlier.write_bytes(before)
    (arrays, head), (arrays_now, head_now) = (read_tensors(path) for path in (earlier, folder / STATE))
    earlier.unlink()
    noted = head_now["state"]
    same = {**noted, "stopped": head["state"]["stopped"]} == head["state"] and head["last"] == head_now["last"]
    alike = arrays.keys() == arrays_now.keys() and all(np.array_equal(arrays[each], arrays_now[each]) for each in arrays)
    return bool(noted["stopped"]) and same and alike


class Flood:
    """The tampering of one run: quiet up to some message, so that the later steps are met too; then each message is changed in
    many ways. Once, what the hub is given is a changed answer, signed by the hospital that then lies."""

    def __init__(self, folder: Path, fuzzer: Fuzzer, tally: Tally, each: int, until: int) -> None:
        self.folder, self.fuzzer, self.tally, self.each, self.until = folder, fuzzer, tally, each, until
        self.quiet = fuzzer.draw.choice([0, fuzzer.draw.randrange(40)])
        self.lie_at = self.quiet + fuzzer.draw.choice([fuzzer.draw.randrange(1, 8), fuzzer.draw.randrange(1, 40)])
        self.carried = 0

    def __call__(self, name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        self.carried += 1
        if self.carried <= self.quiet:
            return handle(data)
        for _ in range(self.each // 2):
            self._to_site(name, data, handle)
        answer = handle(data)
        for _ in range(self.each // 2):
            self._to_site(name, data, handle)
        for _ in range(self.each):
            self._to_hub(name, data, answer)
        return self._lie(name, answer) if self.carried == self.lie_at else answer

    def _lie(self, name: SiteId, answer: bytes) -> bytes:
        """A changed answer with a good signature: what a hospital with a key of its own can send."""
        changed = self.fuzzer.changed(answer)
        try:
            message = from_bytes(changed)
        except WardroundError:
            return changed
        key = self.folder / "sites" / name / "identity.key"
        if not isinstance(message, ContributionMessage) or not key.exists():
            return changed
        header = message.header
        digest = contribution_digest(
            bytes.fromhex(header.study), bytes.fromhex(header.order), header.site, payload_digest(message.arrays)
        )
        signed = header.revised(signature=Identity.at(key).sign(digest))
        return to_bytes(ContributionMessage(signed, message.arrays))

    def _to_site(self, name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> None:
        if self.tally.sent >= self.until:
            return
        folder = self.folder / "sites" / name
        before, changed = _files(folder), self.fuzzer.changed(data)
        state = (folder / STATE).read_bytes() if STATE in before else b""
        self.tally.to_sites += 1
        try:
            answer = from_bytes(handle(changed))
        except Exception as error:  # noqa: BLE001  whatever gets out is what is looked for
            self.tally.causes[f"out of handle: {_cause(''.join(traceback.format_exception(error)))}"] += 1
            return
        if not isinstance(answer, Refusal):
            self.tally.words[answer.header.kind] += 1
            return
        word = answer.header.code
        self.tally.words[word] += 1
        if word == "internal":
            last = (folder / LOG).read_bytes().splitlines()[-1]
            self.tally.causes[f"site: {_cause(json.loads(last)['text'])}"] += 1
        after = _files(folder)
        if word in ENDING and state and _stopped_alone(state, folder):
            after[STATE] = before[STATE]
        if names := sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)):
            self.tally.changed_by[f"{word}: {', '.join(names)}"] += 1

    def _to_hub(self, name: SiteId, data: bytes, answer: bytes) -> None:
        if self.tally.sent >= self.until:
            return
        self.tally.to_hub += 1
        try:
            read_reply(name, sha256_hex(data), self.fuzzer.changed(answer), len(answer) + 4096)
        except Exception as error:  # noqa: BLE001
            self.tally.causes[f"hub: {_cause(''.join(traceback.format_exception(error)))}"] += 1


def _cause(text: str) -> str:
    """The exception without what it quotes, the last place in our code, and the files on the way there."""
    places = list(reversed(PLACE.findall(text)))
    where = " < ".join([f"{path}:{line} {function}" for path, line, function in places[:1]] + [path for path, _, _ in places[1:]])
    last = text.strip().splitlines()[-1]
    last = re.sub(r"[0-9]+", "N", re.sub(r"'[^']*'", "'…'", last))
    return f"{last[:90]}  at {where}"


def fuzz(count: int, seed: int = 0, *, each: int = 20, kinds: tuple[str, ...] = (*STUDIES, SUM)) -> Tally:
    """Sends `count` changed messages in as many runs as it takes. each: changes of one message, at the site and at the hub."""
    tally, fuzzer = Tally(), Fuzzer(seed)
    while tally.sent < count:
        kind = kinds[tally.runs % len(kinds)]
        tally.runs += 1
        folder = Path(tempfile.mkdtemp(prefix="wardround-fuzz-"))
        flood = Flood(folder, fuzzer, tally, each, count)
        try:
            _one_sum(folder, flood, tally) if kind == SUM else _one_run(STUDIES[kind](), folder, flood, tally)
        finally:
            shutil.rmtree(folder)
    return tally


def _one_run(declared: Study, folder: Path, flood: Flood, tally: Tally) -> None:
    enlisted = enrolled(declared, folder)
    engine = Ward(enlisted, folder, tamper=flood, refusals_in_a_row=FOR_EVER)
    coordinator = Coordinator(enlisted, engine, folder, listener=silent)
    with _counted(tally):
        coordinator.run()
    coordinator.close()
    engine.close()


def _one_sum(folder: Path, flood: Flood, tally: Tally) -> None:
    """Two sums of plain arrays over four hospitals."""
    labels = ("first", "second")
    identities = {name: Identity.at(folder / "sites" / name / "identity.key") for name in ("a", "b", "c", "d")}
    plan = SumPlan(
        "fuzzed",
        {name: identity.public for name, identity in identities.items()},
        {"ages": Quantity((5,)), "dose": Quantity((3,), 1.0)},
        labels=labels,
    )
    sites = {
        SiteId(name): SumSite(plan, name, identity, _values, folder / "sites" / name, refusals_in_a_row=FOR_EVER)
        for name, identity in identities.items()
    }

    def trip(outbox: Mapping[SiteId, bytes]) -> dict[SiteId, bytes]:
        answers = {name: flood(name, data, sites[name].handle) for name, data in outbox.items()}
        return {name: answer for name, answer in answers.items() if answer is not None}

    with _counted(tally):
        coordinator = SumCoordinator(plan, trip, folder / "coordinator")
        for label in labels:
            coordinator.sum(label)
    for site in sites.values():
        site.close()


def _values(label: str, number: int) -> dict[str, np.ndarray]:
    """One hospital's arrays for the sums that were agreed on; it knows no other."""
    return {
        ("first", 1): {"ages": np.arange(5), "dose": np.ones(3)},
        ("second", 1): {"ages": np.ones(5, int), "dose": np.zeros(3)},
    }[label, number]


@contextmanager
def _counted(tally: Tally) -> Iterator[None]:
    try:
        yield
    except WardroundError as error:
        tally.words[f"the run ended: {error.code}"] += 1
    except Exception as error:  # noqa: BLE001
        tally.causes[f"coordinator: {_cause(''.join(traceback.format_exception(error)))}"] += 1
    else:
        tally.words["the run ended well"] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--kinds", nargs="*", default=[*STUDIES, SUM])
    stated = parser.parse_args()
    tally = fuzz(stated.count, stated.seed, each=stated.each, kinds=tuple(stated.kinds))
    print("\n".join(tally.lines()))
    sys.exit(bool(tally.causes or tally.changed_by))


if __name__ == "__main__":
    main()
