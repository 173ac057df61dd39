"""How a line stands, in words for the person at a hospital's machine: each fault has its own sentence and its mend."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flwr.supernode import node_auth_http_interceptor

from tests.engines.flower.connect_proxy import ConnectProxy
from tests.engines.flower.embedded import HOST, Embedded, listening, make_certificates
from tests.engines.remote.parties import NAMES, STUDY, served
from wardround.engines.flower.site_carrier import CONNECTED, FlowerSiteCarrier
from wardround.engines.remote.body_client import BodyClient
from wardround.values.errors import RunError

EAST = NAMES[0]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with listening(tmp_path_factory.mktemp("states")) as running:
        yield running


def state_of(carrier: FlowerSiteCarrier) -> str:
    """After one try."""
    with closing(carrier):
        carrier.receive(0.0)
        return carrier.state


def test_a_line_that_stands_is_connected(embedded: Embedded) -> None:
    """The one word that needs no mend."""
    assert state_of(embedded.site_carrier(EAST)) == CONNECTED


def test_a_line_on_which_nothing_was_said_yet_is_connected(embedded: Embedded) -> None:
    """The hub holds the first question for as long as it has no message: a person who looks meanwhile must not wait with it."""
    carrier = embedded.site_carrier(EAST)
    waiting = threading.Thread(target=carrier.receive, args=(20.0,), daemon=True)
    began = time.monotonic()
    waiting.start()
    while carrier.state != CONNECTED:
        assert time.monotonic() - began < 15.0, carrier.state
        time.sleep(0.05)
    carrier.close()
    waiting.join(10.0)
    assert not waiting.is_alive()


def test_a_closed_port_is_named(embedded: Embedded) -> None:
    """The hub is not running, or a firewall refuses."""
    carrier = FlowerSiteCarrier(f"{HOST}:1", embedded.ca_pem, embedded.login_key(EAST), embedded.parties.folder / "n")
    assert "nothing listens at 127.0.0.1:1" in state_of(carrier)


def test_a_name_that_nobody_knows_is_named(embedded: Embedded) -> None:
    """DNS, or a proxy that alone knows names."""
    carrier = FlowerSiteCarrier("hub.invalid:443", embedded.ca_pem, embedded.login_key(EAST), embedded.parties.folder / "n")
    assert "hub.invalid:443" in state_of(carrier)


def test_a_site_that_is_not_in_the_roster_is_told_so(embedded: Embedded) -> None:
    """Not confirmed yet, or revoked: both are for people to talk about."""
    login = embedded.logins.pop(EAST)
    try:
        assert "does not know this hospital's key" in state_of(embedded.site_carrier(EAST))
    finally:
        embedded.logins[EAST] = login


@pytest.mark.parametrize(("seconds", "side"), [(30, "ahead"), (-400, "behind")])
def test_a_clock_that_is_wrong_is_named_with_its_difference(
    seconds: int, side: str, embedded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub turns it away with 401 as it does a stranger: its date says which of the two it is."""
    import datetime

    from wardround.engines.flower import line_faults

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.now(tz) + datetime.timedelta(seconds=seconds)

    monkeypatch.setattr(node_auth_http_interceptor, "now", lambda: Clock.now(datetime.UTC))
    monkeypatch.setattr(line_faults, "datetime", Clock)
    state = state_of(embedded.site_carrier(EAST))
    assert side in state and "clock" in state
    assert abs(abs(seconds) - int(state.split(" s ")[0].split()[-1])) <= 3


def test_tls_inspection_is_called_so_with_whose_certificate_it_is(embedded: Embedded, tmp_path: Path) -> None:
    """IT must hear which of its machines it is; nothing of the site's was said to it."""
    make_certificates(tmp_path, "Clinic Firewall CA")
    with closing(ConnectProxy(tmp_path)) as proxy:
        state = state_of(embedded.site_carrier(EAST, proxy.url))
    assert "TLS inspection" in state and "Clinic Firewall CA" in state


def test_a_proxy_that_refuses_is_named(embedded: Embedded) -> None:
    """Whom to ask: IT, for CONNECT to this address."""
    with closing(ConnectProxy(refuses=True)) as proxy:
        assert "proxy" in state_of(embedded.site_carrier(EAST, proxy.url))


@pytest.mark.slow
def test_all_goes_through_a_proxy(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """By HTTPS_PROXY, messages and bodies; nothing goes around it."""
    with closing(ConnectProxy()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        site = embedded.parties.site_post(EAST, embedded.site_carrier(EAST), embedded.body_client(EAST))
        with served({EAST: site}):
            for data in (b"short", bytes(500_000)):
                assert embedded.post.ask("order", STUDY, {EAST: data}, 30.0)[EAST] == b"east: " + data
    assert len(proxy.asked) >= 2 and set(proxy.asked) == {embedded.address}


def test_a_login_key_that_is_none_is_said_at_once(embedded: Embedded, tmp_path: Path) -> None:
    """Before a connection is tried."""
    path = tmp_path / "login.key"
    for content in (b"", b"no key"):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(RunError, match="no login key"):
            FlowerSiteCarrier(embedded.address, embedded.ca_pem, path, tmp_path / "node")


def test_whoever_waits_hears_of_a_stop_at_once(embedded: Embedded) -> None:
    """A request is held for 20 s; a service that is told to stop may not be."""
    carrier = embedded.site_carrier(EAST)
    site = embedded.parties.site_post(EAST, carrier, BodyClient(embedded.address, embedded.ca_pem, embedded.parties.sites[EAST]))
    with served({EAST: site}):
        until = time.monotonic() + 10.0
        while carrier.state != CONNECTED and time.monotonic() < until:
            embedded.post.ask("offer", STUDY, {EAST: b"are you there"}, 5.0)
        began = time.monotonic()
    assert time.monotonic() - began < 5.0
    assert embedded.hub.last_seen()[EAST] <= time.time()


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_wardround_and_its_help_load_nothing_of_the_network() -> None:
    """Flower takes seconds to load, and most people never open a line."""
    code = "import sys, wardround\nfrom wardround.cli.main import main\nsys.argv = ['wardround', '--help']\n"
    code += "try:\n    main()\nexcept SystemExit:\n    pass\n"
    code += "print([name for name in ('flwr', 'httpx', 'starlette', 'uvicorn', 'fastapi', 'grpc') if name in sys.modules])"
    assert run(code).stdout.rstrip().endswith("[]")


def test_without_the_extra_the_command_to_install_it_is_said() -> None:
    """The packages are optional; what is missing is an error of ours and no traceback."""
    code = WITHOUT.format(hidden={"flwr"}) + (
        "from wardround.values.errors import MissingExtraError\n"
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'flwr' else find(name, package)\n"
        "try:\n    import wardround.engines.flower.hub\nexcept MissingExtraError as error:\n    print(error)"
    )
    assert "pip install 'wardround[network]'" in run(code).stdout
