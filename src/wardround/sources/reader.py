"""What the module of a reader says of itself. A new source is one module with a `READER`, and one line in `opening.READERS`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from wardround.sources.files.candidate import Candidate
from wardround.sources.read_result import Labels, ReadResult, Values
from wardround.study.contract import DataContract, Kind


class Read(Protocol):
    """Every record of a source. labels: whether a record must have one. values: what is wanted of a table's columns."""

    def __call__(
        self, path: Path, contract: DataContract, labels: Labels = "required", values: Values = "prepared", /
    ) -> ReadResult: ...


@dataclass(frozen=True)
class Reader:
    """kind: its name in reports. data: what it reads; "any" where that shows only when it is read, and is compared then.
    title: the same for people, as in "mixes DICOM with PNG or JPEG".

    suffixes: by them a single file is told in a folder of other things. recognises: whether what lies at a path is this reader's,
    by what it holds and never by its name; nothing is walked or opened for it anew.
    """

    kind: str
    data: Kind | Literal["any"]
    title: str
    suffixes: frozenset[str]
    recognises: Callable[[Candidate], bool]
    read: Read
