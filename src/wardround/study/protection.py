"""What the sum of a study protects, in words for whoever approves it."""

from collections.abc import Iterator

from wardround.study.declaration import Study
from wardround.values.quorum import Quorum, smallest_threshold


def protection(study: Study) -> tuple[str, ...]:
    """One sentence a line. Where the study names no hospitals yet, the smallest numbers that its settings allow."""
    return tuple(_masked(study) if study.summation.mode == "masked" else _plain())


def _plain() -> Iterator[str]:
    yield "The sum is plain: whoever runs the coordinator reads each hospital's contribution in every round."


def _masked(study: Study) -> Iterator[str]:
    collusion = study.summation.collusion
    helpers = f", also if {_hospitals(collusion)} helps it" if collusion == 1 else f", also if {_hospitals(collusion)} help it"
    yield f"The sum is masked: the coordinator cannot read one hospital's contribution{helpers if collusion else ''}."
    if collusion == 0:
        yield "summation.collusion = 0: every hospital trusts every other not to help the coordinator. All must agree to that."
    if study.sites.names:
        yield _counted(study.quorum)
    else:
        needed = next(n for n in range(2, 251) if smallest_threshold(n, collusion) <= n)
        yield f"It takes at least {needed} hospitals. The study names none yet; the threshold follows from how many there are."


def _counted(quorum: Quorum) -> str:
    n, t = len(quorum.sites), quorum.threshold
    without = "none of them may be missing" if t == n else f"{_hospitals(n - t)} may be missing from a round"
    return f"{t} of {n} hospitals must contribute to each round and help to open its sum: {without}."


def _hospitals(count: int) -> str:
    return "no hospital" if count == 0 else "one hospital" if count == 1 else f"{count} hospitals"
