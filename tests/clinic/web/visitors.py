"""People and machines who visit a running clinic in a test."""

import re
from dataclasses import dataclass, field
from typing import Any

import pyotp
from httpx import Response
from sqlalchemy import update
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from wardround.clinic.store.tables import people
from wardround.clinic.web.state import ClinicState
from wardround.values.served_port import allowed_hosts

PASSWORD = "seven quiet herons"
HOST = "127.0.0.1:8479"
NAMES = {"doctor": "anna", "data-manager": "dan", "auditor": "olga", "administrator": "root"}


@dataclass
class Clinic:
    """A running clinic without a port, with an account of every role."""

    state: ClinicState
    app: ASGIApp
    secrets: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role, name in NAMES.items():
            self.state.people.add(name, role, PASSWORD, actor="test")
        self.key = self.state.people.add_key("pacs", actor="test")

    def visitor(self, **headers: str) -> "Visitor":
        return Visitor(client(self.app, headers))

    def logged_in(self, role: str, **headers: str) -> "Visitor":
        """A visitor of the role, through both steps."""
        visitor, name = self.visitor(**headers), NAMES[role]
        forget_codes(self.state, name)
        assert visitor.post("/login", name=name, password=PASSWORD).headers["location"] == "/second"
        page = visitor.get("/second").text
        if name not in self.secrets:
            self.secrets[name] = secret_in(page)
        done = visitor.post("/second", code=pyotp.TOTP(self.secrets[name]).now(), token=token_in(page))
        assert done.status_code == 303, done.text
        return visitor

    def machine(self, key: str = "") -> TestClient:
        return client(self.app, {"authorization": f"Bearer {key or self.key}"})


def client(app: ASGIApp, headers: dict[str, str]) -> TestClient:
    return TestClient(app, base_url=f"http://{HOST}", headers=headers, follow_redirects=False, raise_server_exceptions=False)


def forget_codes(state: ClinicState, name: str) -> None:
    """A test logs in twice within one step of time, and the tests of one clinic more often in a minute than people may."""
    state.store.write(
        lambda connection: connection.execute(update(people).where(people.c.name == name).values(last_step=0)).rowcount
    )
    state.logins.forget()


def secret_in(page: str) -> str:
    """What a page shows once: a drawn password, a key, the secret of a second factor."""
    match = re.search(r'id="secret">([\w-]+)<', page)
    assert match is not None
    return match[1]


def token_in(page: str) -> str:
    """The token of the first form of a page that has one."""
    return next((token for token in re.findall(r'name="token" value="([^"]*)"', page) if token), "")


@dataclass
class Visitor:
    """A browser without scripts."""

    client: TestClient

    def get(self, path: str, **headers: str) -> Response:
        return self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, **fields: Any) -> Response:
        return self.client.post(path, data=fields)

    @property
    def token(self) -> str:
        return token_in(self.get("/facts").text)

    def drop(self, content: bytes, name: str = "film.dcm", **fields: str) -> Response:
        """Uploads a film as the page's script does."""
        data = {"token": self.token, **fields}
        return self.client.post("/cases", data=data, files={"file": (name, content)}, headers={"accept": "application/json"})


def hosts() -> frozenset[str]:
    return allowed_hosts(HOST)
