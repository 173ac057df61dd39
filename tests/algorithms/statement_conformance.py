"""The laws of an algorithm's statement. A test class inherits this one and gives the statement by its fixture."""

from typing import Any

import pytest

from wardround.algorithms import AlgorithmStatement, NetworkNames, statement_of
from wardround.study.sections.algorithm import AlgorithmSection
from wardround.values.errors import StudyError
from wardround.values.tree import shapes_of

from ..federation.tiny_federation import study
from .quadratic_hospitals import NAMES, NORM_NAMES, Federation, Quadratic, filled

NETWORK = NetworkNames(NORM_NAMES, head=frozenset({"head.bias"}))
OTHERS: dict[str | int, object] = {"sgd": "adamw", "constant": "cosine", 0: 0.5}
"""Another value than a demand's."""
TWO = {"north": Quadratic(1.0, 50), "south": Quadratic(-0.5, 30, 2.0)}


class Watched:
    """An [algorithm] section that remembers which of its settings were read."""

    def __init__(self, section: AlgorithmSection) -> None:
        self._section = section
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self._section, name)


class StatementConformance:
    """`statement` is a fixture; the algorithm is registered."""

    def federation(self, statement: AlgorithmStatement) -> Federation:
        return Federation(statement.build(AlgorithmSection(name=statement.name), NETWORK), TWO, filled(0.25))

    def test_studies_know_it_by_its_name(self, statement: AlgorithmStatement) -> None:
        """A study that names it is checked against this statement and no other."""
        assert statement_of(AlgorithmSection(name=statement.name).name) is statement

    def test_it_reads_the_settings_that_it_lists_and_no_other(self, statement: AlgorithmStatement) -> None:
        """A setting that it lists and ignores would be accepted and do nothing; one that it hides would be refused."""
        watched = Watched(AlgorithmSection(name=statement.name))
        statement.build(watched, NETWORK)
        assert watched.read - {"rounds"} == statement.reads

    def test_one_kind_of_values_where_one_charge_pays_for_a_release(self, statement: AlgorithmStatement) -> None:
        """Under shared noise a second kind would leave without having been paid for."""
        algorithm = self.federation(statement).algorithm
        if statement.privacy_modes & {"patient-distributed", "site"}:
            assert len(algorithm.parts(shapes_of(filled(0.0)))) == 1

    def test_something_stays_at_a_hospital_exactly_where_it_says_so(self, statement: AlgorithmStatement) -> None:
        """A round that is taken back leaves no trace only where no hospital keeps one."""
        play = self.federation(statement)
        play.play()
        assert all(bool(memory) == bool(statement.keeps) for memory in play.memories.values())

    def test_hospitals_take_steps_exactly_where_it_says_so(self, statement: AlgorithmStatement) -> None:
        """Settings of local steps are refused where nobody takes any; and the weight of a private sum follows from it."""
        runs = self.federation(statement).work().values()
        moved = [any((run.model[name] != 0.25).any() for name in NAMES) for _, _, run in runs]
        assert moved == [statement.local_steps] * len(moved)

    def test_all_hospitals_have_one_model_exactly_where_it_says_so(self, statement: AlgorithmStatement) -> None:
        """An external test judges one model: there must be one."""
        play = self.federation(statement)
        play.play()
        order = play.algorithm.order(play.state)
        north, south = (play.algorithm.local_model(order, memory) for memory in play.memories.values())
        assert all((north[name] == south[name]).all() for name in NAMES) == statement.one_model

    def test_a_study_that_does_not_meet_a_demand_is_refused_with_the_line_to_write(self, statement: AlgorithmStatement) -> None:
        """The mend of the message must be the setting, word for word."""
        kept = {demand.setting.removeprefix("training."): demand.value for demand in statement.demands}
        for demand in statement.demands:
            broken = {**kept, demand.setting.removeprefix("training."): OTHERS[demand.value]}
            with pytest.raises(StudyError, match=f"set {demand.setting} = "):
                study().revised(algorithm={"name": statement.name}, training=broken)
