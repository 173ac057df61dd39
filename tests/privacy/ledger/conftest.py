"""What these tests share."""

from pathlib import Path

import pytest

from wardround.privacy.ledger.ledger import Ledger

from .charges import DELTA, EPSILON


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "site" / "patients.ledger")


@pytest.fixture
def bounded(ledger: Ledger) -> Ledger:
    ledger.set_budget(EPSILON, DELTA)
    return ledger
