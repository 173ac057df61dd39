"""What a budget admits, from memory."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.privacy.accounting import epsilon
from wardround.privacy.events import Event
from wardround.privacy.ledger.admission import Admission

A, B = Event(10.0), Event(20.0)
BUDGET = 2.0, 1e-5


@pytest.mark.slow
@settings(max_examples=6)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 200)), max_size=8))
def test_the_answer_is_always_that_of_the_accountant(asked: list[tuple[int, int]]) -> None:
    """Memory may only make the answer quick."""
    admission = Admission(*BUDGET)
    for a, b in asked:
        counts = {A: a, B: b}
        if admission.within_budget(counts) is None:
            admission.learn(counts, A)
        assert admission.within_budget(counts) == (epsilon(counts, BUDGET[1]) <= BUDGET[0])


@pytest.mark.slow
def test_two_studies_in_turn_need_few_searches() -> None:
    """Each charge changes what stands beside the other study's next one; a search at each takes longer than training."""
    admission, counts, searches = Admission(5.0, 1e-5), {A: 0, B: 0}, 0
    for step in range(600):
        event = A if step % 2 else B
        counts[event] += 1
        if admission.within_budget(counts) is None:
            admission.learn(counts, event)
            searches += 1
        if not admission.within_budget(counts):
            break
    assert step > 150 and searches <= 25


def test_hoped_counts_answer_all_below_them() -> None:
    """A planned study is composed once, not at each of its steps."""
    admission = Admission(*BUDGET)
    admission.learn({A: 1}, A, hoped={A: 20, B: 5})
    assert admission.within_budget({A: 20, B: 5}) and admission.within_budget({A: 7, B: 5})
    assert admission.within_budget({A: 21, B: 5}) is None


def test_hope_that_is_in_vain_still_gives_an_answer() -> None:
    """After a budget was lowered, a plan may be more than what is allowed, and a first step still within."""
    admission = Admission(*BUDGET)
    admission.learn({A: 1}, A, hoped={A: 20000})
    assert admission.within_budget({A: 1})
