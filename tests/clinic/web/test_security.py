"""What strangers, colleagues of another role and hostile files try at the clinic's door."""

import re
import tempfile
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from tests.clinic.dicom_files import NUMBER, dicom, film_pixels
from wardround.clinic.web.access import EVERYBODY
from wardround.clinic.web.app import ROUTERS, bare_application
from wardround.clinic.web.guard import SMALL_BODY
from wardround.clinic.web.login_pages import router as login_router
from wardround.clinic.web.oidc_pages import router as oidc_router

from .visitors import HOST, NAMES, PASSWORD, Clinic, client, token_in

FILM = dicom(film_pixels(), BitsStored=12)
OPEN = {"/login", "/second", "/logout", "/language", "/enter/{code}", "/oidc/start", "/oidc/done"}
"""Routes by which people come in and go out; /static and /health hold nothing."""


def routes() -> list[tuple[str, str, tuple[str, ...]]]:
    """Method, path and roles of every route, as its dependencies say them."""
    listed = []
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            roles = [call.__dict__["roles"] for call in _calls(route.dependant) if "roles" in getattr(call, "__dict__", {})]
            for method in route.methods:
                listed.append((method, route.path, roles[0] if roles else ()))
    return listed


def _calls(dependant) -> list:
    return [call for one in dependant.dependencies for call in (one.call, *_calls(one))]


def path_of(path: str, case: str) -> str:
    return path.replace("{case_id}", case)


@pytest.fixture(scope="module")
def case(films: Clinic) -> str:
    return films.logged_in("doctor").drop(FILM).json()["case"]


def test_every_route_says_who_may_use_it(films: Clinic) -> None:
    """A route without a rule would be open to the whole network; so is one that was added beside the routers."""
    listed = routes()
    assert len(listed) > 30
    doors = {getattr(route, "path", "") for router in (login_router, oidc_router) for route in router.routes}
    assert {path for _, path, roles in listed if not roles} == OPEN == doors
    beside = {"/static/{name}", "/metrics", "/health", "/v1/openapi.json"}
    paths = {getattr(route, "path", "") for route in bare_application(films.state).routes if isinstance(route, APIRoute)}
    assert beside <= paths <= beside | {path for _, path, _ in listed}


@pytest.mark.parametrize(("method", "path", "roles"), [row for row in routes() if row[2]], ids=lambda value: str(value))
def test_a_route_opens_to_its_roles_alone(films: Clinic, case: str, method: str, path: str, roles: tuple[str, ...]) -> None:
    """Nobody, a half login, every other role, and a machine on the pages: all are turned away, and nothing is shown."""
    address = path_of(path, case)
    strangers = [films.visitor().client]
    half = films.visitor()
    half.post("/login", name=NAMES["doctor"], password=PASSWORD)
    strangers.append(half.client)
    if roles == ("machine",):
        strangers += [films.machine("wr_none"), _seasoned(films, "doctor")]
    else:
        strangers.append(films.machine())
    for stranger in strangers:
        reply = stranger.request(method, address, headers={"accept": "application/json"})
        assert reply.status_code in (303, 401), (address, reply.status_code)
        assert reply.headers.get("location", "/login") == "/login" and "Mustermann" not in reply.text and case not in reply.text
    for role in set(EVERYBODY) - set(roles) if roles != ("machine",) else ():
        reply = _seasoned(films, role).request(method, address, headers={"accept": "application/json"})
        assert reply.status_code == 403 and "Mustermann" not in reply.text, (role, address)


_kept: dict[tuple[int, str], TestClient] = {}


def _seasoned(films: Clinic, role: str) -> TestClient:
    """A visitor of the role, logged in once for all routes."""
    if (id(films), role) not in _kept:
        _kept[id(films), role] = films.logged_in(role).client
    return _kept[id(films), role]


@pytest.mark.parametrize(
    ("role", "path", "fields"),
    [
        ("doctor", "/cases/{case}/feedback", {"opinion": "agree"}),
        ("administrator", "/people", {"name": "mallory", "role": "administrator"}),
        ("administrator", "/people/change", {"name": "anna", "act": "off"}),
        ("administrator", "/keys", {"name": "mallory"}),
        ("data-manager", "/register/withdraw", {"patient": NUMBER}),
        ("doctor", "/logout", {}),
        ("doctor", "/language", {"language": "zh"}),
    ],
)
@pytest.mark.parametrize("token", ["", "wrong", "other's"])
def test_a_form_of_another_page_does_nothing(
    films: Clinic, case: str, role: str, path: str, fields: dict[str, str], token: str
) -> None:
    """The browser sends the cookie along; the token it cannot know. That of another session is worth nothing either."""
    visitor = films.logged_in(role)
    if token == "other's":
        token = token_in(films.logged_in("auditor").get("/audit").text)
    before = [films.state.people.listed(), films.state.people.keys()]
    reply = visitor.post(path.format(case=case), token=token, **fields)
    assert reply.status_code == 403 and [films.state.people.listed(), films.state.people.keys()] == before
    assert visitor.get("/facts").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_request_from_another_page_is_refused_with_the_right_token_too(films: Clinic, headers: dict[str, str]) -> None:
    """Also the login: nobody may log a doctor in to somebody else's account."""
    visitor = films.logged_in("doctor")
    token = visitor.token
    assert visitor.client.post("/language", data={"token": token, "language": "zh"}, headers=headers).status_code == 403
    assert films.visitor().client.post("/login", data={"name": "anna", "password": PASSWORD}, headers=headers).status_code == 403


def test_an_upload_without_the_token_is_not_even_decoded(films: Clinic) -> None:
    """A form of another page can carry a file."""
    anna = films.logged_in("doctor")
    reply = anna.client.post("/cases", data={"token": "x"}, files={"file": ("a", FILM)}, headers={"accept": "application/json"})
    assert reply.status_code == 403


def test_a_session_that_was_planted_before_the_login_is_worth_nothing(films: Clinic) -> None:
    """Session fixation: the id is new after each step, and the one before is dead."""
    visitor = films.visitor()
    name = f"wardround_clinic_{HOST.rpartition(':')[2]}"
    visitor.client.cookies.set(name, "planted")
    visitor.post("/login", name="anna", password=PASSWORD)
    first = visitor.client.cookies.get(name, domain="127.0.0.1")
    other = films.logged_in("doctor")
    assert first not in (None, "planted") and other.client.cookies.get(name) != first
    stolen = films.visitor()
    stolen.client.cookies.set(name, first)
    assert stolen.get("/facts").headers.get("location") == "/login"


def test_the_cookie_is_for_this_server_alone(films: Clinic) -> None:
    """No script reads it, no other page sends it."""
    reply = films.visitor().post("/login", name="anna", password=PASSWORD)
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie and "domain" not in cookie


def test_a_machine_sees_its_own_cases_alone(films: Clinic, case: str) -> None:
    """Ids of others, of doctors, and what is no id: all are the same to it."""
    mine = films.machine().post("/v1/predict", content=FILM).json()["case"]
    other = films.machine(films.state.people.add_key("other", actor="test"))
    assert films.machine().get(f"/v1/cases/{mine}").status_code == 200
    replies = [other.get(f"/v1/cases/{name}") for name in (mine, case, "0" * 32)]
    assert [reply.status_code for reply in replies] == [404] * 3 and len({reply.text for reply in replies}) == 1
    assert other.get("/v1/cases/..%2f..%2fclinic.toml").status_code in (404, 422)


@pytest.mark.parametrize("address", ["..%2fapp.py", "%2e%2e/app.py", "app.py", "../../store/people.py", "clinic.css%00.py"])
def test_no_path_leads_out_of_the_static_files(films: Clinic, address: str) -> None:
    """Names are looked up in a list, never joined to a folder."""
    reply = films.visitor().get(f"/static/{address}")
    assert reply.status_code in (303, 400, 404) and "import" not in reply.text


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\r\nset-cookie: x=1", "a" * 5000, "\u202e.dcm", "<script>alert(1)</script>.dcm"]
)
def test_the_name_of_an_upload_means_nothing(films: Clinic, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is no path, no header, no markup and no line of a log."""
    anna = films.logged_in("doctor")
    reply = anna.drop(FILM, name)
    assert reply.status_code in (200, 400)
    assert "script" not in anna.get("/").text.replace("<script src=", "").replace("</script>", "")
    assert "passwd" not in caplog.text


def test_a_film_never_touches_the_disk(films: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form parser would put a large part into a file of a shared folder."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    content = dicom(film_pixels(side=1500), BitsStored=12)
    assert len(content) > 4 << 20 and films.logged_in("doctor").drop(content).status_code == 200
    kept = [path for path in films.state.place.path.rglob("*") if path.is_file() and path.suffix in (".dcm", ".npz", ".png")]
    assert kept == []


@pytest.mark.parametrize("path", ["/login", "/v1/predict", "/cases"])
def test_a_body_beyond_its_limit_is_not_taken_in(films: Clinic, path: str) -> None:
    """Told at once where the length is stated, and cut off where it is not."""
    limit = films.state.desk.decoders.limits.content_bytes + (1 << 16) if path != "/login" else SMALL_BODY
    stated = films.machine().post(path, content=b"", headers={"content-length": str(limit + 1)})
    assert stated.status_code == 413

    def pieces():
        for _ in range(limit // (1 << 16) + 2):
            yield bytes(1 << 16)

    form = {"content-type": "application/x-www-form-urlencoded"}
    sender, kind = (films.machine(), {}) if path == "/v1/predict" else (_seasoned(films, "doctor"), form)
    unstated = sender.post(path, content=pieces(), headers=kind)
    assert unstated.status_code == 413


@pytest.mark.parametrize("path", ["/login", "/", "/health", "/static/viewer.js", "/v1/model", "/none", "/cases/x"])
def test_every_reply_forbids_what_is_not_ours(films: Clinic, path: str) -> None:
    """Behind the escaping stands the browser; and nothing of a patient stays in its cache."""
    for visitor in (films.visitor().client, _seasoned(films, "doctor")):
        reply = visitor.get(path)
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert "trusted-types 'none'" in policy and "http:" not in policy and "data:" not in policy
        assert (reply.headers["cache-control"], reply.headers["x-content-type-options"]) == ("no-store", "nosniff")
        assert reply.headers["x-frame-options"] == "DENY" and reply.headers["referrer-policy"] == "same-origin"
        assert "access-control-allow-origin" not in reply.headers and "server" not in reply.headers


def test_pages_hold_no_script_no_style_and_no_address_of_others() -> None:
    """What the policy would forbid must not be there; a hospital's network may reach nothing."""
    web = Path(__file__).parents[3] / "src" / "wardround" / "clinic" / "web"
    for path in (*web.glob("pages/*.html"), *web.glob("static/*")):
        text = path.read_text("utf-8")
        assert not re.search(r"https?://|//[a-z]+\.[a-z]+/", text.replace("http://www.w3.org/2000/svg", "")), path.name
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|import\(", text), path.name
        assert "|safe" not in text.replace(" ", "") and "autoescape" not in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8479", "127.0.0.1", "127.0.0.1:8479.evil.example", ""])
def test_another_name_gets_nothing(films: Clinic, host: str) -> None:
    """DNS rebinding: a stranger's page whose name leads to this machine."""
    reply = films.visitor(host=host).get("/login")
    assert reply.status_code == 421 and "password" not in reply.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"])
def test_other_methods_do_not_exist(films: Clinic, method: str) -> None:
    """What is not there cannot be forgotten."""
    assert films.machine().request(method, "/v1/predict").status_code == 405


def test_guessing_is_slowed_by_account_and_by_machine(films: Clinic) -> None:
    """A list of passwords against one account, and one password against a list of accounts."""
    films.state.people.add("victim", "doctor", PASSWORD, actor="test")
    stranger = films.visitor()
    films.state.logins.forget()
    statuses = [stranger.post("/login", name="victim", password=f"guess number {turn}").status_code for turn in range(6)]
    assert set(statuses) == {403} and stranger.post("/login", name="victim", password=PASSWORD).status_code == 403
    statuses = [stranger.post("/login", name=f"user{turn}", password=PASSWORD).status_code for turn in range(40)]
    assert statuses[-1] == 429 and 429 not in statuses[:20]
    films.state.logins.forget()


@pytest.mark.slow
def test_a_whole_hospital_behind_one_address_may_log_in_within_a_minute(films: Clinic) -> None:
    """Through its proxy everybody comes from there. Wrong tries among the right ones count as before."""
    films.state.logins.forget()
    statuses = [films.visitor().post("/login", name=NAMES["doctor"], password=PASSWORD).status_code for _ in range(40)]
    assert set(statuses) == {303}
    wrong = []
    for turn in range(40):
        wrong.append(films.visitor().post("/login", name=f"nobody{turn}", password=PASSWORD).status_code)
        films.visitor().post("/login", name=NAMES["doctor"], password=PASSWORD)
    assert wrong[:30] == [403] * 30 and wrong[30:] == [429] * 10
    films.state.logins.forget()


@pytest.mark.parametrize("text", ["a\nforged line", "\x1b[31mred", "<script>alert(1)</script>", "=HYPERLINK(1)", "' OR 1=1 --"])
def test_what_a_stranger_types_is_no_line_of_a_log_and_no_markup(
    films: Clinic, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Names that no account has are not noted; comments are shown as they were typed."""
    caplog.set_level(0)
    reply = films.visitor().post("/login", name=text, password=text)
    films.state.logins.forget()
    assert reply.status_code == 403 and text not in caplog.text
    page = _seasoned(films, "auditor").get("/audit").text
    assert text not in page and "forged" not in page
    words = _seasoned(films, "auditor").get("/audit", params={"words": text})
    assert words.status_code == 200 and "<script>alert" not in words.text


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a\r\nx: y"])
def test_no_redirect_leads_away(films: Clinic, back: str) -> None:
    """An address of ours that ends at a stranger's page is how passwords are fished."""
    reply = films.visitor().post("/language", language="en", back=back)
    assert reply.headers["location"] == "/"


def test_no_error_quotes_what_was_sent_and_no_fault_is_shown(
    films: Clinic, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A validation message would repeat a patient's values; a traceback more than that."""
    machine = films.machine()
    for body in ({"records": [{"a": [NUMBER]}]}, {"records": NUMBER}, {NUMBER: 1}):
        reply = machine.post("/v1/predict/batch", json=body)
        assert reply.status_code == 422 and NUMBER not in reply.text
    assert machine.post("/v1/predict", content=b"{" * 5000, headers={"content-type": "application/json"}).status_code == 400

    def broken(*_: object, **__: object) -> None:
        raise KeyError(NUMBER)

    monkeypatch.setattr("wardround.clinic.web.case_pages.latest_cases", broken)
    reply = _seasoned(films, "doctor").get("/")
    assert reply.status_code == 500 and NUMBER not in reply.text and "Traceback" not in reply.text
    assert NUMBER not in caplog.text and "KeyError" in caplog.text


def test_a_session_of_a_person_who_was_switched_off_ends_at_once(films: Clinic) -> None:
    """Not at the end of her day."""
    films.state.people.add("leaver", "auditor", PASSWORD, actor="test")
    visitor = films.visitor()
    visitor.post("/login", name="leaver", password=PASSWORD)
    assert visitor.get("/second").status_code == 200
    films.state.people.change("leaver", actor="test", active=False)
    assert visitor.get("/second").headers.get("location") == "/login"


@pytest.mark.parametrize("code", ["", "x", "é", "a" * 500])
def test_the_demos_link_opens_nothing_at_a_real_clinic(films: Clinic, code: str) -> None:
    """It lets somebody in without a password; so it is a page of the demo alone, and good once there."""
    assert films.visitor().get(f"/enter/{code}").status_code == 404
    films.state.entry = "right"
    assert films.visitor().get("/enter/wrong").status_code == 404 and films.state.entry == "right"
    films.state.entry = ""


def test_health_tells_a_stranger_nothing(films: Clinic) -> None:
    """Two words for a monitor."""
    assert client(films.app, {}).get("/health").json() == {"ready": True, "model": True}
