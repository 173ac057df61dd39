"""Effects for single patients as tables, charts and figures: learners, groups, gain curves, rules."""

import math
from collections.abc import Sequence
from typing import Any

from wardround.analysis.effects.averages import Averages
from wardround.analysis.effects.calibration import calibration_test, groups_of
from wardround.analysis.effects.gain import gain_curve, qini
from wardround.analysis.effects.learners import LEARNERS
from wardround.analysis.effects.rows import EffectFrame
from wardround.analysis.effects.rules import RuleValue
from wardround.analysis.effects.steps import Individual
from wardround.analysis.effects.wording import Wording, Z, number
from wardround.analysis.result import Cell, Column, Forest, Interval, Line, Lines, Table


def learner_table(single: Individual, frame: EffectFrame) -> Table:
    """The loss of each learner beside that of one effect for all, and the slope of the chosen one."""
    rows: list[tuple[Cell, ...]] = []
    for other, arm in enumerate(frame.arms[1:]):
        losses = single.judged["losses"][:, other]
        slope, error, p_value = calibration_test(single.slopes, single.ranked["slope_squares"], other)
        for kind, name in enumerate(LEARNERS):
            chosen = kind == single.kinds[other]
            calibration = (slope, error, p_value) if chosen else (math.nan,) * 3
            less = 1 - float(losses[kind] / losses[0]) if losses[0] > 0 else math.nan
            rows.append((arm, name, "yes" if chosen else "", number(less), *map(number, calibration)))
    columns = (
        Column("treatment", "text"),
        Column("learner", "text"),
        Column("shown below", "text"),
        Column("loss below one effect for all", "percent"),
        Column("slope"),
        Column("standard error"),
        Column("p", "p"),
    )
    notes = (
        "S: one effect for all. T: difference of the arms' models. X: Kuenzel et al. 2019. DR: Kennedy 2023.",
        "The loss is the squared distance to doubly robust contrasts of patients that the learner did not see. At or below 0, "
        "the learner tells nobody apart.",
        "slope: of these contrasts on the predicted effects. 1 is perfect; p is that it is 0, so that predictions mean nothing.",
    )
    return Table("learners", "Effects for single patients: is there anything to predict?", columns, tuple(rows), notes)


def groups_table(single: Individual, frame: EffectFrame, wording: Wording) -> Table:
    """Average effects by group of the predicted effect."""
    rows: list[tuple[Cell, ...]] = []
    for other, arm in enumerate(frame.arms[1:]):
        for at, group in enumerate(groups_of(single.grouped.sums, other), 1):
            effect, error = group.effect * wording.scale, group.error * wording.scale
            ends = (effect - Z * error, effect + Z * error)
            rows.append((arm, at, wording.size(group.patients), group.predicted * wording.scale, effect, *ends))
    columns = (
        Column("treatment", "text"),
        Column("group", "count"),
        Column("patients", "count"),
        Column("predicted effect"),
        Column("effect"),
        Column("low"),
        Column("high"),
    )
    notes = ("Patients by rising predicted effect, and the average effect among them (AIPW) with 95 % intervals.",)
    return Table("groups", "Effects by predicted effect", columns, tuple(rows), notes)


def rule_table(values: Sequence[RuleValue], averages: Averages, frame: EffectFrame, wording: Wording) -> Table:
    """What each arm for all and each rule is worth."""
    rows: list[tuple[Cell, ...]] = []
    for arm, name in enumerate(frame.arms):
        mean, error = float(averages.means[arm]), math.sqrt(max(float(averages.covariance[arm, arm]), 0.0))
        rows.append((f"{name} for all", *_shown(mean, error, wording), None, None, None))
    for value in values:
        gain = _shown(value.gain, value.gain_error, wording)
        rows.append((f"predicted best ({value.name})", *_shown(value.value, value.error, wording), *gain))
    columns = (
        Column("rule", "text"),
        Column("value"),
        Column("low"),
        Column("high"),
        Column("against the best arm for all"),
        Column("gain low"),
        Column("gain high"),
    )
    best = frame.arms[values[0].best] if values else frame.arms[0]
    notes = (
        f"The {wording.measured} under each rule, where {frame.better} is better; 95 % intervals. The best arm for all is "
        f"{best}, picked on the same patients.",
        "A patient's arm is predicted by models that did not see him.",
    )
    return Table("rules", "What treatment rules are worth", columns, tuple(rows), notes)


def _shown(estimate: float, error: float, wording: Wording) -> tuple[float, float, float]:
    middle, half = estimate * wording.scale, Z * error * wording.scale
    return middle, middle - half, middle + half


def group_chart(single: Individual, frame: EffectFrame, wording: Wording) -> Forest:
    """The effects by group."""
    intervals = []
    for other, arm in enumerate(frame.arms[1:]):
        for at, group in enumerate(groups_of(single.grouped.sums, other), 1):
            intervals.append(Interval(f"{arm}, group {at}", *_shown(group.effect, group.error, wording)))
    axis = f"difference of the {wording.measured} against {frame.arms[0]}"
    return Forest("groups", "Effects by predicted effect", axis, tuple(intervals))


def curve_chart(single: Individual, frame: EffectFrame, wording: Wording) -> Lines:
    """The gain curves of all arms."""
    lines = []
    for other, arm in enumerate(frame.arms[1:]):
        shares, gains = gain_curve(groups_of(single.grouped.sums, other), frame.better)
        lines.append(Line(arm, shares, tuple(gain * wording.scale for gain in gains)))
    title = "What is gained when more patients get a treatment, those with the largest predicted benefit first"
    return Lines("gain", title, "share of patients who get it", f"mean gain of the {wording.measured}", tuple(lines))


def single_figures(single: Individual, values: Sequence[RuleValue], frame: EffectFrame, wording: Wording) -> dict[str, Any]:
    """Unrounded figures of effects for single patients."""
    figures: dict[str, Any] = {"calibration": {}, "groups": {}, "qini": {}, "rules": {}}
    for other, arm in enumerate(frame.arms[1:]):
        slope, error, p_value = calibration_test(single.slopes, single.ranked["slope_squares"], other)
        groups = groups_of(single.grouped.sums, other)
        figures["calibration"][arm] = {"slope": slope, "error": error, "p": p_value}
        figures["groups"][arm] = [
            {
                "predicted": group.predicted * wording.scale,
                "effect": group.effect * wording.scale,
                "error": group.error * wording.scale,
            }
            for group in groups
        ]
        figures["qini"][arm] = qini(*gain_curve(groups, frame.better)) * wording.scale
    for value in values:
        figures["rules"][value.name] = {
            "value": value.value * wording.scale,
            "error": value.error * wording.scale,
            "against": frame.arms[value.best],
            "gain": value.gain * wording.scale,
            "gain_error": value.gain_error * wording.scale,
        }
    return figures
