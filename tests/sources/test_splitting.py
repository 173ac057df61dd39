"""Patients into train, validation and test."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.sources.splitting import assign_splits, place_of, split_of
from wardround.study.contract import SplitsContract
from wardround.values.errors import DataError

RULES = SplitsContract()


def none(count: int) -> np.ndarray:
    return np.full(count, "")


@given(st.lists(st.sampled_from([f"p{k}" for k in range(20)]), min_size=1, max_size=60))
def test_a_split_depends_on_the_patient_alone(patients: list[str]) -> None:
    """So it holds when other patients come or go, and whatever the order."""
    got = assign_splits(np.array(patients), none(len(patients)), RULES)
    assert got.tolist() == [split_of(patient, RULES) for patient in patients]


def test_shares_are_met_over_many_patients() -> None:
    """15 % and 15 % of 20,000, within four standard deviations (0.25 % each)."""
    patients = np.array([f"p{k}" for k in range(20000)])
    got = assign_splits(patients, none(len(patients)), RULES)
    assert abs(np.mean(got == "test") - 0.15) < 0.0101
    assert abs(np.mean(got == "validation") - 0.15) < 0.0101


def test_another_salt_divides_anew() -> None:
    """Repeated studies may ask for independent splits."""
    assert place_of("p", "a") != place_of("p", "b")


def test_raising_the_test_share_moves_no_patient_out_of_test() -> None:
    """Patients held out once stay held out."""
    patients = [f"p{k}" for k in range(500)]
    few = {p for p in patients if split_of(p, SplitsContract(test=0.1)) == "test"}
    more = {p for p in patients if split_of(p, SplitsContract(test=0.3)) == "test"}
    assert few < more


def test_declared_splits_need_to_be_complete() -> None:
    """A record without one would be guessed."""
    patients, declared = np.array(["a", "b"]), np.array(["train", ""])
    with pytest.raises(DataError, match="records declare none"):
        assign_splits(patients, declared, SplitsContract(declared=True))


def test_declared_validation_is_kept() -> None:
    """Only a lacking validation split is made."""
    patients = np.array([f"p{k}" for k in range(100)])
    declared = np.array(["train"] * 80 + ["validation"] * 10 + ["test"] * 10)
    assert assign_splits(patients, declared, SplitsContract(declared=True)).tolist() == declared.tolist()
