"""Where a study stands at the hub: which steps there are, and what is kept of rounds."""

from typing import get_args

import pytest

from wardround.hub.daemon.study_state import NEXT, Phase, RoundLine, SiteStanding, StudyState
from wardround.hub.notices import RoundDiscarded

PHASES: tuple[Phase, ...] = get_args(Phase)
LEGAL = {
    ("offered", "running"),
    ("offered", "waiting"),
    ("offered", "stopped"),
    ("offered", "declined"),
    ("offered", "failed"),
    ("running", "waiting"),
    ("running", "stopped"),
    ("running", "failed"),
    ("running", "finished"),
    ("waiting", "running"),
    ("waiting", "stopped"),
    ("waiting", "failed"),
    ("stopped", "offered"),
    ("stopped", "waiting"),
    ("declined", "offered"),
    ("declined", "stopped"),
    ("failed", "offered"),
    ("failed", "waiting"),
    ("failed", "stopped"),
}


def state(phase: Phase = "offered") -> StudyState:
    return StudyState(study="a" * 64, phase=phase, since=1, sites={"east": SiteStanding(), "north": SiteStanding()})


@pytest.mark.parametrize("before", PHASES)
@pytest.mark.parametrize("after", PHASES)
def test_a_study_takes_no_step_that_is_not_on_the_list(before: Phase, after: Phase) -> None:
    """A finished study that ran again would ask hospitals anew; one that ran unapproved is worse."""
    assert NEXT.keys() == set(PHASES)
    if (before, after) in LEGAL:
        assert state(before).to(after).phase == after
    else:
        with pytest.raises(ValueError, match=f"{before} does not become {after}"):
            state(before).to(after)


def test_a_step_leaves_nothing_of_the_phase_before() -> None:
    """A reason that stayed would be read as one of today's."""
    waiting = state("running").to("waiting", reason="too few", mend="wait", awaits=("east",), retry_at=5)
    running = waiting.to("running")
    assert (running.reason, running.mend, running.awaits, running.retry_at) == ("", "", (), 0)


def test_a_round_that_was_asked_twice_stands_once() -> None:
    """After a restart the hub asks again what it had not finished."""
    twice = state("running").with_round(RoundLine(number=1, loss=0.5), "AUC").with_round(RoundLine(number=1, loss=0.4), "AUC")
    assert [line.loss for line in twice.rounds] == [0.4]


def test_a_round_that_is_taken_back_keeps_its_figures_and_says_so() -> None:
    """What was seen was seen; that the model does not contain it is another matter."""
    after = state("running").with_round(RoundLine(number=1, loss=0.5), "AUC").with_discarded(RoundDiscarded(1, "validation-drop"))
    assert after.rounds == (RoundLine(number=1, loss=0.5, discarded="validation-drop"),)
