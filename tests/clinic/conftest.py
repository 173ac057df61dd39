"""What the tests of the clinic share."""

import pytest

from wardround.clinic.store import people


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> None:
    """The real argon2, with less memory: a test logs in dozens of times."""
    people.MEMORY_KIB, people.TIME_COST = 256, 1
    people._hasher.cache_clear()
