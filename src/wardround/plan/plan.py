"""What a study means for both ends: the model's names, the algorithm, and the frame of every sum. Derived, never sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from wardround.algorithms import Algorithm, NetworkNames, statement_of
from wardround.analysis.carrying import exchange_of, words_of
from wardround.analysis.protocol import Analysis
from wardround.analysis.registry import analysis_of
from wardround.plan.networks import IN_THIS_PROCESS, NetworkFacts, Networks, in_last_layer
from wardround.privacy.bounded_arrays import ArrayWords
from wardround.privacy.fixed_point_mechanism import CLIPPED, WEIGHT
from wardround.privacy.frame import Frame
from wardround.privacy.mechanism import AnyFrame
from wardround.privacy.noised_arrays import NoisedArrayWords
from wardround.study.contract import DataContract
from wardround.study.declaration import Study
from wardround.study.sections.task import MOST_CLASSES, MOST_FINDINGS, MOST_INTERVALS
from wardround.tasks.protocol import Task, read_sums
from wardround.tasks.registry import task_of
from wardround.tasks.sums import Sums, counts_of_json
from wardround.training.inputs import FEATURE_MEAN, InputShape
from wardround.values.contribution import Counts
from wardround.values.records import SPLITS, Split
from wardround.values.tree import Shapes, Tree, shapes_of
from wardround.wire.messages import Step

if TYPE_CHECKING:
    from wardround.plan.private_plan import PrivatePlan

SCORED_EACH_ROUND: tuple[Split, ...] = ("validation",)
SCORED_AT_THE_END: tuple[Split, ...] = ("validation", "test")
SHIFTED = "shifted"
MOST_OUTPUTS = max(MOST_CLASSES, MOST_FINDINGS, MOST_INTERVALS)
"""Numbers that a last layer of any kind of question gives at most."""
LOSS_UNIT = 2.0**-20  # losses travel as whole numbers of this unit
COUNTED = ("images", "patients")  # whatever the question; in train, validation and test


def under(prefix: str, counts: Counts) -> Counts:
    """The counts whose names begin so, without that beginning."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in counts.items() if name.startswith(start)}


def input_shape(data: DataContract) -> InputShape:
    """What one record of the contract looks like to a network."""
    if data.kind == "image":
        height, width = data.image.size
        return InputShape("image", channels=data.image.channels, height=height, width=width)
    (features,) = data.input_shape
    return InputShape("table", features=features)


@dataclass(frozen=True)
class Plan:
    """A study, and what follows from it. networks: who answers about its network. agreed_hash: of the study that all hospitals
    agreed on, where `study` is that with one hospital's own question in it; it never leaves that hospital."""

    study: Study
    networks: Networks = field(default=IN_THIS_PROCESS, compare=False, repr=False)
    agreed_hash: str = field(default="", compare=False)

    @property
    def study_hash(self) -> str:
        """Of the study that all hospitals agreed on."""
        return self.agreed_hash or self.study.hash

    @cached_property
    def analysis(self) -> Analysis | None:
        """What a study asks for that learns no model; None of one that does."""
        return analysis_of(self.study) if self.study.analysis is not None else None

    @cached_property
    def task(self) -> Task:
        """What depends on the question."""
        return task_of(self.study)

    @cached_property
    def records(self) -> InputShape:
        """What one record of the contract is."""
        return input_shape(self.study.data)

    @cached_property
    def inputs(self) -> InputShape:
        """What the network that learns reads: the record, or what a frozen network says of it."""
        backbone = self.study.learned.backbone
        return self.records if backbone is None else InputShape("table", features=backbone.features)

    @cached_property
    def network(self) -> NetworkFacts:
        """Names and shapes of the model's arrays."""
        return self.networks.facts(self)

    @cached_property
    def algorithm(self) -> Algorithm:
        study = self.study
        names = NetworkNames(self.network.norms, self.head)
        if study.learned.backbone is not None and study.learned.backbone.feature_mean:
            length = study.privacy.clip_norm if study.privacy.private else 1.0
            names = replace(names, feature_mean=FEATURE_MEAN, feature_length=length)
        return statement_of(study.algorithm.name).build(study.algorithm, names)

    @property
    def shared_names(self) -> frozenset[str]:
        """Names that training changes: only these travel after the opening."""
        return self.network.trainable

    @cached_property
    def head(self) -> frozenset[str]:
        """Names of the last layer's arrays."""
        return frozenset(filter(in_last_layer, self.shared_names))

    def initial_model(self) -> Tree:
        """Every array of the model, float32, before the first round."""
        return self.networks.initial_model(self)

    @property
    def model_shapes(self) -> Shapes:
        """Names and shapes of every array of the model: what travels with the opening."""
        return self.network.shapes

    def trainable(self, model: Tree) -> Tree:
        return {name: array for name, array in model.items() if name in self.shared_names}

    @cached_property
    def private(self) -> "PrivatePlan | None":
        """None where the study claims no privacy beyond its sum."""
        from wardround.plan.private_plan import PrivatePlan

        if not self.study.privacy.private:
            return None
        if self.analysis is not None:
            sizes = (sum(one.size for one in exchange.quantities.values()) for exchange in self.analysis.exchanges)
            return PrivatePlan(self.study, max(sizes), self.analysis)
        largest_head = (self.network.head_width + 1) * MOST_OUTPUTS if self.study.keeps_heads else 0
        return PrivatePlan(self.study, self.network.trainable_size + largest_head)

    @property
    def summed(self) -> frozenset[Step]:
        """The steps whose results leave the sites, in a sum. Under privacy the training alone does, which is charged: counts of
        patients and scores stay home. The sums of an analysis are `evaluate` orders."""
        if self.study.analysis is not None:
            return frozenset({"evaluate"})
        if self.study.keeps_heads and not self.study.privacy.private:
            return frozenset({"open", "train"})  # how good a hospital's own last layer is nobody else hears
        return frozenset({"train"}) if self.study.privacy.private else frozenset({"open", "train", "evaluate"})

    @property
    def tells_figures(self) -> bool:
        """Whether losses and scores leave the hospitals, in sums: neither under privacy, nor where a hospital's question is its
        own, of which they would be figures."""
        return self.private is None and not self.study.keeps_heads

    @property
    def openings(self) -> int:
        """How many openings the study has, of which one is used. A hospital that loses its state in a masked one is never in that
        one again: each may lose it three times before the list ends, and a nightly backup that is brought back is such a loss."""
        return 3 * len(self.study.sites.names) + 1 if self.masked and "open" in self.summed else 1

    @property
    def takes_local_steps(self) -> bool:
        """Whether hospitals take steps of their own, of which each round tells a loss."""
        return statement_of(self.study.algorithm.name).local_steps

    @property
    def masked(self) -> bool:
        return self.study.summation.mode == "masked"

    def grid_sites(self, cohort: int) -> int:
        """How many sites share the grid of a sum: all approved ones where it is masked, so that a site's words are the same for
        every attempt, whoever is in its cohort; else the cohort."""
        return len(self.study.quorum.sites) if self.masked else cohort

    def opening_frame(self, sites: int) -> Frame:
        return Frame(sites=self.grid_sites(sites), counts=self.dataset_counts)

    def training_frame(self, model: Tree, sites: int, weight: int) -> AnyFrame:
        """model: what travels. weight: the total weight of all sites."""
        real = self.algorithm.parts(shapes_of(model))
        if self.private is not None and self.private.distributed:
            return self.private.frame(real, weight)
        counts: Shapes = {WEIGHT: (), CLIPPED: ()}
        if self.tells_figures:
            counts["loss"] = (2,)
            for split in SCORED_EACH_ROUND:
                counts |= self._score_shapes(split)
        summation = self.study.summation
        return Frame(self.grid_sites(sites), real, counts, weight, summation.clip, summation.word_bits, summation.max_update_norm)

    def analysis_words(self, label: str, sites: int) -> ArrayWords | NoisedArrayWords:
        """How the arrays of one sum of the analysis become words."""
        assert self.analysis is not None
        if self.private is not None:
            return self.private.words_of(exchange_of(self.analysis, label))
        return words_of(exchange_of(self.analysis, label), self.grid_sites(sites))

    def evaluation_frame(self, sites: int, *, shifted: bool) -> Frame:
        counts: Shapes = {}
        for split in (*SCORED_AT_THE_END, *((SHIFTED,) if shifted else ())):
            counts |= self._score_shapes(split)
        return Frame(sites=self.grid_sites(sites), counts=counts)

    @cached_property
    def dataset_counts(self) -> Shapes:
        """What each site counts at the opening, in train, validation and test."""
        return {name: (len(SPLITS),) for name in (*COUNTED, *self.task.words.counted)}

    def _score_shapes(self, split: str) -> Shapes:
        return {f"{split}.{name}": shape for name, shape in self.task.shapes.items()}

    def scores(self, counts: Counts, split: str) -> Sums:
        """The evaluation of one split among the counts of a total. WireError where it cannot be the sums of any records."""
        return read_sums(self.task, under(split, counts))

    @property
    def no_scores(self) -> Sums:
        """The evaluation of no records."""
        return Sums.zero(self.task.shapes)

    def read_scores(self, value: Mapping[str, Any]) -> Sums:
        """The evaluation that a report or a checkpoint holds. WireError where it cannot be the sums of any records."""
        return read_sums(self.task, counts_of_json(value))

    @property
    def mirrored(self) -> bool:
        """Whether features of the mirror images are wanted: behind a backbone they cannot be had from those of the images."""
        return self.study.learned.backbone is not None and self.study.evaluation.flip_average

    @property
    def robust(self) -> bool:
        return self.study.evaluation.threshold == "robust"

    @property
    def rolls_back(self) -> bool:
        return self.study.summation.max_auc_drop is not None

    def wants_shifted(self, label: str) -> bool:
        """Only the federated model gets a robust threshold from shifted validation images."""
        return label == FEDERATED and self.robust


FEDERATED = "federated"
CHOSEN = "chosen"  # what a hospital keeps, judged at that hospital alone
LAST = "last"  # the last round's model, looked at before it is the result


def own_label(site: str) -> str:
    return f"own-{site}"
