"""One file from its publisher: resumed where it broke off, whole or absent under its name, and refused on a wrong hash.

address --bytes--> NAME.part --hash as promised--> NAME
                     `--- broken: kept, and the next try asks for the rest (HTTP Range)
                     `--- wrong hash: removed
"""

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from wardround.values.errors import DataError

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes here so far, and the bytes in all where the server says."""

CHUNK = 1 << 18
DEADLINE_S = 60.0
TRIES = 3


def fetch(
    address: str, target: Path, expected_hash: str, progress: Progress | None = None, *, deadline_s: float = DEADLINE_S
) -> None:
    """Put the file at `address` at `target`. `expected_hash` is "sha256:..." or "md5:..."; DataError where it is not met.

    A connection that breaks is tried again, TRIES times as long as each brings something; what came stays as NAME.part.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, TRIES + 1):
            if _receive(address, part, progress, target.name, deadline_s):
                break
            if attempt == TRIES:
                raise DataError(
                    f"The download of {target.name} broke off", hint="run the command again: it goes on where this one stopped"
                )
        _refuse_wrong_hash(part, expected_hash, target.name)
        part.replace(target)
    except OSError as error:
        raise DataError(
            f"{target.name} could not be written",
            found=error.strerror or type(error).__name__,
            hint="free some disk space, then run again",
        ) from error


def _receive(address: str, part: Path, progress: Progress | None, name: str, deadline_s: float) -> bool:
    """Append to the part what the server still has; whether it is whole now."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(
        address, headers={"User-Agent": "wardround", **({"Range": f"bytes={have}-"} if have else {})}
    )
    try:
        response = urllib.request.urlopen(request, timeout=deadline_s)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and have:
                return True  # nothing is left to send: the part is whole, or its hash will tell that it is not
            raise DataError(
                f"The publisher does not serve {name}",
                found=f"HTTP status {error.code}",
                hint=f"look for the file at {address.rsplit('/', 1)[0]}",
            ) from None
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException):
        if not have:
            raise DataError(f"The server of {name} cannot be reached", hint="check the network, then run again") from None
        return False
    with response:
        resumed = response.status == 206
        left = response.headers.get("Content-Length")
        start = have if resumed else 0
        total = start + int(left) if left is not None and left.isdigit() else None
        with part.open("ab" if resumed else "wb") as file:
            return _copy(response, file, start, total, progress, name)


def _copy(response: BinaryIO, file: BinaryIO, start: int, total: int | None, progress: Progress | None, name: str) -> bool:
    here = start
    while True:
        try:
            block = response.read(CHUNK)
        except (http.client.HTTPException, TimeoutError, ConnectionError):
            return False
        if not block:
            return total is None or here >= total
        file.write(block)
        here += len(block)
        if progress is not None:
            progress(name, here, total)


def _refuse_wrong_hash(part: Path, expected_hash: str, name: str) -> None:
    algorithm = expected_hash.partition(":")[0]
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if f"{algorithm}:{digest}" != expected_hash:
        part.unlink()
        raise DataError(
            f"{name} has another hash than the catalogue promises and was removed",
            expected=expected_hash,
            found=f"{algorithm}:{digest}",
            hint="try again later; if it stays so, the publisher has changed the file",
        )
