"""The proved answers of an exchange: short ones as they are, long ones opened when they are read, one at a time.

A long answer lies as ciphertext in a file that has no name any more: whoever reads three answers of 100 MB one after the other
holds one of them. Its pieces were found true when it came, so that reading it again cannot fail but for a broken disk.
"""

import weakref
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from wardround.crypto.sealing import SealingKey
from wardround.values.errors import WireError
from wardround.values.ids import SiteId
from wardround.wire.sealed import Sealed


class DetachedAnswer:
    """A long answer of a site. file: its ciphertext. Raises WireError where it is not what the site signed."""

    def __init__(self, sealed: Sealed, key: SealingKey, file: BinaryIO) -> None:
        self._sealed, self._key, self._file = sealed, key, file
        weakref.finalize(self, file.close)  # the disk has its blocks back when nobody reads the answer any more
        self._file.seek(0)
        for _ in sealed.pieces(key, file):
            pass
        if file.read(1):
            raise WireError("A body is longer than its sender signed")

    def read(self) -> bytes:
        self._file.seek(0)
        return self._sealed.body(self._key, self._file)


class Answers(Mapping[SiteId, bytes]):
    """Site -> what it said. A long answer is made anew each time it is asked for; `len(answers)` opens none."""

    def __init__(self, values: Mapping[SiteId, bytes | DetachedAnswer]) -> None:
        self._values = dict(values)

    def __getitem__(self, site: SiteId) -> bytes:
        value = self._values[site]
        return value.read() if isinstance(value, DetachedAnswer) else value

    def __iter__(self) -> Iterator[SiteId]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
