"""What a study means for both ends: the model's names, the algorithm, and the frame of every sum. Derived, never sent."""

from dataclasses import dataclass
from functools import cached_property

from wardround.algorithms import Algorithm, build_algorithm
from wardround.privacy.frame import Frame
from wardround.privacy.no_privacy import CLIPPED, WEIGHT
from wardround.study.contract import DataContract
from wardround.study.declaration import Study
from wardround.training.inputs import InputShape
from wardround.training.score_sums import ScoreSums
from wardround.values.errors import StudyError
from wardround.values.records import Split
from wardround.values.tree import Shapes, Tree, shapes_of

SCORED_EACH_ROUND: tuple[Split, ...] = ("validation",)
SCORED_AT_THE_END: tuple[Split, ...] = ("validation", "test")
SHIFTED = "shifted"
LOSS_UNIT = 2.0**-20  # losses travel as whole numbers of this unit
CENSUS: Shapes = {"images": (3,), "patients": (3,), "positives": (3,)}  # train, validation, test


def score_shapes(prefix: str) -> Shapes:
    return {f"{prefix}.{name}": array.shape for name, array in ScoreSums.zero().to_counts().items()}


def refuse_what_is_not_there_yet(study: Study) -> None:
    """Modes that the file format declares and this release does not have are refused before anything runs."""
    if study.privacy.mode != "none":
        raise StudyError(
            f'privacy.mode = "{study.privacy.mode}" is not available in this release',
            expected='privacy.mode = "none"',
            mend="remove the [privacy] section, or wait for a release that lists this mode",
        )


def input_shape(data: DataContract) -> InputShape:
    """What one record of the contract looks like to a network."""
    if data.kind == "image":
        height, width = data.image.size
        return InputShape("image", channels=data.image.channels, height=height, width=width)
    return InputShape("table", features=len(data.feature_names))


@dataclass(frozen=True)
class Plan:
    """A study, and what follows from it."""

    study: Study

    def __post_init__(self) -> None:
        refuse_what_is_not_there_yet(self.study)

    @cached_property
    def inputs(self) -> InputShape:
        return input_shape(self.study.data)

    @cached_property
    def algorithm(self) -> Algorithm:
        from wardround.training.model_tree import norm_names
        from wardround.training.networks import build

        return build_algorithm(self.study.algorithm, norm_names(build(self.study.network, self.inputs)))

    @cached_property
    def travelling(self) -> frozenset[str]:
        """Names that training changes: only these travel after the opening."""
        from wardround.training.model_tree import trainable_names
        from wardround.training.networks import build

        return trainable_names(build(self.study.network, self.inputs))

    def initial_model(self) -> Tree:
        """Every array of the model, float32, before the first round."""
        from wardround.training.model_tree import initial_tree

        return initial_tree(self.study.network, self.inputs, self.study.training.seed)

    def moving(self, model: Tree) -> Tree:
        return {name: array for name, array in model.items() if name in self.travelling}

    @property
    def masked(self) -> bool:
        return self.study.summation.mode == "masked"

    def sharers(self, cohort: int) -> int:
        """How many sites share the grid of a sum: all approved ones where it is masked, so that a site's words are the same for
        every attempt, whoever is in its cohort; else the cohort."""
        return len(self.study.quorum.sites) if self.masked else cohort

    def opening_frame(self, sites: int) -> Frame:
        return Frame(sites=self.sharers(sites), counts=CENSUS)

    def training_frame(self, model: Tree, sites: int, weight: int) -> Frame:
        """model: what travels. weight: the total weight of all sites."""
        counts: Shapes = {WEIGHT: (), CLIPPED: (), "loss": (2,)}
        for split in SCORED_EACH_ROUND:
            counts |= score_shapes(split)
        real = self.algorithm.parts(shapes_of(model))
        how = self.study.summation
        return Frame(self.sharers(sites), real, counts, weight, how.clip, how.word_bits, how.longest)

    def evaluation_frame(self, sites: int, *, shifted: bool) -> Frame:
        counts: Shapes = {}
        for split in (*SCORED_AT_THE_END, *((SHIFTED,) if shifted else ())):
            counts |= score_shapes(split)
        return Frame(sites=self.sharers(sites), counts=counts)

    @property
    def takes_back(self) -> bool:
        return self.study.summation.largest_drop is not None

    def wants_shifted(self, label: str) -> bool:
        """Only the federated model gets a robust threshold from shifted validation images."""
        return label == FEDERATED and self.study.evaluation.threshold == "robust"


FEDERATED = "federated"
LAST = "last"  # the last round's model, looked at before it is the result


def own_label(site: str) -> str:
    return f"own-{site}"
