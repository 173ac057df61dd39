"""What a hospital is told when its line to the hub is broken: the cause by its name, and a mend."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardround.hub.daemon.certificates import server_certificate
from wardround.site.daemon.connection import Connection
from wardround.site.daemon.data_sets import DataSets
from wardround.site.daemon.doctor import examine, look_at_data
from wardround.site.daemon.finding import Finding
from wardround.site.daemon.hub_record import HubRecord
from wardround.site.daemon.joining import join, status, use_extra_ca
from wardround.site.daemon.line_checks import look_at_line
from wardround.values.errors import DataError, EngineError
from wardround.values.ids import SiteId
from wardround.wire.hub_address import HubAddress

from .loopback import Clock, TestHub, hub_in, site_in, up
from .proxies import OwnAuthority, answers, lets_through, opens_tls, proxy


@pytest.fixture
def hub(tmp_path: Path) -> TestHub:
    return hub_in(tmp_path / "hub")


def connection(hub: TestHub, address: str | None = None, **other: str) -> Connection:
    return Connection(HubAddress.read(address or str(hub.address)), hub.inviter.authority, **other)


def last(findings: list[Finding]) -> Finding:
    assert all(finding.level != "fault" for finding in findings[:-1])
    return findings[-1]


def test_a_sound_line_is_told_step_by_step(hub: TestHub) -> None:
    """An administrator sees how far it goes."""
    with up(hub):
        findings = look_at_line(connection(hub))
    assert [(finding.check, finding.level) for finding in findings] == [
        ("name", "good"),
        ("port", "good"),
        ("certificate", "good"),
    ]
    assert "the hub's own" in findings[-1].text


def test_join_says_that_the_port_is_closed(hub: TestHub, tmp_path: Path) -> None:
    """The commonest fault: the hub is down. The invitation is good afterwards, and so is the request."""
    home, invitation = site_in(tmp_path / "site"), hub.invite("st-anna").text.encode()
    with pytest.raises(EngineError, match="is closed") as error:
        join(invitation, home)
    assert "wardround hub up" in error.value.hint
    assert HubRecord.required(home).state == "asking"
    with up(hub):
        assert join(invitation, home).state == "waiting"


def test_a_name_without_an_address_is_a_fault_of_dns(hub: TestHub) -> None:
    """`.invalid` never has one."""
    finding = last(look_at_line(connection(hub, "hub.invalid:443")))
    assert finding.text.startswith("DNS: the name of the hub, hub.invalid")
    assert "nslookup hub.invalid" in finding.mend


def test_tls_inspection_is_called_so_with_its_issuer(hub: TestHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is what a network office needs to hear; nothing was sent to it, and nothing burnt."""
    authority = OwnAuthority("Example Hospital Web Gateway", tmp_path / "proxy")
    home, invitation = site_in(tmp_path / "site"), hub.invite("st-anna").text.encode()
    with up(hub), proxy(opens_tls(authority)) as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(EngineError, match="TLS inspection") as error:
            join(invitation, home)
        assert "issued by Example Hospital Web Gateway" in error.value.what
        assert "--extra-ca" in error.value.hint
        assert hub.roster.entries() == ()


def test_an_inspecting_authority_is_accepted_when_a_person_names_it(
    hub: TestHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the request, code and all, and still cannot join: the words would be others. That it is accepted is logged."""
    authority = OwnAuthority("Example Hospital Web Gateway", tmp_path / "proxy")
    home, invitation = site_in(tmp_path / "site"), hub.invite("st-anna").text.encode()
    with up(hub), proxy(opens_tls(authority)) as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        joined = join(invitation, home, extra_ca=authority.path)
        assert joined.words == hub.roster.waiting()[SiteId(joined.name)].words
        finding = last(look_at_line(HubRecord.required(home).connection))
        assert (finding.level, "TLS inspection" in finding.text) == ("warning", True)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert last(look_at_line(HubRecord.required(home).connection)).level == "good"
    logged = [entry for entry in home.log.entries() if entry.code == "extra-ca"]
    assert len(logged) == 1 and "Example Hospital Web Gateway" in logged[0].text


def test_an_extra_authority_that_is_none_is_refused(hub: TestHub, tmp_path: Path) -> None:
    """Wrong files are given by mistake."""
    home = site_in(tmp_path / "site")
    (tmp_path / "wrong.pem").write_text("hello")
    with pytest.raises(DataError, match="holds no certificates"):
        join(hub.invite("st-anna").text.encode(), home, extra_ca=tmp_path / "wrong.pem")
    with pytest.raises(DataError, match="holds no certificates"):
        use_extra_ca(home, tmp_path / "none.pem")


def test_an_honest_proxy_is_used_and_named(hub: TestHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most hospitals have one."""
    with up(hub), proxy(lets_through) as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        assert join(hub.invite("st-anna").text.encode(), site_in(tmp_path / "site")).state == "waiting"
        assert [finding.check for finding in look_at_line(connection(hub))] == ["name", "port", "proxy", "certificate"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "words"), [(407, "asks for a login"), (403, "does not let through"), (502, "answered with 502")]
)
def test_a_proxy_that_refuses_is_named(
    hub: TestHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    """Which of two machines said no decides whom to ask."""
    with proxy(answers(status)) as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(EngineError, match=words):
            join(hub.invite("st-anna").text.encode(), site_in(tmp_path / "site"))


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:9", "http://", "http://127.0.0.1:99999", "nonsense://x"])
def test_a_proxy_that_is_none_is_a_sentence(hub: TestHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """A setting of the environment is written by somebody else."""
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(EngineError, match=r"proxy|HTTPS_PROXY"):
        join(hub.invite("st-anna").text.encode(), site_in(tmp_path / "site"))


def test_a_server_without_tls_and_one_that_hangs_up_are_named(hub: TestHub) -> None:
    """A wrong port, or a firewall that lets the first packet through."""
    with socket.create_server((hub.address.host, hub.address.port)) as server:
        server.settimeout(5)

        def hang_up() -> None:
            server.accept()[0].close()
            server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        finding = last(look_at_line(connection(hub)))
        thread.join()
    assert "no TLS connection comes about" in finding.text


def test_another_hub_at_the_address_is_not_called_inspection(hub: TestHub, tmp_path: Path) -> None:
    """A hub that was made anew has another authority; a network office cannot help there."""
    other = hub_in(tmp_path / "other")
    path = server_certificate(other.keys, hub.address)
    with up(hub, certificate=path):
        finding = last(look_at_line(connection(hub)))
    assert "another hub than the one that invited" in finding.text


def test_a_certificate_for_another_address_is_named(hub: TestHub) -> None:
    """The hub has moved, or its name leads elsewhere."""
    path = server_certificate(hub.keys, HubAddress("192.0.2.1", 443))
    with up(hub, certificate=path):
        finding = last(look_at_line(connection(hub)))
    assert "for another address" in finding.text


@pytest.mark.parametrize(("days", "words"), [(500, "has expired"), (-500, "is not good yet")])
def test_an_expired_certificate_and_a_wrong_clock_are_named_with_both_times(hub: TestHub, days: int, words: str) -> None:
    """Either the hub forgot to renew it, or this machine's clock is wrong: a person sees which by the dates."""
    authority = hub.inviter.authority
    path = server_certificate(hub.keys, hub.address, lambda: datetime.now(UTC) - timedelta(days=days))
    assert hub.inviter.authority == authority
    with up(hub, certificate=path):
        finding = last(look_at_line(connection(hub)))
    assert words in finding.text
    assert f"clock says {datetime.now(UTC):%Y-%m-%d}" in finding.text


def test_old_tls_is_not_spoken(hub: TestHub) -> None:
    """Spec 9.1."""
    assert connection(hub).context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_the_doctor_names_every_fault_of_a_hospital(hub: TestHub, tmp_path: Path) -> None:
    """One command, and each finding that is not good has a mend."""
    home = site_in(tmp_path / "site")
    before = examine(home)
    assert "joined no hub" in next(finding for finding in before if finding.level == "fault").text
    with up(hub):
        words = join(hub.invite("st-anna").text.encode(), home).words
        waiting = examine(home)
        hub.roster.confirm("st-anna", words)
        confirmed = examine(home)
        late = examine(home, Clock(-400_000))
        hub.roster.revoke("st-anna")
        revoked = examine(home)
    down = examine(home)
    assert words in next(finding for finding in waiting if finding.check == "hub").text
    seen = {"Python", "version", "disk", "name", "port", "certificate", "hub", "clock", "data"}
    assert {finding.check for finding in confirmed} == seen
    assert next(finding for finding in confirmed if finding.check == "hub").level == "good"
    assert next(finding for finding in confirmed if finding.check == "clock").level == "good"
    clock = next(finding for finding in late if finding.check == "clock")
    assert clock.level == "fault" and "behind" in clock.text
    assert next(finding for finding in revoked if finding.check == "hub").level == "fault"
    assert next(finding for finding in down if finding.level == "fault").check == "port"
    for finding in [*before, *waiting, *confirmed, *late, *revoked, *down]:
        assert finding.level == "good" or finding.mend


def test_the_doctor_sees_that_a_data_set_has_gone(tmp_path: Path) -> None:
    """A share that is not mounted is found before a study asks for it."""
    home = site_in(tmp_path / "site")
    (tmp_path / "rows.csv").write_text("a\n1\n")
    DataSets(home.data_file).add("rows", str(tmp_path / "rows.csv"), mapping=None, ledger=None)
    assert [finding.level for finding in look_at_data(home)] == ["good"]
    (tmp_path / "rows.csv").unlink()
    assert [finding.level for finding in look_at_data(home)] == ["fault"]


def test_status_says_what_is_wrong_when_something_else_answers(hub: TestHub, tmp_path: Path) -> None:
    """A portal that answers 302 to everything is no hub."""
    home = site_in(tmp_path / "site")

    async def portal(_scope: object, _receive: object, send) -> None:  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 302, "headers": [(b"location", b"http://portal/")]})
        await send({"type": "http.response.body", "body": b"x" * 100_000})

    async def blocked(_scope: object, _receive: object, send) -> None:  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b"blocked by policy"})

    with up(hub):
        join(hub.invite("st-anna").text.encode(), home)
    with up(hub, portal), pytest.raises(EngineError, match="did not answer"):
        status(home)
    with up(hub, blocked), pytest.raises(EngineError, match="did not take the request"):
        status(home)
