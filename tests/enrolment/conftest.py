"""What the tests of joining share."""

import pytest

PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in a developer's environment would be asked for the loopback device."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
