"""The numbers of messages about a study, on the disk before they are used (docs/spec/network.md, 4.4).

Of the hub the last number that it gave, of a site the last that it took with the hash of the message.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError, WireError
from wardround.values.private_files import read_private

_LONGEST = 1000
MOST_STUDIES = 4096
"""Of how many studies a site keeps a number: a hub that names a new one in each message would fill the disk."""


@dataclass(frozen=True)
class LastMessage:
    """number: of the last message about a study. sha256: of that message, where it was received."""

    number: int = 0
    sha256: str = ""


class Numbers:
    """One small file for each study, in a folder of this user alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def last(self, study: str) -> LastMessage:
        """RunError where the file is damaged: nobody can tell then what was said already."""
        path = self._folder / f"{study}.json"
        content = read_private(path, _LONGEST)
        if content is None:
            return LastMessage()
        try:
            message = LastMessage(**json.loads(content))
            if type(message.number) is not int or not isinstance(message.sha256, str):
                raise ValueError("another type")
        except (ValueError, TypeError) as error:
            raise RunError(
                f"{path} is damaged",
                found="no number of a message",
                hint="bring it back from a backup; without it old messages could be taken for new",
            ) from error
        return message

    def require_room(self) -> None:
        """WireError where there are as many studies as are kept."""
        if sum(1 for _ in self._folder.glob("*.json")) >= MOST_STUDIES:
            raise WireError(
                "The hub speaks of more studies than a hospital keeps account of",
                expected=f"at most {MOST_STUDIES}",
                hint=f"ask the hub's people why; files of studies that are over can be moved out of {self._folder}",
            )

    def record(self, study: str, message: LastMessage) -> None:
        write_atomic(self._folder / f"{study}.json", canonical_json(asdict(message)), private=True)

    def next(self, study: str) -> int:
        """A number greater than every one before. It follows the clock, so that a folder that was restored gives no old one."""
        number = max(self.last(study).number + 1, time.time_ns() // 1_000_000)
        self.record(study, LastMessage(number))
        return number
