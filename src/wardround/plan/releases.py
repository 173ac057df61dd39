"""What leaves one hospital in a study, number by number: for whoever approves it. Derived from the study alone.

study --every order of its list--> Release(step, sums, arrays of words), ...      those that sum nothing have no arrays
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wardround.plan.plan import FEDERATED, LAST, Plan, own_label
from wardround.privacy.mechanism import AnyFrame
from wardround.values.tree import Tree

_BYTES = {"uint16": 2, "uint32": 4, "uint64": 8}
OPENING, TRAINING, EVALUATION = "opening", "training", "evaluation"
ANALYSIS = "analysis"


@dataclass(frozen=True)
class Release:
    """One kind of sum. step: opening, training or evaluation. sums: how many of them at most give a total. model_words: numbers
    of the model in each, of `bits` bits. counts: exact whole numbers in each. labels: of evaluations, which models are judged."""

    step: str
    sums: int
    model_words: int = 0
    bits: int = 0
    counts: int = 0
    labels: tuple[str, ...] = ()

    @property
    def bytes_each(self) -> int:
        """What one site's share of one sum takes, but for the masks' own bytes."""
        return self.model_words * self.bits // 8 + self.counts * _BYTES["uint64"]


def releases(plan: Plan) -> tuple[Release, ...]:
    """Every kind of sum of a study, in the order in which it asks."""
    return tuple(_releases(plan))


def _releases(plan: Plan) -> Iterator[Release]:
    study = plan.study
    if plan.analysis is not None and plan.private is not None:
        for exchange in plan.analysis.exchanges:
            words = plan.private.words_of(exchange)
            yield Release(ANALYSIS, exchange.times, words.size, words.grid.bits, 0, (exchange.label,))
        return
    if plan.analysis is not None:
        for exchange in plan.analysis.exchanges:
            quantities = exchange.quantities.values()
            counts = sum(one.size for one in quantities if one.bound is None) + 1  # how many numbers lay beyond their bounds
            real = sum(one.size for one in quantities if one.bound is not None)
            yield Release(ANALYSIS, exchange.times, 2 * real, 64, counts, (exchange.label,))
        return
    sites, rounds = len(study.sites.names), study.algorithm.rounds
    if "open" in plan.summed:
        yield _release(OPENING, 1, plan.opening_frame(sites))
    if rounds:
        yield _release(TRAINING, rounds, plan.training_frame(_shared_model(plan), sites, max(1, _public_weight(plan))))
    if "evaluate" in plan.summed:
        labels = judged_models(plan)
        yield _release(EVALUATION, len(labels), plan.evaluation_frame(sites, shifted=plan.robust), labels)


def judged_models(plan: Plan) -> tuple[str, ...]:
    """Labels of the models whose evaluations are asked for."""
    study = plan.study
    own = map(own_label, study.sites.names) if study.evaluation.own_baseline else ()
    return (FEDERATED, *([LAST] if plan.rolls_back else []), *own)


def _public_weight(plan: Plan) -> int:
    """Of a private study, whose weights are public; else one, which changes no size."""
    return 1 if plan.private is None else plan.private.weight(tuple(sorted(plan.study.quorum.sites)))


def _release(step: str, sums: int, frame: AnyFrame, labels: tuple[str, ...] = ()) -> Release:
    words = {name: kind for name, kind in frame.layout.items() if name != "counts/words"}
    bits = {np.dtype(kind).itemsize * 8 for kind, _ in words.values()}
    counts = frame.layout.get("counts/words", ("", 0))[1]
    return Release(step, sums, sum(size for _, size in words.values()), max(bits, default=0), counts, labels)


def _shared_model(plan: Plan) -> Tree:
    """Shapes of what travels, as arrays that take no memory."""
    zero = np.zeros((), np.float32)
    return {name: np.broadcast_to(zero, shape) for name, shape in plan.model_shapes.items() if name in plan.shared_names}
