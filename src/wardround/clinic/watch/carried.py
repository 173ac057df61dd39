"""Messages of a sum as files in a folder, carried by people or a share between a lead and hospitals without a line to each other.

    EXCHANGE/CODE/HOSPITAL/HASH.ask     from the lead, signed with its key
    EXCHANGE/CODE/HOSPITAL/HASH.answer  from the hospital, signed with its key

HASH is that of the question; each is asked and answered with the same bytes however often. Who carries the files reads masked
words alone and can change none; he sees who takes part, and when. A file that the other side did not sign counts for nothing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wardround.clinic.watch.drift_plan import DriftPlan
from wardround.crypto.identity import Identity, signed_by
from wardround.values.canonical import sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.errors import DataError
from wardround.values.ids import SiteId

_LARGEST = 64 << 20
_NAME = re.compile(r"[0-9a-f]{24}\.ask")
_SIGNATURE = 128


@dataclass(frozen=True)
class Exchange:
    """One plan's files under a folder."""

    plan: DriftPlan
    folder: Path

    def asks(self, hospital: str) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of each question to a hospital that the lead has signed and nobody has answered. DataError where one is
        not signed by the lead."""
        own_folder = self._place(hospital)
        for path in sorted(own_folder.glob("*.ask")) if own_folder.is_dir() else ():
            name = path.stem
            if not _NAME.fullmatch(path.name) or (own_folder / f"{name}.answer").exists():
                continue
            message = _signed(path, self.plan.lead, self._mark("ask", hospital, name))
            if message is None or sha256_hex(message)[:24] != name:
                raise DataError(f"{path} is not from the plan's lead", hint="delete it, and ask the lead who wrote it")
            yield name, message

    def answer(self, hospital: str, name: str, reply: bytes, identity: Identity) -> None:
        self._write(self._place(hospital) / f"{name}.answer", reply, identity, self._mark("answer", hospital, name))

    def ask(self, hospital: str, message: bytes, identity: Identity) -> None:
        name = sha256_hex(message)[:24]
        path = self._place(hospital) / f"{name}.ask"
        if not path.exists():
            self._write(path, message, identity, self._mark("ask", hospital, name))

    def answers(self, outbox: Mapping[SiteId, bytes]) -> dict[SiteId, bytes]:
        """What the hospitals have answered to these questions so far. DataError where an answer is not signed by its hospital."""
        replies: dict[SiteId, bytes] = {}
        for site, message in outbox.items():
            name = sha256_hex(message)[:24]
            path = self._place(site) / f"{name}.answer"
            if path.exists():
                reply = _signed(path, self.plan.hospitals[site], self._mark("answer", site, name))
                if reply is None:
                    raise DataError(f"{path} is not from {site}", hint=f"delete it, and let {site} answer again")
                replies[site] = reply
        return replies

    def _place(self, hospital: str) -> Path:
        return self.folder / self.plan.code[:16] / hospital

    def _mark(self, kind: str, hospital: str, name: str) -> bytes:
        return f"wardround drift\n{self.plan.code}\n{kind}\n{hospital}\n{name}\n".encode()

    def _write(self, path: Path, message: bytes, identity: Identity, mark: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, identity.sign(mark + message).encode() + b"\n" + message)


def _signed(path: Path, key: str, mark: bytes) -> bytes | None:
    """What the holder of the key wrote; None of anything else."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read", found=error.strerror or "", hint="look at its rights") from error
    signature, message = content[:_SIGNATURE].decode("ascii", "replace"), content[_SIGNATURE + 1 :]
    return message if len(content) <= _LARGEST and signed_by(key, signature, mark + message) else None
