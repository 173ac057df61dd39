"""Which algorithms there are. `wardround.algorithms` registers ours; another one is its file and one line."""

from collections.abc import Callable

from wardround.algorithms.statement import AlgorithmStatement

ALGORITHMS: dict[str, AlgorithmStatement] = {}


def register(statement: AlgorithmStatement) -> None:
    """Make an algorithm known to studies, and to all that follows from them.

    Parameters
    ----------
    statement
        The algorithm, and what a study may say with it.

    Raises
    ------
    ValueError
        Where another algorithm has that name.
    """
    if ALGORITHMS.get(statement.name, statement) != statement:
        raise ValueError(f"two algorithms are called {statement.name!r}")
    ALGORITHMS[statement.name] = statement


def statement_of(name: str) -> AlgorithmStatement:
    """The statement of an algorithm that a checked study names."""
    return ALGORITHMS[name]


def names_where(condition: Callable[[AlgorithmStatement], bool]) -> str:
    """The algorithms that a rule would let pass, for its sentence: `"fedavg" or "fedprox"`."""
    return " or ".join(f'"{name}"' for name, statement in ALGORITHMS.items() if condition(statement))
