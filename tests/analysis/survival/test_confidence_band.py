"""The band of curves between 0 and 1: one for survival, for incidence, and for both with noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.analysis.survival.confidence_band import Z, confidence_band

SHARES = st.floats(0, 1)
VARIANCES = st.floats(0, 4)


def ends(share: float, variance: float) -> tuple[float, float]:
    low, high = confidence_band(np.array([share]), np.array([variance]))
    return float(low[0]), float(high[0])


@given(share=SHARES, variance=VARIANCES)
def test_it_holds_the_curve_and_stays_between_0_and_1(share: float, variance: float) -> None:
    """Also at 0 and 1, where log(-log) is not there, and where noise makes a variance of any size."""
    low, high = ends(share, variance)
    assert 0 <= low <= share <= high <= 1


@given(share=SHARES, variance=VARIANCES, more=VARIANCES)
def test_more_variance_is_a_wider_band(share: float, variance: float, more: float) -> None:
    """Noise makes no interval narrower."""
    one, other = ends(share, variance), ends(share, variance + more)
    assert other[0] <= one[0] and one[1] <= other[1]


@given(share=SHARES)
def test_where_nothing_varies_it_is_the_curve(share: float) -> None:
    """As before the first event."""
    assert ends(share, 0.0) == (share, share)


@given(share=st.floats(0.05, 0.95), variance=st.floats(1e-6, 0.02))
def test_inside_it_is_as_far_either_way_on_the_scale_of_log_minus_log(share: float, variance: float) -> None:
    """The interval that lifelines and R print."""
    low, high = (np.log(-np.log(end)) for end in ends(share, variance))
    half = Z * np.sqrt(variance) / abs(share * np.log(share))
    middle = np.log(-np.log(share))
    assert low - middle == pytest.approx(half, rel=1e-6) and middle - high == pytest.approx(half, rel=1e-6)


def test_what_is_not_known_stays_so() -> None:
    """Nobody at risk: no band. Nobody left: it is not known how far above 0 the curve could have been."""
    unknown = np.nan
    low, high = confidence_band(np.array([unknown, 0.0, 1.0, 0.5]), np.array([0.1, unknown, unknown, unknown]))
    assert np.isnan(low[[0, 2, 3]]).all() and low[1] == 0.0
    assert np.isnan(high[[0, 1, 3]]).all() and high[2] == 1.0
