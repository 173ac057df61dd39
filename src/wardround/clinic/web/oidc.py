"""The hospital's own login as a client of OpenID Connect Core 1.0: authorization code with PKCE (RFC 7636), state and nonce.

    begun() --address, sealed cookie--> browser --> the login --code, state--> browser --> identity(): code --> ID token --> who

One address is asked, the issuer's: what its discovery names elsewhere is refused, no redirect is followed, no proxy of the
environment is used. A login that is under way is kept by its browser, sealed, for ten minutes, and is good once.
"""

import hashlib
import json
import secrets
import ssl
import threading
import time
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode, urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wardround.clinic.fhir.tokens import ALGORITHMS
from wardround.clinic.place.oidc_settings import OidcSection
from wardround.values.errors import StudyError
from wardround.values.private_files import read_private

if TYPE_CHECKING:
    import httpx

UNDER_WAY_S = 600.0
LEEWAY_S = 60.0
KEPT_S = 3600.0
"""What the login says of itself, and its keys, are asked for again after so long."""
_LONGEST = 1 << 20
_LONGEST_TOKEN = 65_536
_MOST_USED = 10_000
_NEW_KEYS_S = 30.0


@dataclass(frozen=True)
class Identity:
    """Whom the login has proved. subject: issuer and `sub`. role: None where none of her groups has one here."""

    subject: str
    name: str
    role: str | None


class LoginRefused(Exception):
    """The login, or what came in its name, is not believed. told: the sentence of the page. The text is for the audit: words of
    ours alone."""

    def __init__(self, why: str, told: str = "login.provider_wrong") -> None:
        super().__init__(why)
        self.told = told


class Provider:
    """The login of an [oidc] section. StudyError where its secret cannot be read. Nothing is asked before somebody logs in."""

    def __init__(self, section: OidcSection, clock: Callable[[], float] = time.time) -> None:
        self.section, self._clock = section, clock
        self._secret = _secret(section)
        self._seal = AESGCM(secrets.token_bytes(32))  # of this process: a login that is under way when it ends begins anew
        self._used: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._facts: tuple[float, dict[str, Any]] = (-KEPT_S, {})
        self._keys: tuple[float, Any] = (-KEPT_S, None)

    def begun(self) -> tuple[str, str]:
        """Where the browser goes, and what it keeps until it comes back."""
        facts = self._discovered()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        asked = {
            "response_type": "code",
            "client_id": self.section.client_id,
            "redirect_uri": self.section.redirect,
            "scope": " ".join(self.section.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": _unpadded(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        if self.section.acr:
            asked["acr_values"] = " ".join(self.section.acr)
        kept = json.dumps([state, nonce, verifier, self._clock()]).encode()
        mark = secrets.token_bytes(12)
        address = facts["authorization_endpoint"]
        sealed = b64encode(mark + self._seal.encrypt(mark, kept, b"login"), b"-_").decode()
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(asked)}", sealed

    def identity(self, answer: Mapping[str, str], kept: str) -> Identity:
        """Who came back. answer: what the browser brings in its address. kept: what it kept. LoginRefused where it is not
        believed."""
        nonce, verifier = self._under_way(answer.get("state", ""), kept)
        facts = self._discovered()
        if "iss" in answer or facts.get("authorization_response_iss_parameter_supported") is True:  # RFC 9207
            _must(answer.get("iss") == self.section.issuer, "the answer names another issuer")
        if "error" in answer:
            raise LoginRefused("the login refused", "login.provider_refused")
        _must(bool(answer.get("code")), "the answer holds no code")
        claims = self._claims(self._token(facts, answer["code"], verifier))
        self._check(claims, nonce)
        return Identity(f"{self.section.issuer}\n{claims['sub']}", _text(claims.get(self.section.name_claim)), self._role(claims))

    def _under_way(self, state: str, kept: str) -> tuple[str, str]:
        """Nonce and verifier of the login that this browser began. Each is good once."""
        try:
            sealed = b64decode(kept, b"-_", validate=True)
            mine, nonce, verifier, began = json.loads(self._seal.decrypt(sealed[:12], sealed[12:], b"login"))
        except (ValueError, InvalidTag):
            raise LoginRefused("a login that this browser did not begin") from None
        _must(secrets.compare_digest(mine.encode(), state.encode("utf-8", "replace")), "the state of another login")
        _must(self._clock() - began <= UNDER_WAY_S, "a login that began long ago")
        with self._lock:
            _must(mine not in self._used, "a state that was used before")
            self._used[mine] = None
            if len(self._used) > _MOST_USED:
                self._used.popitem(last=False)
        return nonce, verifier

    def _discovered(self) -> dict[str, Any]:
        """What the issuer says of itself (OpenID Connect Discovery 1.0)."""
        at, facts = self._facts
        if facts and self._clock() - at < KEPT_S:
            return facts
        facts = self._asked("GET", f"{self.section.issuer.rstrip('/')}/.well-known/openid-configuration")
        _must(facts.get("issuer") == self.section.issuer, "its discovery names another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            _must(_origin(facts.get(name)) == _origin(self.section.issuer), f"its {name} lies elsewhere")
        self._facts = (self._clock(), facts)
        return facts

    def _token(self, facts: Mapping[str, Any], code: str, verifier: str) -> str:
        """The ID token for a code. The access token that comes with it is dropped."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.section.redirect,
            "code_verifier": verifier,
        }
        headers = {}
        ways = facts.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if not self._secret:
            form["client_id"] = self.section.client_id
        elif "client_secret_basic" in ways:
            pair = f"{quote_plus(self.section.client_id)}:{quote_plus(self._secret)}"  # RFC 6749, 2.3.1
            headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self.section.client_id, "client_secret": self._secret}
        token = self._asked("POST", facts["token_endpoint"], form, headers).get("id_token")
        _must(isinstance(token, str) and len(token) <= _LONGEST_TOKEN, "there is no ID token")
        return str(token)

    def _claims(self, token: str) -> dict[str, Any]:
        """What a token says that the login signed: with an asymmetric algorithm, by one of its keys."""
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError

        for renewed in (False, True):
            try:
                return dict(jwt.decode(token, self._key_set(renewed=renewed), algorithms=ALGORITHMS).claims)
            except InvalidKeyIdError:
                if renewed:
                    raise LoginRefused("the ID token has a key that the login does not know") from None
            except (JoseError, ValueError, KeyError, TypeError):
                raise LoginRefused("the ID token is not signed by the login") from None
        raise AssertionError

    def _key_set(self, *, renewed: bool) -> Any:
        """The login's public keys; renewed: asked for again, as when it has new ones."""
        from joserfc.jwk import KeySet

        at, keys = self._keys
        age_s = self._clock() - at
        if keys is None or age_s >= KEPT_S or (renewed and age_s >= _NEW_KEYS_S):
            listed: Any = self._asked("GET", self._discovered()["jwks_uri"]).get("keys")
            keys = KeySet([key for key in map(_key, listed if isinstance(listed, list) else ()) if key is not None])
            _must(bool(keys), "the login's keys cannot be read")
            self._keys = (self._clock(), keys)
        return keys

    def _check(self, claims: Mapping[str, Any], nonce: str) -> None:
        """OpenID Connect Core 1.0, 3.1.3.7."""
        now, mine = self._clock(), self.section.client_id
        audience: Any = claims.get("aud")
        meant = audience if isinstance(audience, list) else [audience]
        begun, ends, not_before = _time(claims.get("iat")), _time(claims.get("exp")), _time(claims.get("nbf", 0))
        _must(claims.get("iss") == self.section.issuer, "the ID token is of another issuer")
        _must(mine in meant, "the ID token is for somebody else")
        _must(claims.get("azp", mine) == mine and (len(meant) == 1 or "azp" in claims), "the ID token was asked for by another")
        _must(now < ends + LEEWAY_S, "the ID token has expired")
        _must(max(begun, not_before) - LEEWAY_S <= now, "the ID token is not good yet")
        _must(now - begun <= UNDER_WAY_S + LEEWAY_S, "the ID token is old")
        said = claims.get("nonce")
        _must(isinstance(said, str) and secrets.compare_digest(said.encode(), nonce.encode()), "the ID token is of another login")
        _must(isinstance(claims.get("sub"), str) and 0 < len(claims["sub"]) <= 255, "the ID token names nobody")
        if self.section.acr:
            _must(claims.get("acr") in self.section.acr, "the login asked for no second factor that is believed")

    def _role(self, claims: Mapping[str, Any]) -> str | None:
        """The first of the settings whose group is among hers."""
        held: Any = claims
        for name in self.section.role_claim:
            held = held.get(name) if isinstance(held, Mapping) else None
        groups = held if isinstance(held, list) else [held]
        return next((one.role for one in self.section.roles if one.value in groups), None)

    def _asked(
        self, method: str, url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The JSON object that the login answers with. Nothing of it is passed on in an error."""
        import httpx

        began = time.monotonic()
        try:
            with self._client() as client, client.stream(method, url, data=form, headers=headers) as response:
                content = bytearray()
                for piece in response.iter_raw():
                    content += piece
                    _must(len(content) <= _LONGEST, "the login sent more than is read")
                    if time.monotonic() - began > self.section.timeout_s:
                        raise LoginRefused("the login answers too slowly", "login.provider_away")
                status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise LoginRefused(f"the login cannot be reached: {type(error).__name__}", "login.provider_away") from None
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            value = None
        if status != 200 or not isinstance(value, dict):
            raise LoginRefused(f"the login answered with {status}" + ("" if isinstance(value, dict) else " and no JSON"))
        return value

    def _client(self) -> "httpx.Client":
        import httpx

        ca = self.section.tls_ca
        try:
            context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        except OSError as error:
            raise LoginRefused(f"tls_ca cannot be read: {type(error).__name__}", "login.provider_away") from None
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        timeout_s = self.section.timeout_s
        return httpx.Client(verify=context, trust_env=False, follow_redirects=False, timeout=timeout_s, headers=headers)


def _must(holds: bool, why: str) -> None:
    if not holds:
        raise LoginRefused(why)


def _key(value: Any) -> Any:
    """A public key; None of one that this library does not read: a login may have others beside."""
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    try:
        return JWKRegistry.import_key(value)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LoginRefused("the ID token has no time")
    return float(value)


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _origin(url: Any) -> tuple[str, str, int] | None:
    """Scheme, host and port; None of what is no address."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    except (ValueError, KeyError):
        return None
    return None if parts.username or not parts.hostname else (parts.scheme, parts.hostname, port)


def _unpadded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _secret(section: OidcSection) -> str:
    if section.secret_file is None:
        return ""
    try:
        text = (read_private(section.secret_file, 4096) or b"").decode("utf-8").strip()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise StudyError(
            f"{section.secret_file} holds no secret", expected="one line of text", hint="write the client's secret into it"
        )
    return text
