"""The hub's page, over a real port: who may see it, who may press its buttons, and that no name becomes markup."""

import http.client
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wardround.hub.dashboard.access import CODE_FILE, SESSION_S, Sessions, login_code
from wardround.hub.dashboard.app import BODY_LIMIT, Dashboard
from wardround.hub.dashboard.feed import Feed
from wardround.hub.dashboard.server import served
from wardround.values.errors import RunError, StudyError

OURS = "hub.test:8477"
HOSTILE = "</script><img src=x onerror=alert(1)>"
JSON_TYPE = {"content-type": "application/json"}


@dataclass
class Served:
    """A dashboard at a port of its own, and what was wished on it."""

    port: int
    sessions: Sessions
    feed: Feed
    folder: Path
    wished: list[Mapping[str, str]] = field(default_factory=list)
    connections: list[http.client.HTTPConnection] = field(default_factory=list)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        self.connections.append(connection)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"host": OURS, **named})
        return connection.getresponse()

    def post(self, path: str, fields: Mapping[str, Any], **headers: str) -> http.client.HTTPResponse:
        return self.ask("POST", path, json.dumps(fields).encode(), content_type="application/json", **headers)

    def login(self) -> str:
        answer = self.post("/login", {"code": login_code(self.folder)})
        assert answer.status == 200
        return str(json.loads(answer.read())["session"])


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Served]:
    """A page whose view holds a hostile name."""
    feed, sessions, wished = Feed(), Sessions(tmp_path), []

    def refusing(_: Mapping[str, str]) -> None:
        raise StudyError("No study begins so", hint="look at the list")

    wishes = {"stop": wished.append, "refuse": refusing}
    dashboard = Dashboard(lambda: {"name": HOSTILE}, wishes, sessions, feed, frozenset({OURS}))
    with served(dashboard.app(), "127.0.0.1:0") as port:
        made = Served(port, sessions, feed, tmp_path, wished)
        yield made
        feed.close()
        for connection in made.connections:
            connection.close()


def test_a_code_lets_one_browser_in_once(page: Served) -> None:
    """Whoever finds it later in a history or on a screen must not get in."""
    code = login_code(page.folder)
    session = page.login()
    assert page.post("/login", {"code": code}).status == 403 and login_code(page.folder) != code
    assert page.ask("GET", "/feed", authorization=f"Bearer {session}").status == 200
    assert (page.folder / CODE_FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Bearer 00", "Basic 00", "Bearer é"])
def test_without_a_session_nothing_is_shown_and_nothing_done(page: Served, authorization: str) -> None:
    """The port is open to every user of this machine."""
    page.login()
    headers = {"authorization": authorization.encode().decode("latin-1")}
    assert page.ask("GET", "/feed", **headers).status == 401
    assert page.post("/wish", {"wish": "stop"}, **headers).status == 401
    assert page.wished == []


@pytest.mark.parametrize("code", ["", "00", "é", "x" * 3000])
def test_a_wrong_code_opens_nothing(page: Served, code: str) -> None:
    """It is looked at in constant time, and stays good for who has it."""
    assert page.post("/login", {"code": code}).status == 403
    assert page.login()


def test_half_a_sign_is_no_code(page: Served) -> None:
    """Text that cannot be written as bytes is refused as any other, not by a fault of the page."""
    assert page.post("/login", {"code": "\ud800"}).status == 403
    session = page.login()
    assert page.post("/wish", {"wish": "\ud800"}, authorization=f"Bearer {session}").status == 400


def test_a_session_ends(tmp_path: Path) -> None:
    """A tab that was left open on another's desk."""
    now = [0.0]
    sessions = Sessions(tmp_path, lambda: now[0])
    session = sessions.login(login_code(tmp_path) or "")
    assert session is not None and sessions.is_open(session)
    now[0] = SESSION_S
    assert not sessions.is_open(session)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8477", "hub.test", "hub.test:8477.evil.example", ""])
@pytest.mark.parametrize("path", ["/", "/page.js", "/feed", "/login"])
def test_another_name_gets_nothing(page: Served, host: str, path: str) -> None:
    """A stranger's page whose name leads to this machine would otherwise be of our origin: DNS rebinding."""
    session = page.login()
    answer = page.ask("GET", path, host=host, authorization=f"Bearer {session}")
    assert answer.status == 421 and b"name" not in answer.read().replace(b"another name", b"")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_a_request_from_another_page_does_nothing(page: Served, headers: dict[str, str]) -> None:
    """Also where that page had the session."""
    session = page.login()
    answer = page.post("/wish", {"wish": "stop"}, authorization=f"Bearer {session}", **headers)
    assert answer.status == 403 and page.wished == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_can_send_is_not_read(page: Served, kind: str) -> None:
    """Only this type makes a browser ask first whether another page may send it."""
    session = page.login()
    body = json.dumps({"wish": "stop"}).encode()
    assert page.ask("POST", "/wish", body, authorization=f"Bearer {session}", content_type=kind).status == 400
    assert page.wished == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_nothing_is_changed_but_by_post(page: Served, method: str) -> None:
    """Links, images and prefetches are GET."""
    session = page.login()
    for path in ("/wish?wish=stop", "/wish", "/login"):
        assert page.ask(method, path, authorization=f"Bearer {session}").status in (404, 405)
    assert page.wished == []


@pytest.mark.parametrize("body", [b"", b"[]", b'"a"', b'{"wish": 1}', b'{"wish": {}}', b"[" * 4000, b"{}", b'{"wish": "other"}'])
def test_what_is_no_wish_is_refused_in_words(page: Served, body: bytes) -> None:
    """No input ends the page for the others."""
    session = page.login()
    answer = page.ask("POST", "/wish", body, authorization=f"Bearer {session}", content_type="application/json")
    assert answer.status == 400 and json.loads(answer.read())["error"]
    assert page.ask("GET", "/").status == 200


def test_a_long_body_is_not_read_to_its_end(page: Served) -> None:
    """Memory is the hub's, and studies run in it."""
    session = page.login()
    body = json.dumps({"wish": "stop", "study": "a" * (BODY_LIMIT + 1)}).encode()
    assert page.ask("POST", "/wish", body, authorization=f"Bearer {session}", content_type="application/json").status == 400
    assert page.wished == []


def test_a_wish_is_done_and_its_refusal_is_told(page: Served) -> None:
    """What a person pressed has an effect or a reason."""
    session = page.login()
    before = page.feed.version
    assert page.post("/wish", {"wish": "stop", "study": "ab"}, authorization=f"Bearer {session}").status == 200
    assert page.wished == [{"wish": "stop", "study": "ab"}] and page.feed.version > before
    answer = page.post("/wish", {"wish": "refuse"}, authorization=f"Bearer {session}", origin=f"http://{OURS}")
    assert answer.status == 409 and "look at the list" in json.loads(answer.read())["error"]


def test_every_answer_forbids_scripts_that_are_not_ours(page: Served) -> None:
    """Behind the escaping stands the browser."""
    session = page.login()
    for path, host in (("/", OURS), ("/page.js", OURS), ("/page.css", OURS), ("/feed", OURS), ("/none", OURS), ("/", "evil")):
        answer = page.ask("GET", path, host=host, authorization=f"Bearer {session}")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and "require-trusted-types-for 'script'" in policy
        assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
        assert "set-cookie" not in answer.headers and "access-control-allow-origin" not in answer.headers


def test_the_page_loads_nothing_from_elsewhere_and_writes_no_markup(page: Served) -> None:
    """A name of a hospital or a study is text, whatever it holds."""
    html, script, style = (page.ask("GET", path).read().decode() for path in ("/", "/page.js", "/page.css"))
    assert not re.search(r"https?://", html + style) and re.findall(r"https?://[^\"]*", script) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|setTimeout\(\"", script)
    assert not re.search(r"<style|style=|\son\w+=", html) and "url(" not in style and "@import" not in style


def test_the_feed_tells_the_view_and_tells_it_again_when_something_changed(page: Served) -> None:
    """Live means within a second."""
    session = page.login()
    answer = page.ask("GET", "/feed", authorization=f"Bearer {session}")
    first = answer.readline()
    assert json.loads(first.removeprefix(b"data: "))["name"] == HOSTILE and answer.readline() == b"\n"
    threading.Timer(0.5, page.feed.changed).start()
    assert json.loads(answer.readline().removeprefix(b"data: "))["name"] == HOSTILE


def test_a_port_that_is_taken_is_named(page: Served) -> None:
    """Two hubs on one machine is the ordinary reason."""
    with pytest.raises(RunError, match="cannot listen") as error, served(lambda *_: None, f"127.0.0.1:{page.port}"):
        pass
    assert "hub.toml" in error.value.hint
