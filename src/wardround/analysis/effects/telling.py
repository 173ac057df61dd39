"""Findings as a result: tables, charts, figures and sentences. Counts below the smallest cell never get here unhidden."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wardround.analysis.effects import averages as average_room
from wardround.analysis.effects import rules
from wardround.analysis.effects.average_tables import (
    arms_table,
    average_figures,
    averages_table,
    balance_table,
    forest,
    overlap_table,
)
from wardround.analysis.effects.interactions import interactions, joint_tests
from wardround.analysis.effects.learners import LEARNERS
from wardround.analysis.effects.outcome_models import LINKS
from wardround.analysis.effects.rows import EffectFrame
from wardround.analysis.effects.single_effects import (
    curve_chart,
    group_chart,
    groups_table,
    learner_table,
    rule_table,
    single_figures,
)
from wardround.analysis.effects.steps import FEWEST, Findings
from wardround.analysis.effects.subgroup_tables import halves_table, interactions_table
from wardround.analysis.effects.subgroups import subgroups
from wardround.analysis.effects.wording import (
    Wording,
    arms_missing_somewhere,
    assumptions,
    interaction_words,
    overlap_words,
    rule_words,
)
from wardround.analysis.protocol import Total
from wardround.analysis.result import Result


def told(findings: Findings, first: Total, frame: EffectFrame, wording: Wording) -> Result:
    """The result. first: the total of the moments, with the rows that were left out."""
    wording = replace(wording, exact=all(not 0 < count < wording.smallest for count in findings.scores["left_out"].tolist()))
    by_method = {
        "unadjusted": average_room.unadjusted(findings.moments),
        "Lin": average_room.lin_averages(findings.moments, findings.lines, findings.scores["meat"]),
        "AIPW": average_room.score_averages(findings.scores.sums, frame),
    }
    tests, joint = interactions(findings.lines, findings.covariances), joint_tests(findings.lines, findings.covariances)
    halves = subgroups(findings.scores.sums, frame, max(FEWEST, wording.smallest))
    tables = [
        averages_table(findings, by_method, frame, wording),
        arms_table(findings, by_method["AIPW"], frame, wording),
        *([] if frame.probabilities is not None else [overlap_table(findings, frame, wording), balance_table(findings, frame)]),
        interactions_table(tests, joint, frame, wording),
        halves_table(halves, frame, wording),
    ]
    left_out, total = int(findings.scores["left_out"].sum()), int(findings.moments.everybody.counts.sum())
    notes = [
        *_left_out_rows(first["left_out"].tolist(), wording),
        *arms_missing_somewhere(findings.moments.hospitals_without.tolist(), int(first["hospitals"]), frame),
        *overlap_words(left_out, total, frame),
        *_aliased(findings, frame),
        *interaction_words(tests, joint, halves, frame),
    ]
    charts: list[Any] = [forest(by_method, frame, wording)]
    figures: dict[str, Any] = {"averages": average_figures(by_method, frame, wording), "models": _model_figures(findings, frame)}
    figures["interactions"] = {
        frame.arms[test.arm]: {
            "chi_square": test.chi_square,
            "p": test.p_value,
            "adjusted": test.adjusted,
            "freedom": test.freedom,
        }
        for test in joint
    }
    if findings.individual is not None:
        values = rules.rule_values(findings.individual.judged.sums, findings.scores.sums, frame)
        tables += [
            learner_table(findings.individual, frame),
            groups_table(findings.individual, frame, wording),
            rule_table(values, by_method["AIPW"], frame, wording),
        ]
        charts += [group_chart(findings.individual, frame, wording), curve_chart(findings.individual, frame, wording)]
        figures |= single_figures(findings.individual, values, frame, wording)
        notes += rule_words(values, by_method["AIPW"], frame, wording)
    notes += assumptions(frame)
    return Result(
        "effect",
        wording.title,
        tuple(tables),
        tuple(charts),
        _without_nan(figures),
        tuple(notes),
        _error(findings) * wording.scale,
    )


def _error(findings: Findings) -> float:
    """The largest error that the sums of scores bring into an average effect, scaled."""
    return 2 * findings.scores.error.get("scores", 0.0) / max(int(findings.scores["kept"].sum()), 1)


def _left_out_rows(counts: Sequence[int], wording: Wording) -> tuple[str, ...]:
    reasons = zip(counts, ("lack a value", "had another treatment"), strict=False)
    return tuple(f"{wording.count(count)} rows {reason} and do not count." for count, reason in reasons if count)


def _aliased(findings: Findings, frame: EffectFrame) -> tuple[str, ...]:
    unused = [name for name, used in zip(frame.columns, findings.lines.used.tolist(), strict=True) if not used]
    if not unused:
        return ()
    return (f"Lin's regression leaves out {', '.join(unused)}: in some arm other columns determine it, or it never varies.",)


def _model_figures(findings: Findings, frame: EffectFrame) -> dict[str, Any]:
    """The models of everybody, from which the effect for a new patient follows: `effects/predicting.py`."""
    everybody = frame.folds
    outcome = findings.nuisance.outcome
    models: dict[str, Any] = {
        "columns": list(frame.columns),
        "outcome": outcome.coefficients[:, everybody].tolist(),
        "links": [LINKS[link] for link in outcome.links],
        "penalties": outcome.ridges.tolist(),
        "squared_errors": outcome.losses.tolist(),
    }
    if frame.probabilities is None:
        models["propensity"] = findings.nuisance.propensity[everybody].tolist()
    if findings.individual is not None:
        learners = findings.individual.learners
        models |= {
            "constants": learners.constants[:, everybody].tolist(),
            "sides": learners.sides[:, everybody].tolist(),
            "contrasts": learners.contrasts[:, everybody].tolist(),
            "learners": [LEARNERS[kind] for kind in findings.individual.kinds],
        }
    return models


def _without_nan(value: Any) -> Any:
    """The same with None for numbers that JSON has no word for."""
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
