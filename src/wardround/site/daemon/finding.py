"""What a check of this machine or of its line found, and how it is mended."""

from dataclasses import dataclass
from typing import Literal

from wardround.values.errors import EngineError

Level = Literal["good", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """One check. check: what was looked at, in one or two words. text: how it stands. mend: what to do; empty
    where it is good."""

    check: str
    level: Level
    text: str
    mend: str = ""

    @property
    def error(self) -> EngineError:
        """The same as an error of the line."""
        return EngineError(self.text, hint=self.mend)
