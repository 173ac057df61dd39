"""What the algorithms say of themselves is true, and nobody else asks for one by its name."""

import ast
from pathlib import Path

import pytest

import wardround
from wardround.algorithms import ALGORITHMS, AlgorithmStatement, names_where, register
from wardround.study.sections.algorithm import AlgorithmSection

from .statement_conformance import StatementConformance

SOURCE = Path(wardround.__file__).parent
DEFAULT = SOURCE / "study" / "sections" / "algorithm.py"


@pytest.fixture(params=ALGORITHMS.values(), ids=list(ALGORITHMS))
def statement(request: pytest.FixtureRequest) -> AlgorithmStatement:
    made: AlgorithmStatement = request.param
    return made


class TestOurAlgorithms(StatementConformance):
    """The laws, for each."""


OF_MOLECULES = {
    "sources/molecules/reading.py",
    "sources/molecules/chemistry.py",
    "simulation/hospitals.py",
    "study/sections/simulation.py",
    "study/sections/molecule.py",
}
"""Files that speak of the scaffold of a molecule, and not of the algorithm."""


@pytest.mark.slow
def test_no_room_but_its_own_names_an_algorithm() -> None:
    """A file that asks for a name would have to be found and changed for every new algorithm."""
    for path in SOURCE.rglob("*.py"):
        if path.parent.name == "algorithms":
            continue
        texts = [node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)]
        named = [text for text in texts if isinstance(text, str) and text in ALGORITHMS]
        if path.relative_to(SOURCE).as_posix() in OF_MOLECULES:
            named = [text for text in named if text != "scaffold"]
        assert named == (["fedavg"] if path == DEFAULT else []), path


def test_two_algorithms_cannot_have_one_name() -> None:
    """A study's hash would mean two things."""
    register(ALGORITHMS["fedavg"])
    with pytest.raises(ValueError, match="two algorithms are called 'fedavg'"):
        register(AlgorithmStatement("fedavg", ALGORITHMS["fedprox"].build))


def test_every_setting_of_the_section_is_read_by_some_algorithm() -> None:
    """One that none reads could not be set in any study."""
    readers = {name: names_where(lambda statement, name=name: name in statement.reads) for name in AlgorithmSection.model_fields}  # type: ignore[misc]
    assert [name for name, names in readers.items() if not names] == ["name", "rounds"]
