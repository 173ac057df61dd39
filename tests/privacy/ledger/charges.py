"""Charges that the tests of the ledger share. Not a test."""

from collections.abc import Callable

import pytest

from wardround.privacy.accounting import affordable
from wardround.privacy.events import Event
from wardround.privacy.ledger.ledger import Ledger
from wardround.values.errors import RefusedError

EVENT, OTHER, SITE = Event(10.0), Event(20.0), Event(10.0, unit="site")
EPSILON, DELTA = 2.0, 1e-5
ROOM = affordable(EVENT, EPSILON, DELTA)


def refused(code: str, step: Callable[[], object]) -> RefusedError:
    with pytest.raises(RefusedError) as raised:
        step()
    assert raised.value.code == code
    return raised.value


def charge_many(ledger: Ledger, study: str, count: int, event: Event = EVENT) -> None:
    ledger.charge(study, "many", event, count)
