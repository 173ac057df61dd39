"""What every site approved before any sum: under which hash, with whom, and how many it takes."""

from collections.abc import Mapping
from dataclasses import dataclass

from wardround.crypto.quorum import Quorum


@dataclass(frozen=True)
class Approved:
    """hash: of the study, or of whatever else was agreed, 64 hexadecimal digits. keys: site -> public identity key. set_changes:
    how often the set of sites in a sum may change from one sum to the next."""

    hash: str
    quorum: Quorum
    keys: Mapping[str, str]
    set_changes: int

    def __post_init__(self) -> None:
        if set(self.keys) != set(self.quorum.sites):
            raise ValueError("there must be one identity key for each approved site")
