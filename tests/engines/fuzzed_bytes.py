"""Changes of what travels between hub and sites: bytes, protobufs, JSON, heads of requests; and a count of what came of them."""

import argparse
import json
import random
import re
import resource
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]

from tests.wire.spoilt_bytes import spoilt
from wardround.values.canonical import canonical_json
from wardround.values.errors import WardroundError

NUMBERS = [0, 1, 2, -1, 3, 4096, 2**31 - 1, 2**31, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.1, float("inf"), float("-inf"), float("nan"), 1e308, 1e-308, 4e9, 1.8e9]
WORDS = [
    *("", "a", "hub", "east", "north", "order", "status", "0" * 64, "f" * 64, "0" * 128, "../x", "/bodies/..", "\n", "\0", "é"),
    *("x" * 5000, "9" * 400, "-0", "1e3", "true", "null", "[" * 3000, "{}", "١", "²", "\ud7ff", "𝟙"),
]
HEAD_NAMES = [
    *("content-length", "transfer-encoding", "content-type", "accept", "flwr-public-key", "flwr-timestamp", "flwr-signature"),
    *("wardround-wait", "wardround-ticket", "range", "content-range", "expect", "connection", "host", "flwr-runtime-version"),
]
_PLACE = re.compile(r'File "[^"]*?((?:wardround|flwr|starlette|fastapi|uvicorn|httpx|httpcore)/[^"]+)", line (\d+), in (\w+)')


def new_folder() -> Path:
    """For one run. In memory where the system has such a place: a disk that is waited for at each message finds nothing."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="wardround-fuzz-", dir=memory if memory.is_dir() else None))


@dataclass
class Tally:
    """What was sent and what came of it. answers: status or word -> how often. causes: place and exception of each fault that has
    no name. grown_mib: resident memory at its most, less that after the first requests."""

    sent: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    grown_mib: float = 0.0

    def count(self, kind: str, answer: str) -> None:
        self.sent += 1
        self.kinds[kind] += 1
        self.answers[f"{kind}: {answer}"] += 1

    def fault(self, kind: str, error: BaseException) -> None:
        cause = f"{kind}: {_cause(error)}"
        self.causes[cause] += 1
        self.examples.setdefault(cause, "".join(traceback.format_exception(error))[-3000:])

    @contextmanager
    def counted(self, kind: str) -> Iterator[None]:
        """Counts what the block ends with: well, an error of ours that has a name, or a fault."""
        try:
            yield
        except WardroundError as error:
            self.count(kind, error.code)
        except Exception as error:  # noqa: BLE001  whatever gets out is what is looked for
            self.count(kind, "nameless")
            self.fault(kind, error)
        else:
            self.count(kind, "taken")

    def lines(self) -> Iterator[str]:
        yield f"{self.sent} sent: " + ", ".join(f"{number} {kind}" for kind, number in sorted(self.kinds.items()))
        yield from (f"  {number:8d}  {answer}" for answer, number in sorted(self.answers.items()))
        yield f"nameless: {sum(self.causes.values())}"
        yield from (f"  {number:8d}  {cause}" for cause, number in self.causes.most_common())
        yield f"largest resident memory {peak_mib():.0f} MiB, {self.grown_mib:.0f} MiB of it after the first requests"


def peak_mib() -> float:
    """The largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Changes:
    """Equal seeds give equal changes of equal things."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self._seen: list[bytes] = [b"\0"]

    def often(self, chance: float) -> bool:
        return self.draw.random() < chance

    def number(self) -> int:
        return self.draw.choice([*NUMBERS, self.draw.randrange(1 << 16)])

    def spoilt(self, data: bytes) -> bytes:
        """One change: cut, lengthened, spliced with something seen before, bits turned."""
        draw, at = self.draw, self.draw.randrange(len(data) + 1)
        if len(self._seen) < 200 or self.often(0.02):
            self._seen = [*self._seen[-199:], data or b"\0"]
        other = draw.choice(self._seen)
        return spoilt(draw, data, at, other, repeats=True)

    def text(self, text: str) -> str:
        draw, at = self.draw, self.draw.randrange(len(text) + 1)
        match draw.randrange(4):
            case 0:
                return draw.choice(WORDS)
            case 1:
                return text[:at]
            case 2:
                return text[:at] + draw.choice(WORDS) + text[at:]
        return text[:at] + draw.choice("0123456789abcdefXYZ_-é+=/ ") + text[at + 1 :]

    def protobuf(self, message: Message) -> Message:
        """A copy with another value in one to three fields, deep inside."""
        changed = type(message)()
        changed.CopyFrom(message)
        for _ in range(self.draw.choice([1, 1, 2, 3])):
            self._field(changed)
        return changed

    def json(self, value: Any) -> Any:
        """The value with one thing in it changed."""
        draw = self.draw
        if isinstance(value, dict) and value and self.often(0.92):
            name = draw.choice(sorted(value))
            match draw.randrange(12):
                case 0:
                    return {key: one for key, one in value.items() if key != name}
                case 1:
                    return {**value, draw.choice(WORDS): value[name]}
            return {**value, name: self.json(value[name])}
        if isinstance(value, list) and value and self.often(0.9):
            at = draw.randrange(len(value))
            return draw.choice([value[:at] + value[at + 1 :], [*value, value[at]], [*value[:at], self.json(value[at])]])
        if isinstance(value, str) and self.often(0.7):
            return self.text(value)
        if isinstance(value, int) and self.often(0.7):
            return draw.choice([value + 1, value - 1, *NUMBERS])
        return draw.choice([*NUMBERS, *WORDS, 0.5, True, None, [], {}, [value], {"a": value}])

    def json_bytes(self, data: bytes) -> bytes:
        """JSON with one thing changed, mostly in canonical form; bytes where it is none."""
        try:
            value = self.json(json.loads(data))
            return canonical_json(value) if self.often(0.9) else json.dumps(value).encode()
        except (ValueError, TypeError, RecursionError, WardroundError):
            return self.spoilt(data)

    def headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """One head line left out, doubled, put in, or with another value."""
        draw, lines = self.draw, list(headers)
        at = draw.randrange(len(lines)) if lines else 0
        match draw.randrange(5):
            case 0 if lines:
                del lines[at]
            case 1 if lines:
                lines.insert(draw.randrange(len(lines) + 1), lines[at])
            case 2:
                value = draw.choice([draw.choice(WORDS), str(self.number())])
                lines.append((draw.choice(HEAD_NAMES).encode(), value.encode("utf-8", "replace")))
            case _ if lines:
                lines[at] = (lines[at][0], self.spoilt(lines[at][1]))
        return lines

    def _field(self, message: Message) -> None:
        descriptor = self.draw.choice(list(message.DESCRIPTOR.fields) or [None])
        if descriptor is None:
            return
        name, many = descriptor.name, descriptor.is_repeated
        is_message = descriptor.type == FieldDescriptor.TYPE_MESSAGE
        if self.often(0.08) or (is_message and descriptor.message_type.GetOptions().map_entry):
            message.ClearField(name)
        elif is_message and many:
            self._many_messages(getattr(message, name))
        elif is_message:
            inner = getattr(message, name)
            inner.SetInParent()
            self._field(inner)
        elif many:
            values = getattr(message, name)
            values.extend([self._value(descriptor)] * self.draw.choice([1, 1, 2, 100]))
        else:
            setattr(message, name, self._value(descriptor, getattr(message, name)))

    def _many_messages(self, messages: Any) -> None:
        if not len(messages) or self.often(0.1):
            self._field(messages.add())
        elif self.often(0.1):
            messages.extend([messages[0]] * self.draw.choice([1, 2, 50]))
        elif self.often(0.1):
            del messages[self.draw.randrange(len(messages))]
        else:
            self._field(messages[self.draw.randrange(len(messages))])

    def _value(self, descriptor: FieldDescriptor, value: Any = None) -> Any:
        kind = descriptor.cpp_type
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return self.often(0.5)
        if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
            return self.draw.choice(FLOATS)
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            return self.draw.choice([0, 1, 2])
        if kind == FieldDescriptor.CPPTYPE_STRING:
            if descriptor.type == FieldDescriptor.TYPE_BYTES:
                return self.spoilt(value or b"")
            return self.text(value or "")
        signed = kind in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
        bits = 32 if kind in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32) else 64
        least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return min(most, max(least, self.number()))


def pieces(changes: Changes, data: bytes) -> list[bytes]:
    """The data in the pieces that a network might make of it."""
    parts = changes.draw.choice([1, 1, 1, 2, 5])
    cuts = sorted(changes.draw.randrange(len(data) + 1) for _ in range(parts - 1))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _cause(error: BaseException) -> str:
    """The exception without what it quotes, and the last places on the way to it."""
    places = _PLACE.findall("".join(traceback.format_tb(error.__traceback__)))[-2:]
    text = re.sub(r"[0-9]+", "N", re.sub(r"'[^']*'", "'…'", str(error)))[:70]
    return f"{type(error).__name__}: {text} at " + " < ".join(f"{path}:{line} {name}" for path, line, name in reversed(places))


def main(description: str | None, kinds: Mapping[str, int], fuzz: Callable[[int, int, tuple[str, ...]], Tally]) -> None:
    """The command line of a fuzzing program. Its exit code is 1 where something has no name."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=list(kinds), choices=list(kinds))
    parser.add_argument("--examples", action="store_true", help="show a traceback of each fault")
    stated = parser.parse_args()
    tally = fuzz(stated.count, stated.seed, tuple(stated.kinds))
    print("\n".join(tally.lines()))
    if stated.examples:
        print("\n".join(f"--- {cause}\n{text}" for cause, text in tally.examples.items()))
    sys.exit(bool(tally.causes))
