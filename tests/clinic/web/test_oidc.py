"""The hospital's own login: who gets in by it, and what does not lead in."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyotp
import pytest
from pydantic import ValidationError
from sqlalchemy import select

from tests.clinic.made_clinics import film_clinic
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.oidc_settings import OidcSection
from wardround.clinic.store.tables import audit
from wardround.clinic.web.app import application
from wardround.clinic.web.oidc import Provider
from wardround.clinic.web.server import opened
from wardround.values.errors import RunError, StudyError

from .login_provider import CLIENT, SECRET, LoginProvider, another_key, login_provider, none_signed, public_key_as_secret
from .visitors import HOST, PASSWORD, Clinic, Visitor, hosts, secret_in, token_in

ROLES = [{"value": "audit", "role": "auditor"}, {"value": "radiology", "role": "doctor"}]


def section_of(provider: LoginProvider, folder: Path, **changes: Any) -> dict[str, Any]:
    secret = folder / "login-secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    values = {
        "issuer": provider.issuer, "client_id": CLIENT, "secret_file": str(secret), "address": f"http://{HOST}", "roles": ROLES,
        "second_factor": "provider",
    }  # fmt: skip
    return values | changes


@pytest.fixture(scope="module")
def provider() -> Iterator[LoginProvider]:
    with login_provider() as running:
        yield running


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, provider: LoginProvider) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("oidc")
    place = film_clinic(folder / "clinic")
    settings = {"hospital": "St Anna", "oidc": section_of(provider, folder)}
    write_settings(place, settings)
    with opened(place) as state:
        yield Clinic(state, application(state, hosts()))


def write_settings(place: ClinicPlace, settings: dict[str, Any]) -> None:
    import tomli_w

    (place.path / "clinic.toml").write_text(tomli_w.dumps(settings))


@pytest.fixture(autouse=True)
def as_at_first(provider: LoginProvider, clinic: Clinic) -> Iterator[None]:
    """Nothing is remembered between the tests, and the provider tells the truth again."""
    first = dict(provider.claims)
    clinic.state.provider = Provider(clinic.state.settings.oidc)
    clinic.state.logins.forget()
    provider.asked.clear()
    provider.sent.clear()
    yield
    provider.lies.clear()
    provider.signer = None
    provider.claims, provider.secret = first, SECRET


def to_provider(visitor: Visitor) -> str:
    """Where the clinic sends the browser."""
    reply = visitor.get("/oidc/start")
    assert reply.status_code == 303, reply.text
    return reply.headers["location"]


def back_from(address: str) -> str:
    """Where the provider sends it then."""
    return httpx.get(address, follow_redirects=False).headers["location"].removeprefix(f"http://{HOST}")


def come(clinic: Clinic, visitor: Visitor | None = None) -> tuple[Visitor, httpx.Response]:
    """A person's whole way through the login."""
    visitor = visitor or clinic.visitor()
    return visitor, visitor.get(back_from(to_provider(visitor)))


def refusals(clinic: Clinic) -> list[str]:
    with clinic.state.store.reading() as connection:
        rows = connection.execute(select(audit.c.subject).where(audit.c.action == "login-refused").order_by(audit.c.number))
        return [row.subject for row in rows]


def account(clinic: Clinic, name: str) -> dict[str, Any]:
    return next(one for one in clinic.state.people.listed() if one["name"] == name)


def test_who_is_of_a_group_comes_in_with_its_role(clinic: Clinic, provider: LoginProvider) -> None:
    """And the clinic asked the issuer for three things, and for nothing else."""
    visitor, reply = come(clinic)
    assert reply.status_code == 200 and 'url=/"' in reply.text and "code=" not in reply.text
    page = visitor.get("/")
    assert page.status_code == 200 and "anna.berg" in page.text
    assert visitor.get("/audit").status_code == 403 and account(clinic, "anna.berg")["external"]
    assert sorted(set(provider.asked)) == ["/.well-known/openid-configuration", "/authorize", "/keys", "/token"]
    assert come(clinic)[1].status_code == 200 and len([one for one in clinic.state.people.listed() if one["external"]]) == 1
    cookies = [one.lower() for one in reply.headers.get_list("set-cookie")]
    assert any("samesite=strict" in one and "httponly" in one for one in cookies) and all("domain" not in one for one in cookies)


def test_the_accounts_of_the_clinic_stay(clinic: Clinic) -> None:
    """A hospital whose login is down still reads films; and the page offers both."""
    page = clinic.visitor().get("/login").text
    assert "/oidc/start" in page and 'name="password"' in page
    assert clinic.logged_in("doctor").get("/").status_code == 200


def test_an_account_of_the_login_has_no_password_here(clinic: Clinic) -> None:
    """No empty password opens it, nobody can give it one, and strangers do not lock it."""
    come(clinic)
    people = clinic.state.people
    for password in ("", PASSWORD, *(f"guess {turn}" for turn in range(8))):
        assert people.login("anna.berg", password) is None
    assert not account(clinic, "anna.berg")["locked_until"]
    for change in (
        lambda: people.set_password("anna.berg", PASSWORD, actor="x"),
        lambda: people.change("anna.berg", actor="x", role="auditor"),
    ):
        with pytest.raises(RunError, match="hospital's login"):
            change()


def test_who_is_switched_off_here_stays_out(clinic: Clinic, provider: LoginProvider) -> None:
    """Whatever her hospital's login says."""
    provider.claims["sub"], provider.claims["preferred_username"] = "leaver", "leaver"
    visitor, _ = come(clinic)
    clinic.state.people.change("leaver", actor="test", active=False)
    assert visitor.get("/").status_code == 303
    assert come(clinic)[1].status_code == 403 and refusals(clinic)[-1] == "switched off"
    clinic.state.people.change("leaver", actor="test", active=True)
    assert come(clinic)[1].status_code == 200


NAMED_SO = [("m1", "root"), ("m2", "ROOT"), ("m3", "anna"), ("m4", "李明"), ("m5", "<script>x</script>"), ("m6", "a@b c")]


def test_a_name_is_no_identity(clinic: Clinic, provider: LoginProvider) -> None:
    """Whoever may choose her name at the login would else be root here, or a colleague."""
    seen = set()
    for subject, name in (
        ("m1", "root"),
        ("m2", "ROOT"),
        ("m3", "anna"),
        ("m4", "李明"),
        ("m5", "<script>x</script>"),
        ("m6", "a@b c"),
    ):
        provider.claims |= {"sub": subject, "preferred_username": name}
        visitor, reply = come(clinic)
        assert reply.status_code == 200 and visitor.get("/people").status_code == 403
        named = [one["name"] for one in clinic.state.people.listed() if one["external"]]
        seen |= set(named)
    assert {"root", "ROOT", "anna"}.isdisjoint(seen) and any(name.startswith("root-") for name in seen) and "a-b-c" in seen
    assert all(name.isascii() and "<" not in name for name in seen) and any(name.startswith("user-") for name in seen)
    assert account(clinic, "root")["role"] == "administrator" and not account(clinic, "root")["external"]


def test_a_role_is_asked_for_at_every_login(clinic: Clinic, provider: LoginProvider) -> None:
    """Who changed her ward has her new role and no other; the first of the settings counts where two fit."""
    provider.claims |= {"sub": "mover", "preferred_username": "mover"}
    first, _ = come(clinic)
    provider.claims["groups"] = ["radiology", "audit", "x"]
    second, reply = come(clinic)
    assert 'url=/audit"' in reply.text and second.get("/audit").status_code == 200
    assert first.get("/").status_code == 303  # the session of her old role has ended
    provider.claims["groups"] = "radiology"  # one group, as a text
    assert come(clinic)[0].get("/").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "groups", [[], ["x"], "", None, {"radiology": True}, 7, ["Radiology"], [["radiology"]], "radiology audit"]
)
def test_who_has_no_role_is_told_so_and_is_out(clinic: Clinic, provider: LoginProvider, groups: Any) -> None:
    """Also of the sessions that she has."""
    provider.claims |= {"sub": "nobody", "preferred_username": "nobody", "groups": ["radiology"]}
    earlier, _ = come(clinic)
    assert earlier.get("/").status_code == 200
    provider.claims["groups"] = groups
    visitor, reply = come(clinic)
    assert reply.status_code == 403 and "none of your groups" in reply.text and visitor.get("/").status_code == 303
    assert earlier.get("/").status_code == 303


def test_the_clinics_second_factor_is_asked_unless_the_login_does(tmp_path: Path, provider: LoginProvider) -> None:
    """The default: a session of the first stage opens nothing."""
    place = film_clinic(tmp_path / "clinic")
    write_settings(place, {"hospital": "St Anna", "oidc": section_of(provider, tmp_path, second_factor="clinic")})
    with opened(place) as state:
        clinic = Clinic(state, application(state, hosts()))
        visitor, reply = come(clinic)
        assert 'url=/second"' in reply.text and visitor.get("/").status_code == 303
        page = visitor.get("/second").text
        code = pyotp.TOTP(secret_in(page)).now()
        assert visitor.post("/second", code=code, token=token_in(page)).status_code == 303 and visitor.get("/").status_code == 200


def test_a_login_without_a_secret_rests_on_the_verifier(tmp_path: Path, provider: LoginProvider) -> None:
    """A public client: no secret is sent, and none is needed."""
    provider.secret = ""
    section = OidcSection.model_validate_json(_json(section_of(provider, tmp_path, secret_file=None)))
    public = Provider(section)
    address, kept = public.begun()
    query = dict(pair.split("=") for pair in urlsplit(back_from(address)).query.split("&"))
    identity = public.identity({**query, "iss": provider.issuer}, kept)
    assert identity.role == "doctor" and "client_secret" not in provider.sent[-1]


def _json(values: dict[str, Any]) -> str:
    import json

    return json.dumps({name: value for name, value in values.items() if value is not None})


NOW = int(time.time())
LIES: dict[str, tuple[str, Any]] = {
    "another issuer": ("claims", lambda claims: claims | {"iss": "http://localhost:1"}),
    "a slash more": ("claims", lambda claims: claims | {"iss": claims["iss"] + "/"}),
    "no issuer": ("claims", lambda claims: without(claims, "iss")),
    "another audience": ("claims", lambda claims: claims | {"aud": "mail"}),
    "an audience beside": ("claims", lambda claims: claims | {"aud": [CLIENT, "mail"]}),
    "asked for by another": ("claims", lambda claims: claims | {"aud": [CLIENT, "mail"], "azp": "mail"}),
    "no audience": ("claims", lambda claims: without(claims, "aud")),
    "expired": ("claims", lambda claims: claims | {"exp": NOW - 120}),
    "no end": ("claims", lambda claims: without(claims, "exp")),
    "an end that is text": ("claims", lambda claims: claims | {"exp": "9999999999"}),
    "old": ("claims", lambda claims: claims | {"iat": NOW - 3000}),
    "of tomorrow": ("claims", lambda claims: claims | {"iat": NOW + 80_000, "exp": NOW + 90_000}),
    "not yet": ("claims", lambda claims: claims | {"nbf": NOW + 3000}),
    "another nonce": ("claims", lambda claims: claims | {"nonce": "x" * 43}),
    "no nonce": ("claims", lambda claims: without(claims, "nonce")),
    "nobody": ("claims", lambda claims: without(claims, "sub")),
    "a number for a person": ("claims", lambda claims: claims | {"sub": 8841}),
    "no signature": ("claims-none", None),
    "the public key as a secret": ("claims-hs256", None),
    "another's key under the same name": ("claims-other-key", None),
    "a key that nobody has": ("claims-unknown-key", None),
    "a key within the token": ("claims-own-key", None),
    "no token": ("token", lambda answer: without(answer, "id_token")),
    "a token that is a list": ("token", lambda answer: answer | {"id_token": ["x"]}),
    "an endless token": ("token", lambda answer: answer | {"id_token": "x" * 100_000}),
    "an answer without end": ("token", lambda _: b"[" * (1 << 21)),
    "deep nonsense": ("token", lambda _: b"[" * 500_000),
    "no JSON": ("token", lambda _: b"<html>"),
    "no keys": ("keys", lambda _: {"keys": []}),
    "keys that are text": ("keys", lambda _: {"keys": ["x", 7]}),
    "no list of keys": ("keys", lambda _: {"keys": None}),
    "keys to encrypt with": ("keys", lambda keys: {"keys": [one | {"use": "enc"} for one in keys["keys"]]}),
    "an answer of another issuer": ("answer", lambda answer: answer | {"iss": "http://localhost:1"}),
    "an answer of no issuer": ("answer", lambda answer: without(answer, "iss")),
    "a refusal": ("answer", lambda answer: without(answer, "code") | {"error": "access_denied", "error_description": "<b>x</b>"}),
    "no code": ("answer", lambda answer: without(answer, "code")),
    "a code of nobody": ("answer", lambda answer: answer | {"code": "x"}),
    "another state": ("answer", lambda answer: answer | {"state": "x" * 43}),
    "a state that is no ASCII": ("answer", lambda answer: answer | {"state": "é\ud800".encode("utf-8", "replace").decode()}),
    "no state": ("answer", lambda answer: without(answer, "state")),
}


def without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def lie(provider: LoginProvider, step: str, twist: Any) -> None:
    """What the provider says from now on."""
    own = another_key()
    signers = {
        "claims-none": none_signed,
        "claims-hs256": lambda claims: public_key_as_secret(provider, claims),
        "claims-other-key": lambda claims: signed_by(own, claims, {}),
        "claims-unknown-key": lambda claims: signed_by(another_key("two"), claims, {}),
        "claims-own-key": lambda claims: signed_by(own, claims, {"jwk": own.as_dict(private=False)}),
    }
    if step in signers:
        provider.signer = signers[step]
    else:
        provider.lies[step] = twist


def signed_by(key: Any, claims: dict[str, Any], more: dict[str, Any]) -> str:
    from joserfc import jwt

    return jwt.encode({"alg": "RS256", "kid": key.kid, **more}, claims, key)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIES)
def test_what_is_not_proved_opens_nothing(clinic: Clinic, provider: LoginProvider, name: str) -> None:
    """No session, no account, no word of what was sent; and the auditor reads why."""
    provider.claims["sub"] = "liar"
    accounts, before = len(clinic.state.people.listed()), len(refusals(clinic))
    lie(provider, *LIES[name])
    visitor, reply = come(clinic)
    assert reply.status_code == 403, (name, reply.status_code)
    assert visitor.get("/").status_code == 303 and len(clinic.state.people.listed()) == accounts
    assert "<b>" not in reply.text and "access_denied" not in reply.text
    assert len(refusals(clinic)) == before + 1 and refusals(clinic)[-1].startswith("the hospital's login: ")


DISCOVERIES: dict[str, Any] = {
    "another issuer": lambda facts: facts | {"issuer": "http://localhost:1"},
    "a token endpoint elsewhere": lambda facts: facts | {"token_endpoint": "http://127.0.0.1:1/token"},
    "keys elsewhere": lambda facts: facts | {"jwks_uri": "http://localhost:1/keys"},
    "a page elsewhere": lambda facts: facts | {"authorization_endpoint": "https://evil.example/authorize"},
    "a name in front": lambda facts: facts | {"token_endpoint": facts["token_endpoint"].replace("//", "//x@")},
    "a script": lambda facts: facts | {"authorization_endpoint": "javascript:alert(1)"},
    "no page": lambda facts: without(facts, "authorization_endpoint"),
    "a list": lambda facts: [facts],
}


@pytest.mark.parametrize("name", DISCOVERIES)
def test_a_discovery_leads_nowhere_else(clinic: Clinic, provider: LoginProvider, name: str) -> None:
    """Nothing but the configured issuer is asked, and no browser is sent elsewhere."""
    provider.lies["discovery"] = DISCOVERIES[name]
    reply = clinic.visitor().get("/oidc/start")
    assert reply.status_code == 403 and "location" not in reply.headers
    assert provider.asked == ["/.well-known/openid-configuration"]


def test_no_redirect_is_followed(clinic: Clinic, provider: LoginProvider) -> None:
    """It would lead to an address that nobody configured, with a code in it."""
    provider.lies["discovery"] = lambda facts: facts | {"jwks_uri": f"{provider.issuer}/moved"}
    _, reply = come(clinic)
    assert reply.status_code == 403 and "/keys" not in provider.asked and "/moved" in provider.asked


def test_an_answer_is_good_once_and_in_its_own_browser(clinic: Clinic, provider: LoginProvider) -> None:
    """Replayed, in another browser, with another try's state: a colleague would be logged in as the attacker."""
    visitor = clinic.visitor()
    address = to_provider(visitor)
    kept = dict(visitor.client.cookies)
    back = back_from(address)
    assert clinic.visitor().get(back).status_code == 403
    assert visitor.get(back).status_code == 200 and visitor.get("/").status_code == 200
    thief = clinic.visitor()
    for name, value in kept.items():
        thief.client.cookies.set(name, value)
    assert thief.get(back).status_code == 403 and refusals(clinic)[-1].endswith("a state that was used before")
    mine = clinic.visitor()
    to_provider(mine)
    assert mine.get(back).status_code == 403 and refusals(clinic)[-1].endswith("the state of another login")
    forged = clinic.visitor()
    forged.client.cookies.set(next(iter(kept)), "AAAA" * 40)
    assert forged.get(back).status_code == 403
    assert len(provider.sent) == 1  # no other try was worth a question to the login


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
    ],
)
def test_a_page_of_elsewhere_begins_no_login(clinic: Clinic, provider: LoginProvider, headers: dict[str, str]) -> None:
    """Thirty pictures of it would else keep a whole hospital, behind one proxy, from logging in for a minute."""
    for _ in range(40):
        assert clinic.visitor(**headers).get("/oidc/start").status_code == 404
    assert provider.asked == [] and come(clinic)[1].status_code == 200
    if headers["sec-fetch-dest"] != "document":
        before = len(refusals(clinic))
        assert clinic.visitor(**headers).get("/oidc/done?code=x&state=y").status_code == 404 and len(refusals(clinic)) == before


def test_a_login_waits_ten_minutes_and_no_longer(provider: LoginProvider, tmp_path: Path) -> None:
    """A page that was left open over night is no way in."""
    now = [time.time()]
    asked = Provider(OidcSection.model_validate_json(_json(section_of(provider, tmp_path))), lambda: now[0])
    address, kept = asked.begun()
    state = dict(pair.split("=") for pair in urlsplit(address).query.split("&"))["state"]
    now[0] += 601
    with pytest.raises(Exception, match="began long ago"):
        asked.identity({"state": state, "code": "x", "iss": provider.issuer}, kept)


def test_no_address_in_a_request_is_followed(clinic: Clinic) -> None:
    """There is no parameter that says where to go on."""
    visitor = clinic.visitor()
    address = visitor.get("/oidc/start?next=https://evil.example&back=//evil.example&redirect_uri=https://evil.example/").headers[
        "location"
    ]
    assert "evil" not in address
    reply = visitor.get(back_from(address) + "&next=https://evil.example")
    assert reply.status_code == 200 and "evil" not in reply.text


def test_new_keys_of_the_login_are_taken_up(clinic: Clinic, provider: LoginProvider) -> None:
    """It changes them now and then, without a word."""
    assert come(clinic)[1].status_code == 200
    old = provider.key
    try:
        provider.key = another_key("three")
        now = time.time()
        clinic.state.provider._clock = lambda: now + 40
        assert come(clinic)[1].status_code == 200 and provider.asked.count("/keys") == 2
    finally:
        provider.key = old


def test_a_key_of_another_kind_beside_is_no_hindrance(clinic: Clinic, provider: LoginProvider) -> None:
    """A login may have keys that this release cannot read, and some to encrypt with."""
    strange = [
        {"kty": "AKP", "kid": "x", "pub": "eA"},
        {"kid": "y"},
        7,
        another_key("enc").as_dict(private=False) | {"use": "enc"},
    ]
    provider.lies["keys"] = lambda keys: {"keys": [*strange, *keys["keys"]]}
    assert come(clinic)[1].status_code == 200


@pytest.mark.slow
def test_tokens_with_unknown_keys_do_not_make_the_clinic_ask_without_end(clinic: Clinic, provider: LoginProvider) -> None:
    """Each would be a question to the login."""
    lie(provider, "claims-unknown-key", None)
    for _ in range(4):
        assert come(clinic)[1].status_code == 403
    assert provider.asked.count("/keys") == 1


def test_a_login_that_is_away_is_said_so_and_the_others_go_on(tmp_path: Path) -> None:
    """The page, with the form for accounts of the clinic; the clinic starts without it, too."""
    place = film_clinic(tmp_path / "clinic")
    with login_provider() as gone:
        section = section_of(gone, tmp_path)
    write_settings(place, {"hospital": "St Anna", "oidc": section})
    with opened(place) as state:
        clinic = Clinic(state, application(state, hosts()))
        reply = clinic.visitor().get("/oidc/start")
        assert reply.status_code == 502 and "does not answer" in reply.text and 'name="password"' in reply.text
        assert clinic.logged_in("doctor").get("/").status_code == 200


def test_contexts_that_are_asked_for_are_required(provider: LoginProvider, tmp_path: Path) -> None:
    """A login that let her in by a password alone is no second factor."""
    section = OidcSection.model_validate_json(_json(section_of(provider, tmp_path, acr=["mfa"])))
    for acr, comes in (("mfa", True), ("pwd", False), (None, False)):
        provider.lies["claims"] = lambda claims, acr=acr: claims | ({"acr": acr} if acr else {})
        asked = Provider(section)
        address, kept = asked.begun()
        assert "acr_values=mfa" in address
        answer = dict(httpx.URL(back_from(address)).params)
        if comes:
            assert asked.identity(answer, kept).role == "doctor"
        else:
            with pytest.raises(Exception, match="second factor"):
                asked.identity(answer, kept)


def test_without_the_section_there_are_no_such_pages(films: Clinic) -> None:
    """And nothing is asked."""
    for path in ("/oidc/start", "/oidc/done?code=x&state=y"):
        assert films.visitor().get(path).status_code == 404
    assert "/oidc/start" not in films.visitor().get("/login").text


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://login.example"},
        {"issuer": "https://user:x@login.example"},
        {"issuer": "ldap://login.example"},
        {"address": "https://clinic.example/sub"},
        {"address": f"https://{HOST}"},
        {"address": "http://127.0.0.1:1"},
        {"roles": []},
        {"roles": [{"value": "x", "role": "root"}]},
        {"scopes": ["profile"]},
        {"acr": ["mfa"], "second_factor": "clinic"},
        {"leeway": 5},
    ],
)
def test_settings_that_would_be_unsafe_are_refused(provider: LoginProvider, tmp_path: Path, change: dict[str, Any]) -> None:
    """When the clinic starts, not at the first login."""
    with pytest.raises(ValidationError):
        ClinicSettings.model_validate_json(_json({"hospital": "x", "oidc": section_of(provider, tmp_path) | change}))


def test_a_secret_that_others_may_read_is_refused(provider: LoginProvider, tmp_path: Path) -> None:
    """And one that is not there."""
    values = section_of(provider, tmp_path)
    Path(values["secret_file"]).chmod(0o644)
    section = OidcSection.model_validate_json(_json(values))
    with pytest.raises((RunError, StudyError)):
        Provider(section)
    Path(values["secret_file"]).unlink()
    with pytest.raises(StudyError, match="no secret"):
        Provider(section)
