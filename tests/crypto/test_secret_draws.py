"""Secret draws: fair, never the same twice, and never more likely than the study says."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.crypto.secret_draws import SecretDraws


def test_two_sources_never_agree() -> None:
    """A seed anywhere would let whoever knows it say which patients were drawn."""
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002  (the point: the global generators have no say)
    first = SecretDraws().words(4)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    assert not (SecretDraws().words(4) == first).any()


@given(st.sampled_from([0.01, 0.3, 0.5, 0.999]))
def test_each_is_chosen_with_the_stated_rate(rate: float) -> None:
    """The accounting multiplies by it. False alarm: 7 deviations, below 1e-11."""
    n = 200_000
    chosen = SecretDraws().chosen(n, rate)
    assert abs(int(chosen.sum()) - n * rate) <= 7 * (n * rate * (1 - rate)) ** 0.5


@pytest.mark.parametrize(("rate", "all_of_them"), [(0.0, False), (1.0, True)])
def test_certainty_is_certain(rate: float, all_of_them: bool) -> None:
    """Full batches: nobody may be left out by a rounding, nor drawn at rate 0."""
    assert SecretDraws().chosen(1_000, rate).all() == all_of_them
    assert SecretDraws().chosen(1_000, rate).any() == all_of_them


def test_generators_differ() -> None:
    """Two steps must not turn their pictures alike."""
    secret = SecretDraws()
    assert secret.generator().random() != secret.generator().random()
