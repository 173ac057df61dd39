"""Where a calibrated probability becomes a yes: the rule that a hospital asks for."""

import re
from dataclasses import dataclass

from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.binary.threshold import (
    choose_threshold,
    choose_threshold_for_sensitivity,
    choose_threshold_for_specificity,
    choose_threshold_near_half,
)
from wardround.values.errors import StudyError

_RULES = {"near-half": choose_threshold_near_half, "balanced": choose_threshold}
_AIMS = {"sensitivity": choose_threshold_for_sensitivity, "specificity": choose_threshold_for_specificity}
_WORDS = re.compile(r"(?:(sensitivity|specificity)=)?(0?\.\d+|0|1|[01]\.\d*)")


@dataclass(frozen=True)
class OperatingPoint:
    """rule: near-half, balanced, sensitivity=0.95, specificity=0.9, or a probability. StudyError where it is none of these.

    >>> OperatingPoint("0.25").threshold(ScoreSums.zero())
    0.25
    """

    rule: str = "near-half"

    def __post_init__(self) -> None:
        if self.rule not in _RULES and self._aim is None:
            raise StudyError(
                "This is no operating point",
                expected=f"{', '.join(_RULES)}, sensitivity=0.95, specificity=0.9, or a probability such as 0.4",
                found=self.rule[:60],
                hint="write one of these behind --operating-point",
            )

    def threshold(self, sums: ScoreSums) -> float:
        """The probability that the rule chooses on these sums."""
        if self.rule in _RULES:
            return _RULES[self.rule](sums)
        name, number = self._aim or ("", 0.5)
        return _AIMS[name](sums, number) if name else number

    @property
    def _aim(self) -> tuple[str, float] | None:
        match = _WORDS.fullmatch(self.rule)
        if match is None or not 0 <= float(match[2]) <= 1:
            return None
        return match[1] or "", float(match[2])
