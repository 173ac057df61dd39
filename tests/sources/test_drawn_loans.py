"""A table outside medicine, drawn when it is asked for: the same everywhere, marked as of no person, and analysed by name."""

from pathlib import Path

import numpy as np
import pytest

from wardround.simulation.analysing import analyse
from wardround.sources.datasets.catalogue import entry, suggested_contract
from wardround.sources.datasets.named import load_dataset, load_dataset_rows
from wardround.sources.synthetic.loans import LENDERS, drawn_loans
from wardround.study.reading import load_study

ROOT = Path(__file__).parents[2]


def test_the_same_rows_on_every_machine() -> None:
    """An example whose figures stand in a page must not move: the first row, and how many failed."""
    table = drawn_loans()
    assert len(table) == 3000 and table["default"].cast(int).sum() == 380
    assert table.row(0) == ("harbour-0000", "harbour", "41", "71000", "10600", "with family", "other", "0", "2", "0", "0")


def test_it_needs_no_file_and_says_that_it_is_of_no_person() -> None:
    """A data set that a program makes has no hash, and a warning."""
    assert entry("drawn_loans").drawn and not entry("drawn_loans").files
    dataset = load_dataset("drawn_loans", suggested_contract("drawn_loans"))
    assert dataset.sites is not None and set(dataset.sites) == set(LENDERS) and len(dataset.records) == 3000


@pytest.mark.slow
def test_the_examples_give_a_regression_and_a_private_count_over_three_companies(tmp_path: Path) -> None:
    """By the study's name alone, with the masked sum; the report says that no row is of a person."""
    risk = analyse(ROOT / "examples" / "credit_risk.toml", out=tmp_path / "risk", workers=0, register=False)
    counts = analyse(ROOT / "examples" / "credit_counts.toml", out=tmp_path / "counts", workers=0)
    assert risk.synthetic and counts.synthetic
    rows, _ = load_dataset_rows("drawn_loans", load_study(ROOT / "examples" / "credit_risk.toml").data)
    figures = risk.figures["models"]["common"]
    assert figures["names"][1] == "age, per 10 years" and (risk.folder / "model.onnx").is_file()
    assert sum(1 for name in figures["names"] if name.startswith("purpose")) == 3
    assert int(np.nansum(rows["default"])) == 380
    assert not any(lender in name for name in risk.figures["models"]["own"]["names"] for lender in LENDERS)  # of none its level
    shown = {row[0]: row[1] for row in counts.table.rows}
    assert abs(int(shown["default = 1"]) - 380) < 80  # eight deviations of the noise
    assert "Synthetic data" in (counts.folder / "report.html").read_text()
