"""Tests of roles write hundreds of small files; waiting for the disk each time proves nothing here (tests/values does)."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # noqa: ARG005
