"""The finite list of what a study asks of a site: the study is the whole permission.

    open/0 -> evaluate/N/LABEL, ... (the sums of an analysis) -> close
    open/0 .. open/3n -> train/1 .. train/R -> own/1 .. own/R (where the study has own models) -> evaluate/LABEL
        -> personal/R (where the study has personal models) -> close
    open/0 .. open/3n -> evaluate/0/federated -> close/0        where nothing is trained
       \\--one is used--/        open/0/again: the model once more, for a site that lost its own; it answers nothing

A site answers each name of the list at most once over one set of sites, with exactly these arrays, and nothing else. Everything
here follows from the study, so that both ends have the same list and neither sends it. Only a study that names no sites leaves
one thing to its opening: for which hospitals there is an own model to evaluate (`require_listed_hospitals`).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wardround.analysis.carrying import most_asks
from wardround.analysis.protocol import Analysis
from wardround.crypto import quorum
from wardround.plan.plan import FEDERATED, LAST, Plan, own_label
from wardround.study.declaration import Study
from wardround.values.errors import RefusedError
from wardround.values.tree import Shapes, shapes_of
from wardround.wire.envelope import pack_bundle
from wardround.wire.messages import OrderHeader, Step
from wardround.wire.payload import ArrayKind, payload_size

ARRAY_TYPE = "float32"
ANALYSIS_TYPE = "float64"
ORDER = "order"
"""The part of an analysis's order that its arrays are in."""
AGAIN = "again"
"""Label of the opening that sums nothing."""
MOST_UNNAMED = quorum.LARGEST
"""Hospitals of a study that names none and has own models: as many as a masked sum holds."""


@dataclass(frozen=True)
class PlannedOrder:
    """One order that a study has. arrays: name on the wire -> shape, all of one type. weighted: whether the order's total weight
    is read; elsewhere it is 0. summed: whether the answers are added up."""

    step: Step
    number: int
    label: str = ""
    arrays: Shapes | None = None
    weighted: bool = False
    summed: bool = False
    type: str = ARRAY_TYPE

    @property
    def name(self) -> str:
        """step/round/label, as in `summation.masked.layout.sum_name`."""
        return f"{self.step}/{self.number}/{self.label}"

    @property
    def kinds(self) -> dict[str, ArrayKind]:
        """The arrays, as a reader of bytes compares them."""
        return {name: (self.type, shape) for name, shape in (self.arrays or {}).items()}


class Permission:
    """The list of one study."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def order(self, header: OrderHeader, opened_with: Collection[str]) -> PlannedOrder:
        """The planned order that a header asks for. RefusedError where the study has none such.

        opened_with: the hospitals of the opening that the site answered; of a study that names its sites they are not looked at.
        """
        planned = self._orders.get(f"{header.step}/{header.round}/{header.label}") or self._own_model_of(opened_with, header)
        if planned is None:
            raise RefusedError(
                "The order asks for what the approved study does not have",
                expected=f"one of {len(self._orders)} orders: openings, {self._rounds_in_words}its evaluations, closing",
                found=f"{header.step} {header.round} {header.label}".strip(),
                code="not-in-study",
            )
        if planned.weighted != (header.weight > 0):
            raise RefusedError(
                "The order states a total weight where the study reads none, or none where it reads one",
                found=f"{header.weight} with {planned.name}",
                code="weight",
            )
        return planned

    def __iter__(self) -> Iterator[PlannedOrder]:
        return iter(self._orders.values())

    @cached_property
    def largest_payload(self) -> int:
        """Bytes of the largest order of the list."""
        return max(payload_size(planned.kinds) for planned in self)

    @property
    def _rounds(self) -> int:
        return self._plan.study.algorithm.rounds if self._plan.analysis is None else most_asks(self._plan.analysis)

    @property
    def _rounds_in_words(self) -> str:
        return f"rounds 1 to {self._rounds}, " if self._rounds else ""

    @cached_property
    def _orders(self) -> Mapping[str, PlannedOrder]:
        return {planned.name: planned for planned in self._listed()}

    def _listed(self) -> Iterator[PlannedOrder]:
        return self._of_learning() if self._plan.analysis is None else self._of_analysis(self._plan.analysis)

    def _of_analysis(self, analysis: Analysis) -> Iterator[PlannedOrder]:
        """The number of a sum is its place in the run, whatever its label: `site.order_checks` holds each label to its times."""
        yield PlannedOrder("open", 0)
        yield PlannedOrder("open", 0, AGAIN)
        for number in range(1, self._rounds + 1):
            for exchange in analysis.exchanges:
                arrays = _on_the_wire({ORDER: exchange.order})
                yield PlannedOrder("evaluate", number, exchange.label, arrays, summed=True, type=ANALYSIS_TYPE)
        yield PlannedOrder("close", self._rounds)

    def _of_learning(self) -> Iterator[PlannedOrder]:
        for number in range(self._plan.openings):
            yield PlannedOrder("open", number, arrays=self._whole_model, summed="open" in self._plan.summed)
        yield PlannedOrder("open", 0, AGAIN, arrays=self._whole_model)
        for number in range(1, self._rounds + 1):
            yield PlannedOrder("train", number, arrays=self._training, weighted=True, summed=True)
        if self._own_models:
            for number in range(1, self._rounds + 1):
                yield PlannedOrder("own", number)
        labels = [FEDERATED, *([LAST] if self._plan.rolls_back else [])]
        labels += [own_label(site) for site in self._plan.study.sites.names] if self._own_models_travel else []
        for label in labels:
            yield self._evaluation(label)
        if self._plan.study.personal.candidates:
            yield PlannedOrder("personal", self._rounds, arrays=self._shared_model)
        yield PlannedOrder("close", self._rounds)

    @property
    def _own_models(self) -> bool:
        return self._plan.study.evaluation.own_baseline

    @property
    def _own_models_travel(self) -> bool:
        """Whether own models are tried at other hospitals: not where each answers another question."""
        return self._own_models and not self._plan.study.keeps_heads

    def _own_model_of(self, opened_with: Collection[str], header: OrderHeader) -> PlannedOrder | None:
        """A study without a list of sites is run by whoever was there when it opened. Of each later cohort the coordinator
        could make up other names without end, and each would be one more evaluation."""
        asked = (header.step, header.round)
        if self._plan.study.sites.names or not self._own_models_travel or asked != ("evaluate", self._rounds):
            return None
        return self._evaluation(header.label) if header.label in map(own_label, opened_with) else None

    def _evaluation(self, label: str) -> PlannedOrder:
        summed = "evaluate" in self._plan.summed
        return PlannedOrder("evaluate", self._rounds, label, arrays=self._shared_model, summed=summed)

    @cached_property
    def _whole_model(self) -> Shapes:
        return _on_the_wire({"model": self._plan.model_shapes})

    @cached_property
    def _shared_model(self) -> Shapes:
        return _on_the_wire({"model": self._shared_shapes})

    @property
    def _shared_shapes(self) -> Shapes:
        return {name: shape for name, shape in self._plan.model_shapes.items() if name in self._plan.shared_names}

    @cached_property
    def _training(self) -> Shapes:
        """What the algorithm sends the sites: the same names and shapes in every round."""
        zeros = {name: np.zeros(shape, np.float32) for name, shape in self._shared_shapes.items()}
        algorithm = self._plan.algorithm
        return shapes_of(pack_bundle(algorithm.order(algorithm.start(zeros, 1))))


def _on_the_wire(parts: Mapping[str, Shapes]) -> Shapes:
    return {f"{part}/{name}": shape for part, shapes in parts.items() for name, shape in shapes.items()}


def require_listed_hospitals(study: Study, cohort: Collection[str]) -> None:
    """RefusedError for an opening that would make the list of evaluations longer than a study without names may have it."""
    if study.evaluation.own_baseline and not study.sites.names and len(cohort) > MOST_UNNAMED:
        raise RefusedError(
            "The study names no hospitals and evaluates an own model of each",
            expected=f"at most {MOST_UNNAMED} hospitals",
            found=str(len(cohort)),
            hint="name the hospitals in sites.names, or set evaluation.own_baseline = false",
            code="cohort",
        )
