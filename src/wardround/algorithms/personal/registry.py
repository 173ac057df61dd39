"""Which candidates there are. `wardround.algorithms.personal` registers ours; another one is its file and one line."""

from wardround.algorithms.personal.protocol import Candidate

CANDIDATES: dict[str, Candidate] = {}


def register(candidate: Candidate) -> None:
    """Make a candidate known to studies. ValueError where another one has its name."""
    if CANDIDATES.get(candidate.name, candidate) != candidate:
        raise ValueError(f"two candidates are called {candidate.name!r}")
    CANDIDATES[candidate.name] = candidate


def candidate_named(name: str) -> Candidate:
    """The candidate that a checked study names."""
    return CANDIDATES[name]
