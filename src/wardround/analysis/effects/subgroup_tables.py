"""On what the effect depends, and what it is in the halves of every column, as tables."""

from collections.abc import Sequence

from wardround.analysis.effects.interactions import Interaction, JointTest
from wardround.analysis.effects.rows import EffectFrame
from wardround.analysis.effects.subgroups import Subgroup
from wardround.analysis.effects.wording import Wording, Z, number
from wardround.analysis.result import Cell, Column, Table


def interactions_table(tests: Sequence[Interaction], joint: Sequence[JointTest], frame: EffectFrame, wording: Wording) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for test in tests:
        step = wording.features[test.column].step * wording.scale
        difference, error = test.difference * step, test.error * step
        ends = (difference, error, difference - Z * error, difference + Z * error)
        values = (*map(number, ends), number(test.p_value), number(test.adjusted))
        rows.append((frame.arms[test.arm], frame.columns[test.column], *values))
    for whole in joint:
        p_values = (number(whole.p_value), number(whole.adjusted))
        rows.append((frame.arms[whole.arm], "all together", None, None, None, None, *p_values))
    columns = (
        Column("treatment", "text"),
        Column("column", "text"),
        Column("difference of the effect"),
        Column("standard error"),
        Column("low"),
        Column("high"),
        Column("p", "p"),
        Column("p adjusted", "p"),
    )
    notes = (
        "Treatment times column in one regression (Lin 2013), robust errors HC2. Adjusted by Holm: single rows over all of them, "
        "those of all together over treatments.",
    )
    return Table("interactions", "On what the effect depends", columns, tuple(rows), notes)


def halves_table(halves: Sequence[Subgroup], frame: EffectFrame, wording: Wording) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for one in halves:
        feature = wording.features[one.column]
        for name, half, p_values in (
            (feature.above, one.above, (number(one.p_value), number(one.adjusted))),
            (feature.below, one.below, (None, None)),
        ):
            effect, error = half.effect * wording.scale, half.error * wording.scale
            rows.append(
                (
                    frame.arms[one.arm],
                    name,
                    wording.size(half.patients),
                    effect,
                    effect - Z * error,
                    effect + Z * error,
                    *p_values,
                )
            )
    columns = (
        Column("treatment", "text"),
        Column("patients who", "text"),
        Column("patients", "count"),
        Column("effect"),
        Column("low"),
        Column("high"),
        Column("p", "p"),
        Column("p adjusted", "p"),
    )
    notes = (
        "Average effects (AIPW) in both halves of each column; p that they are the same, adjusted by Holm over all columns.",
    )
    return Table("halves", "For whom more and for whom less", columns, tuple(rows), notes)
