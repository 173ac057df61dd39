"""The HIV trial by its name."""

import os

import numpy as np
import pytest

from wardround.sources.datasets.actg175 import TREATMENTS
from wardround.sources.datasets.catalogue import suggested_contract
from wardround.sources.datasets.named import load_dataset_rows

pytestmark = pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="WARDROUND_DATA names no data")


def test_every_patient_is_read_once_with_the_treatment_in_words() -> None:
    """The head of the file names one column less than there are: read as it stands, every value is one column off."""
    rows, sites = load_dataset_rows("actg175", suggested_contract("actg175"))
    assert len(rows) == rows.patient_count == 2139 and sites is None
    assert np.bincount(rows["treatment"].astype(int)).tolist() == [532, 522, 524, 561]
    means = [rows["cd420"][rows["treatment"] == arm].mean() for arm in range(len(TREATMENTS))]
    assert np.allclose(means, [336.1, 403.2, 372.0, 374.3], atol=0.1)
    assert rows["cens"].sum() == 521 and not any(np.isnan(values).any() for values in rows.columns.values())
