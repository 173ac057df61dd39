"""The exchanges of an effect: which sums there are, what a hospital adds to each, and how one follows from another.

    moments -> [propensity ...] -> [log_models ...] -> scores -> [second_stage -> judged -> ranked -> grouped]

With known probabilities and straight lines alone, average effects take two sums and the effects for single patients four more.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from wardround.analysis.carrying import require_unclipped
from wardround.analysis.effects import averages, balance, calibration, learners, log_models, moments, propensity, rules, scores
from wardround.analysis.effects.outcome_models import OutcomeModels, linear_models
from wardround.analysis.effects.rows import EffectFrame, EffectRows, Floats, Integers, Order, Sums
from wardround.analysis.protocol import Ask, Exchange, Total
from wardround.privacy.bounded_arrays import Quantity
from wardround.values.errors import DataError

FEWEST = 10
"""Patients that every arm needs, and that a group needs."""


@dataclass(frozen=True)
class Individual:
    """Effects for single patients. kinds (a - 1,): the learner that is nearest to the scores, of each arm but the control."""

    learners: learners.Learners
    kinds: Integers
    judged: Total
    slopes: calibration.Slopes
    ranked: Total
    grouped: Total


@dataclass(frozen=True)
class Findings:
    """Everything that the totals say. covariances (a, p, p): of the coefficients in `lines`."""

    moments: moments.Moments
    nuisance: scores.Nuisance
    lines: averages.ArmLines
    covariances: Floats
    scores: Total
    individual: Individual | None
    exchanges: int


def exchanges(frame: EffectFrame, times: int) -> tuple[Exchange, ...]:
    """Every sum, from the study alone. times: the most steps of a fit."""
    stated = [Exchange("moments", moments.moment_bounds(frame))]
    if frame.probabilities is None:
        stated.append(Exchange("propensity", propensity.propensity_bounds(frame), propensity.propensity_order(frame), times))
    if "log" in frame.links:
        stated.append(Exchange("log_models", log_models.log_bounds(frame), log_models.log_order(frame), times))
    stated.append(Exchange("scores", score_bounds(frame), scores.score_order(frame)))
    if frame.individual:
        stated.append(Exchange("second_stage", learners.second_stage_bounds(frame), scores.nuisance_order(frame)))
        stated.append(Exchange("judged", rules.judged_bounds(frame), rules.judged_order(frame)))
        stated.append(Exchange("ranked", calibration.ranked_bounds(frame), calibration.ranked_order(frame)))
        stated.append(Exchange("grouped", calibration.grouped_bounds(frame), calibration.grouped_order(frame)))
    return tuple(stated)


def score_bounds(frame: EffectFrame) -> dict[str, Quantity]:
    """What `score_sums` gives."""
    return {**scores.score_bounds(frame), **balance.balance_bounds(frame)}


def score_sums(rows: EffectRows, order: Order, frame: EffectFrame) -> Sums:
    """One hospital's share of the averages, and of the balance of its arms."""
    every = scores.scored(rows, scores.Nuisance.of(order), frame)
    return {**scores.score_sums(every, order, frame), **balance.balance_sums(every, frame)}


_SHARES: dict[str, Callable[[EffectRows, Order, EffectFrame], Sums]] = {
    "moments": lambda rows, _order, frame: moments.moment_sums(rows, frame),
    "propensity": propensity.propensity_sums,
    "log_models": log_models.log_sums,
    "scores": score_sums,
    "second_stage": learners.second_stage_sums,
    "judged": rules.judged_sums,
    "ranked": calibration.ranked_sums,
    "grouped": calibration.grouped_sums,
}


def share(rows: EffectRows, ask: Ask, frame: EffectFrame) -> Sums:
    """What one hospital adds to an ask."""
    with np.errstate(all="ignore"):  # what an order makes of its own numbers is counted as clipped, and told by the coordinator
        return _SHARES[ask.label](rows, ask.order, frame)


Steps = Generator[Ask, Total, Findings]


def coordinated(frame: EffectFrame, times: int, fewest: int = FEWEST) -> Steps:
    """The asks, and what follows from their totals. fewest: patients that an arm and a group need."""
    count = 1
    first = yield Ask("moments")
    require_unclipped(first)
    moment = moments.Moments.of(first.sums, frame)
    averages.require_arms(moment, frame, fewest)
    propensities, taken = yield from _propensities(moment, frame, times)
    count += taken
    outcome, taken = yield from _outcome_models(moment, frame, times)
    nuisance, lines = scores.Nuisance(outcome, propensities), averages.arm_lines(moment, frame)
    total = yield Ask("scores", {**nuisance.order(), "lines": lines.lines, "roots": lines.roots})
    require_unclipped(total)
    averages.require_overlap(total.sums, frame, fewest)
    covariances = averages.sandwiches(lines, total["meat"])
    single = (yield from _individual(moment, nuisance, total, frame, fewest)) if frame.individual else None
    count += taken + (5 if frame.individual else 1)
    return Findings(moment, nuisance, lines, covariances, total, single, count)


def _propensities(moment: moments.Moments, frame: EffectFrame, times: int) -> Generator[Ask, Total, tuple[Floats, int]]:
    if frame.probabilities is not None:
        return np.zeros((0, 0, 0)), 0
    fits = propensity.PropensityFits.begin(moment, frame)
    for number in range(1, times + 1):
        total = yield Ask("propensity", fits.order(frame))
        require_unclipped(total)
        fits = fits.advance(total, frame)
        if fits.descent.finished:
            return fits.coefficients(frame), number
    raise _unfinished("The probabilities of the arms", times)


def _outcome_models(moment: moments.Moments, frame: EffectFrame, times: int) -> Generator[Ask, Total, tuple[OutcomeModels, int]]:
    linear = linear_models(moment, frame)
    if "log" not in frame.links:
        return linear, 0
    fits, number = log_models.LogFits.begin(moment, frame), 0
    while not fits.finished:
        if number == times:
            raise _unfinished("The outcome models with a logarithmic link", times)
        total = yield Ask("log_models", fits.order(frame))
        require_unclipped(total)
        fits, number = fits.advance(total, frame), number + 1
    return log_models.better_models(linear, fits, moment, frame), number


def _unfinished(fitted: str, times: int) -> DataError:
    return DataError(
        f"{fitted} did not settle within the sums that the study allows",
        expected=f"at most {times} sums for one fit",
        hint="raise analysis.exchanges, and agree on the study anew",
    )


def _individual(
    moment: moments.Moments, nuisance: scores.Nuisance, total: Total, frame: EffectFrame, fewest: int
) -> Generator[Ask, Total, Individual]:
    second = yield Ask("second_stage", nuisance.order())
    require_unclipped(second)
    fitted = learners.fitted_learners(moment, second.sums, frame)
    order = {**nuisance.order(), **fitted.order()}
    judged = yield Ask("judged", order)
    require_unclipped(judged)
    n, kinds = int(total["kept"].sum()), rules.chosen_learners(judged.sums)
    slopes = calibration.Slopes.of(judged.sums, kinds, n)
    order |= {"kinds": kinds.astype(np.float64), "grid": slopes.grid(), "slopes": slopes.values}
    ranked = yield Ask("ranked", order)
    require_unclipped(ranked)
    edges = np.full((len(kinds), calibration.GROUPS + 1), float(calibration.CELLS))
    for other in range(len(kinds)):
        begins = calibration.group_edges(ranked["cells"][other], fewest)
        edges[other, : len(begins)] = begins
    grouped = yield Ask("grouped", order | {"edges": edges})
    require_unclipped(grouped)
    return Individual(fitted, kinds, judged, slopes, ranked, grouped)
