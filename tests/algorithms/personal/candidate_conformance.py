"""The laws that every candidate for a personal model keeps. A test class for a candidate inherits this one and names it."""

from pathlib import Path

import numpy as np
import pytest

from wardround.algorithms.personal import Option, Part, PersonalModel, candidate_named, halvings
from wardround.algorithms.personal.choice import cross_fitted, per_patient
from wardround.site.personal_models import HospitalMaterial, outputs_of
from wardround.values.tree import Tree, same_bits

from ...federation.tiny_federation import records
from .hospital import material, reordered

NOBODY = np.zeros(0, np.intp)


def same_model(left: PersonalModel, right: PersonalModel) -> bool:
    """Bit for bit, part by part, with what each remembers."""
    return len(left.parts) == len(right.parts) and all(
        one.weight == other.weight and same_bits(one.tree, other.tree) and same_bits(remembered(one), remembered(other))
        for one, other in zip(left.parts, right.parts, strict=True)
    )


def remembered(part: Part) -> Tree:
    if (asked := part.neighbours) is None:
        return {}
    settings = np.array([asked.nearest, asked.scale, asked.share])
    return {"inner": asked.memory.inner, "votes": asked.memory.votes, "settings": settings}


class CandidateConformance:
    """name: of the candidate. untuned: which of the two models it is without any tuning; None where training makes it."""

    name: str
    untuned: str | None = None

    @pytest.fixture
    def hospital(self, tmp_path: Path) -> HospitalMaterial:
        return material(tmp_path / "north")

    def tuned(self, hospital: HospitalMaterial) -> Option:
        """The candidate as the hospital would keep it."""
        return self.on(hospital, np.arange(len(hospital.records)))

    def on(self, hospital: HospitalMaterial, rows: np.ndarray) -> Option:  # type: ignore[type-arg]
        return candidate_named(self.name).fit(hospital, hospital.bench.plan.study.personal)(rows)

    def test_the_model_gives_the_outputs_that_it_was_chosen_by(self, hospital: HospitalMaterial) -> None:
        """A model that was judged by other outputs than it has would be another model in the clinic."""
        option = self.tuned(hospital)
        outputs = outputs_of(hospital.bench, option.model, "validation")
        np.testing.assert_allclose(option.outputs, outputs, rtol=1e-4, atol=1e-5)

    def test_the_same_hospital_makes_the_same_model_again(self, hospital: HospitalMaterial) -> None:
        """Whoever asks where a hospital's model comes from can make it anew."""
        first, second = self.tuned(hospital), self.tuned(hospital)
        assert same_model(first.model, second.model) and first.setting == second.setting

    def test_it_belongs_to_the_studys_network(self, hospital: HospitalMaterial) -> None:
        """Whatever the study's model can do, in a file or at a bedside, a hospital's own can do too."""
        for part in self.tuned(hospital).model.parts:
            shapes = {name: array.shape for name, array in part.tree.items()}
            assert shapes == {name: array.shape for name, array in hospital.federated.items()}
            assert {array.dtype for array in part.tree.values()} == {np.dtype(np.float32)}

    def test_without_patients_to_tune_by_nothing_is_tuned(self, hospital: HospitalMaterial) -> None:
        """Half of one patient is nobody: a hospital with next to no validation patients still gets an answer."""
        option = self.on(hospital, NOBODY)
        if self.untuned is not None:
            expected = getattr(hospital, self.untuned)
            assert same_model(option.model, PersonalModel.single(expected))

    def test_the_order_of_patients_leaves_no_trace(self, hospital: HospitalMaterial, tmp_path: Path) -> None:
        """Which patient stands first in a table is no fact about patients."""
        other = material(tmp_path / "moved", lambda: reordered(records("north"), 3))
        scores = []
        for one in (hospital, other):
            tune = candidate_named(self.name).fit(one, one.bench.plan.study.personal)
            strata = one.bench.plan.task.strata(one.records.labels)
            halves = list(halvings(one.records.patients, strata, 5))
            scores.append(per_patient(cross_fitted(tune, one, halves), one.records.patients))
        np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)

    def test_it_leaves_the_models_that_it_was_made_of_as_they_were(self, hospital: HospitalMaterial) -> None:
        """Candidates are made one after another from the same two models."""
        own, federated = ({name: array.copy() for name, array in tree.items()} for tree in (hospital.own, hospital.federated))
        self.tuned(hospital)
        assert same_bits(own, hospital.own) and same_bits(federated, hospital.federated)
