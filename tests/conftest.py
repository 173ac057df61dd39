"""What all tests share: hypothesis draws the same cases every time, and a busy machine fails none of them."""

import os

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.algorithms.algorithm_conformance")

settings.register_profile(
    "wardround", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("wardround")


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests write thousands of small files; waiting for the disk each time proves nothing, but where durability is tested."""
    if "durable" not in request.path.name:
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # noqa: ARG005
