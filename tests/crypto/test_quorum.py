"""Who is enough: the rules that make two opened sums impossible."""

import pytest

from wardround.crypto.quorum import Quorum, smallest_threshold
from wardround.values.errors import StudyError
from wardround.values.ids import SiteId


def sites(count: int) -> tuple[SiteId, ...]:
    return tuple(SiteId(f"site-{number:03d}") for number in range(count))


@pytest.mark.parametrize("n", range(2, 60))
@pytest.mark.parametrize("c", range(5))
def test_the_smallest_threshold_is_the_smallest_that_the_rules_allow(n: int, c: int) -> None:
    """2 t > n + c and t - c >= 2, and one less breaks one of them."""

    def allowed(t: int) -> bool:
        return 2 * t > n + c and t - c >= 2

    assert allowed(smallest_threshold(n, c))
    assert not allowed(smallest_threshold(n, c) - 1)


@pytest.mark.parametrize(("n", "t", "c"), [(3, 2, 1), (5, 3, 1), (4, 2, 0), (3, 4, 1), (2, 2, 1), (1, 1, 0), (251, 200, 1)])
def test_a_threshold_that_does_not_protect_is_refused(n: int, t: int, c: int) -> None:
    """Before anything runs, and in words that say what would do."""
    with pytest.raises(StudyError):
        Quorum(sites(n), t, c)


def test_two_hospitals_are_told_what_they_can_choose() -> None:
    """The commonest case that the default cannot serve."""
    with pytest.raises(StudyError, match=r"summation\.collusion = 0"):
        Quorum(sites(2), 2, 1)
    assert Quorum(sites(2), 2, 0).losses == 0


def test_points_are_places_in_the_approved_list() -> None:
    """Shares of two sites never lie at one point, and none at 0, where the secret is."""
    quorum = Quorum(sites(4), 3, 1)
    assert [quorum.point(site) for site in quorum.sites] == [1, 2, 3, 4]
