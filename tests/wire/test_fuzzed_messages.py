"""A few thousand changed messages in real runs; `python -m tests.wire.fuzzing --count 2000000` sends as many as are wanted."""

import resource

import pytest

from .fuzzing import STUDIES, SUM, fuzz

pytestmark = pytest.mark.permission
MIB = 1024  # of ru_maxrss, which counts KiB


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*STUDIES, SUM])
def test_changed_messages_end_in_a_named_refusal_and_change_nothing(kind: str) -> None:
    """Whatever the other side sends: no traceback, no memory by its word, and no effect of what was refused."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tally = fuzz(160, seed=7, each=20, kinds=(kind,))
    assert tally.to_sites > 40 and tally.to_hub > 40 and tally.words["wire"] > 8 and len(tally.words) > 3
    assert dict(tally.causes) == {} and dict(tally.changed_by) == {}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * MIB
