"""Names, units and sentences of a result: what was found, and beside it what cannot be said."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wardround.analysis.effects.averages import Averages
from wardround.analysis.effects.columns import Feature
from wardround.analysis.effects.interactions import Interaction, JointTest
from wardround.analysis.effects.rows import EffectFrame
from wardround.analysis.effects.rules import RuleValue
from wardround.analysis.effects.subgroups import Subgroup
from wardround.analysis.result import Cell

Z = 1.959963984540054
LEVEL = 0.05


def number(value: float) -> Cell:
    """A number of a table; None where there is none."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Wording:
    """title: of the study. outcome, unit: of the outcome's column. scale: one unit of a scaled outcome. features: of the design.

    binary: whether the outcome is a yes or no. smallest: counts below it are not shown. exact: whether sizes of groups are shown;
    they would give a withheld count away otherwise."""

    title: str
    outcome: str
    unit: str
    scale: float
    features: tuple[Feature, ...]
    binary: bool
    smallest: int
    exact: bool = True

    @property
    def measured(self) -> str:
        """The outcome with its unit; the risk of a yes or no."""
        if self.binary:
            return f"risk of {self.outcome}"
        return f"{self.outcome} ({self.unit})" if self.unit else self.outcome

    def count(self, number: int) -> str | int:
        """A count as it may be shown."""
        return f"< {self.smallest}" if 0 < number < self.smallest else number

    def size(self, number: int) -> int | None:
        """The size of a group, where it gives nothing away."""
        return number if self.exact else None

    def interval(self, estimate: float, error: float) -> str:
        """An estimate with its interval, in the outcome's unit."""
        middle, half = estimate * self.scale, Z * error * self.scale
        digits = 3 if self.binary else 1
        return f"{middle:.{digits}f} ({middle - half:.{digits}f} to {middle + half:.{digits}f})"


def assumptions(frame: EffectFrame) -> tuple[str, ...]:
    """What the result rests on, and what it cannot say."""
    of_whom = "The effects are of patients like those of the study. Another population may have others."
    if frame.probabilities is not None:
        shares = ", ".join(f"{arm} {share:g}" for arm, share in zip(frame.arms, frame.probabilities, strict=True))
        return (
            f"The study says that the treatment was drawn by lot ({shares}). If it was not, the averages are not effects.",
            of_whom,
        )
    return (
        "The treatment was not drawn by lot. The averages are effects only if nothing but the named covariates decided both the "
        "treatment and the outcome; no figure here can show that. The E-values say how strong something unmeasured would have to "
        "be to explain an effect away.",
        f"Patients for whom some arm had a probability below {frame.smallest_probability:g} are left out: the averages are of "
        "the others.",
        of_whom,
    )


def arms_missing_somewhere(without: Sequence[int], hospitals: int, frame: EffectFrame) -> tuple[str, ...]:
    """A sentence for each arm that some hospital has nobody in; which hospital, that hospital alone knows."""
    return tuple(
        f"At {count} of {hospitals} hospitals nobody had {arm}: its effect rests on the others, and on hospitals being alike in "
        "what the covariates do not hold."
        for arm, count in zip(frame.arms, without, strict=True)
        if count
    )


def interaction_words(
    tests: Sequence[Interaction], joint: Sequence[JointTest], halves: Sequence[Subgroup], frame: EffectFrame
) -> tuple[str, ...]:
    """Whether the effect depends on a column, said plainly where nothing is there."""
    sentences = []
    for test in joint:
        arm = frame.arms[test.arm]
        own = [one for one in tests if one.arm == test.arm]
        several = [frame.columns[one.column] for one in own if one.adjusted < LEVEL]
        smallest = min((one.adjusted for one in own), default=1.0)
        together = f"all together p = {test.p_value:.2g}"
        if len(joint) > 1:
            together += f" ({test.adjusted:.2g} adjusted for {len(joint)} treatments)"
        if several:
            sentences.append(f"The effect of {arm} depends on {', '.join(several)} (p below {LEVEL:g} after Holm's adjustment).")
        elif test.adjusted < LEVEL:
            sentences.append(
                f"The effect of {arm} depends on something among the columns ({together}), but no single one stands out: the "
                f"smallest p is {smallest:.2g} after Holm's adjustment."
            )
        else:
            sentences.append(
                f"No column was found on which the effect of {arm} depends: {together}, the smallest single p {smallest:.2g} "
                "after Holm's adjustment. This is no proof that the effect is the same for everybody."
            )
    if not any(half.adjusted < LEVEL for half in halves):
        sentences.append("No half of any column has another average effect than its counterpart, after Holm's adjustment.")
    return tuple(sentences)


def rule_words(values: Sequence[RuleValue], averages: Averages, frame: EffectFrame, wording: Wording) -> tuple[str, ...]:
    """What the rules are worth beside the best arm for all."""
    same = [value for value in values if value.gain_error == 0]
    sentences: list[str] = []
    if same:
        names = " and ".join(f"{value.name}-learner" for value in same)
        sentences.append(f"By the {names} {frame.arms[same[0].best]} is best for everybody, so that a rule has nothing to add.")
    for value in values:
        if value.gain_error == 0:
            continue
        best, low, high = frame.arms[value.best], value.gain - Z * value.gain_error, value.gain + Z * value.gain_error
        sign = 1.0 if frame.better == "higher" else -1.0
        low, high = sorted((sign * low, sign * high))
        if low > 0:
            verdict = f"better than {best} for all"
        elif high < 0:
            verdict = f"worse than {best} for all"
        elif sign * value.gain > 0:
            verdict = f"worth more than {best} for all here, which may be chance"
        else:
            verdict = f"worth less than {best} for all here, so that nothing speaks for it"
        for_all = wording.interval(float(averages.means[value.best]), float(averages.covariance[value.best, value.best]) ** 0.5)
        sentences.append(
            f"The rule that gives each patient the arm predicted best ({value.name}-learner) has the {wording.measured} "
            f"{wording.interval(value.value, value.error)}; {best} for all has {for_all}. The rule is {verdict}: difference "
            f"{wording.interval(value.gain, value.gain_error)}."
        )
    return tuple(sentences)


def overlap_words(left_out: int, total: int, frame: EffectFrame) -> tuple[str, ...]:
    """How many were left out for want of a counterpart."""
    if frame.probabilities is not None or not left_out:
        return ()
    share = f"{100 * left_out / total:.0f} %" if 200 * left_out >= total else "Less than 1 %"
    return (f"{share} of all patients are left out of the averages, since some arm was next to impossible for them.",)
