"""A small OpenID provider over HTTP in the test's process: discovery, authorization code with PKCE, tokens, keys; and its lies.

It checks what a client must send by authlib's own rules, and keeps what it was asked for.
"""

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

CLIENT, SECRET = "wardround clinic", "quiet: herons & more"
ANNA = {"sub": "8841", "preferred_username": "anna.berg", "groups": ["radiology"]}
Twist = Callable[[Any], Any]


@dataclass
class LoginProvider:
    """claims: what it says of whoever comes. lies: name of a step -> what it makes of the true value. signer: in place of its own
    signature. asked: every path. sent: every form for a token."""

    issuer: str
    claims: dict[str, Any] = field(
        default_factory=lambda: {"sub": "8841", "preferred_username": "anna.berg", "groups": ["radiology"]}
    )
    lies: dict[str, Twist] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sent: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one", "use": "sig"}))
    secret: str = SECRET
    signer: Callable[[dict[str, Any]], str] | None = None

    def told(self, step: str, value: Any) -> Any:
        return self.lies.get(step, lambda true: true)(value)

    def discovery(self) -> dict[str, Any]:
        places = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        facts = {"issuer": self.issuer, **{name: self.issuer + path for name, path in places.items()}}
        return self.told("discovery", facts | {"authorization_response_iss_parameter_supported": True})

    def authorize(self, query: dict[str, str]) -> str:
        """Back to the client with a code."""
        assert query["response_type"] == "code" and query["client_id"] == CLIENT and query["code_challenge_method"] == "S256"
        assert len(query["state"]) >= 32 and len(query["nonce"]) >= 32 and "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        answer = self.told("answer", {"code": code, "state": query["state"], "iss": self.issuer})
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        """An ID token for a code, once, to whoever knows client, secret and verifier."""
        query = self.codes.pop(form.get("code", ""), None)
        if self.secret:
            name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            right = (unquote_plus(name), unquote_plus(secret)) == (CLIENT, self.secret)
        else:
            right = not authorization and form.get("client_id") == CLIENT
        if (
            query is None
            or not right
            or form["redirect_uri"] != query["redirect_uri"]
            or form["grant_type"] != "authorization_code"
        ):
            return 400, {"error": "invalid_grant"}
        if create_s256_code_challenge(form["code_verifier"]) != query["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": query["nonce"], **self.claims}
        token = (self.signer or self.signed)(self.told("claims", claims))
        return 200, self.told("token", {"access_token": "opaque", "token_type": "Bearer", "id_token": token})

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256" if self.key.key_type == "RSA" else "ES256", "kid": self.key.kid}, claims, self.key)

    def keys(self) -> dict[str, Any]:
        return self.told("keys", KeySet([self.key]).as_dict(private=False))


@contextmanager
def login_provider(**settings: Any) -> Iterator[LoginProvider]:
    """At a free port of this machine, under the name localhost: to a browser that is another site than 127.0.0.1."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    provider = LoginProvider(f"http://localhost:{server.server_address[1]}", **settings)
    server.provider = provider  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        provider: LoginProvider = self.server.provider  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        provider.asked.append(parts.path)
        if parts.path == "/authorize":
            self.say(303, b"", provider.authorize({name: value[0] for name, value in parse_qs(parts.query).items()}))
        elif parts.path == "/.well-known/openid-configuration":
            self.value(200, provider.discovery())
        elif parts.path == "/keys":
            self.value(200, provider.keys())
        elif parts.path == "/moved":
            self.say(307, b"", f"{provider.issuer}/keys")
        else:
            self.say(404, b"{}")

    def do_POST(self) -> None:
        provider: LoginProvider = self.server.provider  # type: ignore[attr-defined]
        provider.asked.append(self.path)
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        provider.sent.append({name: value[0] for name, value in form.items()})
        self.value(*provider.token(provider.sent[-1], self.headers.get("authorization", "")))

    def value(self, status: int, value: Any) -> None:
        self.say(status, value if isinstance(value, bytes) else json.dumps(value).encode())

    def say(self, status: int, body: bytes, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("location", location)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Silent."""


def none_signed(claims: dict[str, Any]) -> str:
    """A token with `alg: none`."""
    parts = [{"alg": "none", "kid": "one"}, claims]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def public_key_as_secret(provider: LoginProvider, claims: dict[str, Any]) -> str:
    """A token with HS256, by what everybody knows: the provider's public key."""
    public = OctKey.import_key(json.dumps(provider.key.as_dict(private=False)))
    return jwt.encode({"alg": "HS256", "kid": "one"}, claims, public, algorithms=["HS256"])


def another_key(kid: str = "one") -> Any:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})
