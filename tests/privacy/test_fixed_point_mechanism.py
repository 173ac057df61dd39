"""Bound, encode, sum, decode: without noise the total is the plain weighted mean, within the stated bound."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.privacy.fixed_point import WordBits
from wardround.privacy.fixed_point_mechanism import CLIPPED, WEIGHT, protect, reveal
from wardround.privacy.frame import COUNT_LIMIT, Frame
from wardround.summation.plain import Collecting, Replies, SumOpened, step
from wardround.values.contribution import Contribution, weighted
from wardround.values.ids import SiteId
from wardround.values.randomness import rounding_key
from wardround.values.tree import Bundle, Tree, flatten, unflatten

SHAPES = {"b": (), "w": (2, 2)}
COUNTS = {WEIGHT: (), CLIPPED: (), "loss": (2,)}
near = st.floats(-1, 1, width=32)
trees = st.lists(near, min_size=5, max_size=5).map(
    lambda v: {"b": np.array(v[0], np.float32), "w": np.array(v[1:], np.float32).reshape(2, 2)}
)
shares = st.lists(st.tuples(trees, st.integers(1, 100_000)), min_size=1, max_size=5)


def random_of(site: int) -> Callable[[str], bytes]:
    return lambda part: rounding_key("test", site, part)


def frame(sites: int, weight: int, *, clip: float = 4.0, bits: WordBits = 32) -> Frame:
    return Frame(sites, {"model": SHAPES}, COUNTS, weight, clip, bits)


def contribution(model: Tree, weight: int) -> Contribution:
    return Contribution({"model": weighted(model, weight)}, weight, {"loss": np.array([3 * weight, weight])})


def total(contributions: list[Contribution], reference: Bundle, frame_of_sum: Frame) -> Contribution:
    words = {SiteId(f"site-{i}"): protect(one, reference, frame_of_sum, random_of(i)) for i, one in enumerate(contributions)}
    opened, _ = step(Collecting(tuple(words), frame_of_sum.layout, 1), Replies(words))
    assert isinstance(opened, SumOpened)
    return reveal(opened.total, reference, frame_of_sum)


@given(shares, trees, st.sampled_from([16, 32]), st.integers(0, 4))
def test_without_noise_the_total_is_the_weighted_mean(
    shares: list[tuple[Tree, int]], reference: Tree, bits: WordBits, absent: int
) -> None:
    """The law that every later mechanism with its noise turned off must keep. Some hospitals of the cohort are absent."""
    everyone = sum(weight for _, weight in shares) + 1_000 * absent
    plan = frame(len(shares) + absent, everyone, bits=bits)
    opened_sum = total([contribution(*share) for share in shares], {"model": reference}, plan)
    counted = sum(weight for _, weight in shares)
    assert opened_sum.weight == counted
    assert opened_sum.counts["loss"].tolist() == [3 * counted, counted]
    assert int(opened_sum.counts[CLIPPED]) == 0
    bound = plan.grid.error_bound * everyone / counted
    for name in SHAPES:
        mean = sum(tree[name].astype(np.float64) * weight for tree, weight in shares) / counted
        assert np.abs(opened_sum.values["model"][name] / counted - mean).max() <= bound + 1e-12


@given(shares)
def test_a_part_without_a_reference_is_summed_from_zero(shares: list[tuple[Tree, int]]) -> None:
    """Control variates have no public point nearby."""
    counted = sum(weight for _, weight in shares)
    plan = frame(len(shares), counted)
    opened_sum = total([contribution(*share) for share in shares], {}, plan)
    mean = sum(flatten(tree) * weight for tree, weight in shares) / counted
    assert np.abs(flatten(opened_sum.values["model"]) / counted - mean).max() <= plan.grid.error_bound + 1e-12


def test_a_site_that_did_not_move_changes_nothing_at_all() -> None:
    """The distance from the reference is encoded: zero is a grid point, so the mean is the reference, bit for bit."""
    reference = {"b": np.array(0.1, np.float32), "w": np.full((2, 2), -0.7, np.float32)}
    opened_sum = total([contribution(reference, 30), contribution(reference, 12)], {"model": reference}, frame(3, 50))
    for name, array in opened_sum.values["model"].items():
        assert np.array_equal((array / opened_sum.weight).astype(np.float32), reference[name])


def test_clipping_bounds_one_sites_pull_and_is_counted() -> None:
    """A hospital whose training exploded moves the mean by the clip at most, and the run says that values were cut."""
    zero = {"b": np.zeros((), np.float32), "w": np.zeros((2, 2), np.float32)}
    wild = {"b": np.array(1e30, np.float32), "w": np.array([[1e30, -1e30], [0.5, 0.0]], np.float32)}
    plan = frame(2, 100, clip=2.0)
    opened_sum = total([contribution(wild, 50), contribution(zero, 50)], {"model": zero}, plan)
    assert int(opened_sum.counts[CLIPPED]) == 3
    mean = flatten(opened_sum.values["model"]) / 100
    assert np.abs(mean).max() <= 2.0 + plan.grid.error_bound
    assert mean[3] == pytest.approx(0.25, abs=plan.grid.error_bound)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_diverged_model_counts_as_no_change_with_its_weight(bad: float) -> None:
    """One NaN in one hospital would erase the model of all, and a refusal would tell of the records that it came from."""
    before = {"b": np.array(0.25, np.float32), "w": np.array([[1.5, -2.0], [0.0, 3.0]], np.float32)}
    diverged = {"b": np.zeros((), np.float32), "w": np.array([[0, bad], [0, 0]], np.float32)}
    words = [protect(contribution(one, 5), {"model": before}, frame(2, 10), random_of(0)) for one in (diverged, before)]
    assert words[0].keys() == words[1].keys()
    for name in words[0]:
        assert np.array_equal(words[0][name], words[1][name])


@given(trees, st.integers(1, 1000), st.integers(1, 1000))
def test_a_weight_above_the_stated_total_is_cut_in_words_alone(model: Tree, total_weight: int, above: int) -> None:
    """A refusal would give a hospital's number of patients to whoever states one total after the other; a count that was cut at
    the total would give it as the difference to the opening."""
    reference = {"b": np.array(0.5, np.float32), "w": np.full((2, 2), -0.5, np.float32)}
    plan = frame(2, total_weight)
    larger, stated = (contribution(model, weight) for weight in (total_weight + above, total_weight))
    words = [protect(one, {"model": reference}, plan, random_of(0))["model/words"] for one in (larger, stated)]
    change = [plan.grid.decode(one) for one in words]
    assert np.abs(change[0] - change[1]).max() <= 2 * plan.grid.step
    counts = unflatten(protect(larger, {"model": reference}, plan, random_of(0))["counts/words"].astype(np.int64), COUNTS)
    assert int(counts[WEIGHT]) == total_weight + above


def test_only_the_promised_counts_and_parts_leave() -> None:
    """What an algorithm happens to have at hand must not travel: the frame names all there is."""
    zero = {"b": np.zeros((), np.float32), "w": np.zeros((2, 2), np.float32)}
    full = Contribution(
        {"model": weighted(zero, 5), "secret": {"s": np.ones(9)}}, 5, {"loss": np.array([1, 2]), "ages": np.array([81, 93])}
    )
    plan = frame(2, 10)
    words = protect(full, {}, plan, random_of(0))
    assert {name: (array.dtype.name, array.size) for name, array in words.items()} == plan.layout
    assert words["counts/words"].tolist() == [0, 1, 2, 5]
    counts_only = Frame(2, counts={"loss": (2,)})
    assert protect(full, {}, counts_only, random_of(0)).keys() == {"counts/words"}


def test_the_weight_leaves_only_where_it_was_promised() -> None:
    """An evaluation promises histograms; how many records a hospital trains on is no part of it."""
    words = protect(Contribution({}, 12345, {"n": np.array([7])}), {}, Frame(2, counts={"n": (1,)}), random_of(0))
    assert words["counts/words"].tolist() == [7]


@pytest.mark.parametrize("bad", [-1, 2**60])
def test_counts_that_could_wrap_the_sum_are_refused(bad: int) -> None:
    """K times the limit stays below 2**63, whatever K is."""
    for sites in (2, 10_000):
        plan = Frame(sites, counts={"n": (1,)})
        assert plan.count_limit <= COUNT_LIMIT
        assert plan.count_limit * sites < 2**63
        with pytest.raises(ValueError, match="counts"):
            protect(Contribution({}, 0, {"n": np.array([bad])}), {}, plan, random_of(0))


def test_rounding_differs_between_parts_and_sites() -> None:
    """Equal rounding errors would add up instead of cancelling."""
    model = {"b": np.array(0.1, np.float32), "w": np.full((2, 2), 0.1, np.float32)}
    plan = Frame(3, {"control": SHAPES, "model": SHAPES}, COUNTS, 10, 4.0, 16)
    both = Contribution({"model": weighted(model, 3), "control": weighted(model, 3)}, 3, {"loss": np.array([0, 1])})
    draws = [protect(both, {}, plan, random_of(site)) for site in range(8)]
    assert len({tree["model/words"].tobytes() for tree in draws}) > 1
    assert any(tree["model/words"].tobytes() != tree["control/words"].tobytes() for tree in draws)


def test_a_frame_that_cannot_hold_is_refused_where_it_is_made() -> None:
    """Validated at construction, not in round 40."""
    with pytest.raises(ValueError, match="counts"):
        Frame(2, {"counts": SHAPES}, weight=1)
    with pytest.raises(ValueError, match="weight"):
        Frame(2, {"model": SHAPES}, weight=0)
    with pytest.raises(ValueError, match="sites"):
        Frame(0, {"model": SHAPES}, weight=1)
    with pytest.raises(ValueError, match="bound"):
        Frame(2, {"model": SHAPES}, COUNTS, 10, clip=float("nan"))


def test_a_mean_without_the_weight_of_its_sites_is_not_revealed() -> None:
    """A total divided by nothing known would be a wrong model, not an error."""
    unweighted = Frame(2, {"model": SHAPES}, {"loss": (2,)}, 10)
    model = {"b": np.zeros((), np.float32), "w": np.zeros((2, 2), np.float32)}
    with pytest.raises(ValueError, match="weight"):
        total([contribution(model, 5)], {}, unweighted)


def test_the_layout_names_every_word() -> None:
    """The layout bounds the size of a message and is what a summation checks replies against."""
    assert frame(3, 10).layout == {"model/words": ("uint32", 5), "counts/words": ("uint64", 4)}
    assert frame(3, 10, bits=16).layout["model/words"] == ("uint16", 5)
    assert Frame(2).layout == {}


def test_a_model_of_many_arrays_is_encoded_as_one_vector() -> None:
    """Blocks do not stop at the borders of arrays, and some arrays are larger than a block, empty or scalars."""
    shapes = {"a": (3, 40_000), "b": (), "c": (0,), "d": (7,), "e": (2**16 + 1,)}
    draw = np.random.Generator(np.random.Philox(5))
    model = {name: draw.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    reference = {name: draw.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    plan = Frame(2, {"model": shapes}, COUNTS, 11)
    words = protect(contribution(model, 7), {"model": reference}, plan, random_of(0))["model/words"]
    whole = (flatten(model) - flatten(reference)) * 7 / 11
    assert np.abs(plan.grid.decode(words) - whole).max() <= plan.grid.step * (1 + 2.0**-20)
