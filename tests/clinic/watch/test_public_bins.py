"""Bins are public: they follow from the contract, every record has one in each figure, and edges are where they should be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.clinic.made_clinics import HEART
from tests.clinic.made_models import FILMS
from wardround.clinic.answering.public_bins import bin_numbers, bins_of, counted, score_bins
from wardround.sources import prepare
from wardround.study.contract import ColumnContract, DataContract, LabelContract


def row_bins(contract: DataContract, **row: object) -> dict[str, int]:
    return {name: int(own[0]) for name, own in bins_of(contract, prepare(contract, row)[None]).items()}


def test_a_row_falls_where_the_contract_says() -> None:
    """The range in ten parts, a category by its code, a missing value apart."""
    found = row_bins(HEART, age=0, sex="m", smoker=1, pressure=None)
    assert found == {"column age": 0, "column sex": 1, "column smoker": 1, "column pressure": 10}
    found = row_bins(HEART, age=100, sex="f", smoker=0, pressure=140)
    assert found == {"column age": 9, "column sex": 0, "column smoker": 0, "column pressure": 5}


@given(st.floats(0, 100), st.floats(60, 220) | st.none(), st.sampled_from("fm"), st.integers(0, 1))
def test_every_row_has_a_bin_in_every_figure(age, pressure, sex, smoker) -> None:
    """A record without a bin would be lost from the counts."""
    numbers = bin_numbers(HEART)
    found = row_bins(HEART, age=age, sex=sex, smoker=smoker, pressure=pressure)
    assert {"score", *found} == numbers.keys() and all(0 <= own < numbers[name] for name, own in found.items())


@pytest.mark.parametrize(("value", "part"), [(1.0, 0), (9.0, 4), (11.0, 5), (100.0, 9)])
def test_a_logarithmic_column_is_divided_on_its_logarithm(value: float, part: int) -> None:
    """Half of the bins would be empty else."""
    contract = DataContract(
        kind="table", columns=(ColumnContract(name="crp", range=(1, 100), log=True),), label=LabelContract(name="ill", column="y")
    )
    assert row_bins(contract, crp=value) == {"column crp": part}


def test_a_column_without_a_range_has_open_ends() -> None:
    """No value is refused for want of a bin."""
    column = ColumnContract(name="age", center=50.0, scale=10.0)
    contract = DataContract(kind="table", columns=(column,), label=LabelContract(name="ill", column="y"))
    assert [row_bins(contract, age=age)["column age"] for age in (-1000, 24, 26, 49, 51, 76, 1000)] == [0, 0, 0, 4, 5, 9, 9]


@given(arrays(np.float32, (2, 1, 8, 8), elements=st.floats(0, 1, width=32)))
def test_a_film_has_its_bins(films) -> None:
    """Black, white and half of each are the ends."""
    numbers = bin_numbers(FILMS)
    found = bins_of(FILMS, films, np.array([[64, 64], [4000, 5000]]))
    assert {"score", *found} == numbers.keys() and found["size"].tolist() == [0, 9]
    assert all(((own >= 0) & (own < numbers[name])).all() for name, own in found.items())


def test_the_ends_of_brightness_and_contrast() -> None:
    """A film that is all white lies in the last bin of brightness and the first of contrast."""
    halves = np.zeros((1, 1, 8, 8), np.float32)
    halves[..., 4:] = 1
    films = np.concatenate([np.zeros((1, 1, 8, 8), np.float32), np.ones((1, 1, 8, 8), np.float32), halves])
    found = bins_of(FILMS, films)
    assert found["brightness"].tolist() == [0, 19, 10] and found["contrast"].tolist() == [0, 0, 15] and "size" not in found


@given(st.lists(st.floats(0, 1), min_size=1))
def test_scores_are_counted_whole(chances) -> None:
    """As many counts as cases, and a larger probability never lies in a lower bin."""
    found = score_bins(np.array(chances))
    assert sum(counted(FILMS, {"score": found})["score"]) == len(chances)
    assert (np.diff(found[np.argsort(chances)]) >= 0).all()
