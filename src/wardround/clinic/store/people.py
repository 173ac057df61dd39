"""People and machines that may use the clinic, their roles, and how they prove who they are.

    password (argon2id) --> session of stage `password` --second factor (TOTP, RFC 6238)--> session of stage `whole`, a new id
    the hospital's login (OpenID Connect) --> one of stage `password`, or, where it asked for a second factor itself, `whole`

A password is tried at most FAILURES times in a row; then the account waits, twice as long each time. Whether a name exists cannot
be told from the answer nor from its time. A secret of the second factor is encrypted with a key that lies beside the database,
not in it. A code of the second factor is good once.
"""

import base64
import hashlib
import hmac
import re
import secrets
import threading
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyotp import TOTP, random_base32
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from wardround.clinic.store.database import Store
from wardround.clinic.store.tables import keys, people, sessions
from wardround.values.durable import kept_secret
from wardround.values.errors import RunError

ROLES = ("doctor", "data-manager", "auditor", "administrator")
KEY_FILE = "second-factor.key"
LONGEST_PASSWORD, SHORTEST_PASSWORD = 200, 12
FAILURES = 5
LOCK_S, LONGEST_LOCK_S = 30.0, 3600.0
SESSION_S, IDLE_S, PASSWORD_STAGE_S = 12 * 3600.0, 20 * 60.0, 300.0
"""A session ends after SESSION_S, after IDLE_S without a request, and after PASSWORD_STAGE_S without a second factor."""
TIME_COST, MEMORY_KIB = 3, 65_536
"""Of argon2id; more than RFC 9106 asks of a machine with little memory."""
_STEP_S = 30
_SEEN_EVERY_S = 30.0
_TURNS = threading.BoundedSemaphore(2)  # a check of a password takes 64 MiB


@dataclass(frozen=True)
class Person:
    """Who is logged in. stage: of the session. token: what forms must send back."""

    id: str
    name: str
    role: str
    language: str
    stage: str
    token: str
    has_second_factor: bool
    session: str


class People:
    """The accounts of one clinic. folder: where the key of the second factors lies."""

    def __init__(self, store: Store, folder: Path, *, session_s: float = SESSION_S, idle_s: float = IDLE_S) -> None:
        self._store, self._session_s, self._idle_s = store, session_s, idle_s
        self._secret = kept_secret(folder / KEY_FILE, 64, lambda: secrets.token_bytes(32))
        self._key = AESGCM(self._derived(b"seal"))

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.new(self._secret, purpose, hashlib.sha256).digest()

    def add(self, name: str, role: str, password: str, *, actor: str) -> str:
        """A new account; its id. RunError where the name is taken, or the role or the password cannot be."""
        _check_name(name)
        _check_role(role)
        _check_password(password, name)
        row: dict[str, Any] = {"id": secrets.token_hex(16), "name": name, "role": role, "password": _hasher().hash(password)}
        row["made"] = self._store.clock()

        def work(connection: Connection) -> None:
            try:
                connection.execute(insert(people), row)
            except IntegrityError as error:
                raise RunError(
                    f"There is a user called {name}", hint="choose another name, or: wardround clinic user list"
                ) from error

        self._store.write(work, (actor, "user-added", f"{name} {role}"))
        return str(row["id"])

    def listed(self) -> list[dict[str, Any]]:
        """Name, role, active, second_factor, external, locked_until of every account."""
        with self._store.reading() as connection:
            rows = connection.execute(select(people).order_by(people.c.name)).mappings().all()
        shown = ("name", "role", "active", "locked_until", "language", "made")
        return [
            {**{key: row[key] for key in shown}, "second_factor": bool(row["second_factor"]), "external": bool(row["external"])}
            for row in rows
        ]

    def change(self, name: str, *, actor: str, **values: Any) -> None:
        """Changes role, active or language; an account that is switched off or has another role is logged out."""
        if "role" in values:
            _check_role(values["role"])
        words = " ".join(f"{key}={value}" for key, value in sorted(values.items()))
        ends = bool({"role", "active"} & set(values))
        self._changed(name, values, ends, (actor, "user-changed", f"{name} {words}"))

    def set_language(self, person: Person, language: str) -> None:
        """Her own choice, which is no matter of the audit."""
        self._store.write(lambda c: c.execute(update(people).where(people.c.id == person.id).values(language=language)).rowcount)

    def set_password(self, name: str, password: str, *, actor: str) -> None:
        """A new password; every session of the account ends, and a lock is lifted."""
        _check_password(password, name)
        values = {"password": _hasher().hash(password), "failures": 0, "locked_until": 0.0}
        self._changed(name, values, True, (actor, "password-set", name))

    def reset_second_factor(self, name: str, *, actor: str) -> None:
        """The next login sets it up anew: for a lost phone."""
        self._changed(name, {"second_factor": "", "last_step": 0}, True, (actor, "second-factor-reset", name))

    def _changed(self, name: str, values: dict[str, Any], ends_sessions: bool, line: tuple[str, str, str]) -> None:
        def work(connection: Connection) -> None:
            columns = (people.c.id, people.c.role, people.c.external)
            person = connection.execute(select(*columns).where(people.c.name == name)).one_or_none()
            if person is None:
                raise _nobody(name)
            if person.external and {"role", "password"} & values.keys():
                raise RunError(
                    "This account is one of the hospital's login, which says its role and checks its password",
                    hint="change them there, or switch the account off here",
                )
            had = connection.execute(_administrators()).first()
            connection.execute(update(people).where(people.c.id == person.id).values(**values))
            if had and not connection.execute(_administrators()).first():
                raise RunError("The clinic would have no administrator left", hint="make another user an administrator first")
            if ends_sessions:
                connection.execute(delete(sessions).where(sessions.c.person == person.id))

        self._store.write(work, line)

    def login(self, name: str, password: str) -> str | None:
        """A session of stage `password` where name and password fit; None else, whatever the cause."""
        with self._store.reading() as connection:
            row = connection.execute(select(people).where(people.c.name == name)).mappings().one_or_none()
        with _TURNS:
            fits = _fits(_decoy() if row is None or row["external"] else row["password"], password)
        if row is None:
            self._store.note("nobody", "login-refused", "a name that no account has")
            return None
        if row["external"]:  # its second factor is not locked by what strangers type here
            self._store.note(row["name"], "login-refused", "a password for an account of the hospital's login")
            return None
        now = self._store.clock()
        if row["locked_until"] > now or not row["active"]:
            self._store.note(row["name"], "login-refused", "locked" if row["active"] else "switched off")
            return None
        if not fits:
            self._failed(row["id"], row["name"], "login-refused", "password")
            return None
        return self._opened(row["id"], row["name"], "password", ("login-first-step", ""))

    def enter_by(self, subject: str, name: str, role: str, *, whole: bool) -> str | None:
        """A session of whom the hospital's login has proved; None where the account is switched off here.

        subject: who she is to that login: the account is found by it alone. name: what a new account is called after, where
        nobody is called so. role: what she is from now on. whole: whether the login asked for a second factor.
        """
        _check_role(role)
        external = _hashed(subject)

        def work(connection: Connection) -> Any:
            known_person = connection.execute(select(people).where(people.c.external == external)).mappings().one_or_none()
            if known_person is None:
                row = {"id": secrets.token_hex(16), "name": _free_name(connection, name, external), "role": role, "password": ""}
                connection.execute(insert(people), row | {"made": self._store.clock(), "external": external})
                return {**row, "active": True}
            if known_person["role"] != role:
                connection.execute(update(people).where(people.c.id == known_person["id"]).values(role=role))
                connection.execute(delete(sessions).where(sessions.c.person == known_person["id"]))
            return known_person

        row = self._store.write(work)
        if not row["active"]:
            self._store.note(row["name"], "login-refused", "switched off")
            return None
        line = ("login", "by the hospital's login") if whole else ("login-first-step", "by the hospital's login")
        return self._opened(row["id"], row["name"], "whole" if whole else "password", (line[0], f"{line[1]} as {role}"))

    def shut_out(self, subject: str) -> None:
        """The hospital's login gives this person no role any more: what sessions she has here end."""

        def work(connection: Connection) -> None:
            mine = select(people.c.id).where(people.c.external == _hashed(subject))
            connection.execute(delete(sessions).where(sessions.c.person.in_(mine)))

        self._store.write(work)

    def enter(self, name: str) -> str:
        """A whole session without password and second factor, for the demo's link alone: there is no patient behind it."""
        with self._store.reading() as connection:
            row = connection.execute(select(people).where(people.c.name == name)).mappings().one_or_none()
        if row is None:
            raise _nobody(name)
        return self._opened(row["id"], row["name"], "whole", ("login", "by the demo's link"))

    def second_secret(self, session: str) -> tuple[str, str] | None:
        """For an account without a second factor: a new secret and its otpauth URI, kept with the session's person until a code
        confirms it. None where the account has one."""
        person = self.person(session)
        if person is None or person.stage != "password" or person.has_second_factor:
            return None
        secret = base64.b32encode(self._proposed(session)).decode()
        return secret, TOTP(secret).provisioning_uri(name=person.name, issuer_name="Wardround clinic")

    def second_step(self, session: str, code: str) -> str | None:
        """A session of stage `whole`, under a new id, where the code is good; None else. The first code sets the factor up."""
        person = self.person(session)
        if person is None or person.stage != "password":
            return None
        with self._store.reading() as connection:
            row = connection.execute(select(people).where(people.c.id == person.id)).mappings().one()
        secret = self._opened_secret(row) if row["second_factor"] else base64.b32encode(self._proposed(session)).decode()
        step = _step_of(secret, code, self._store.clock())
        if step is None or step <= row["last_step"] or row["locked_until"] > self._store.clock():
            self._failed(row["id"], row["name"], "second-factor-refused", "")
            return None

        def work(connection: Connection) -> bool:
            values: dict[str, Any] = {"last_step": step, "failures": 0}
            if not row["second_factor"]:
                values["second_factor"] = self._sealed(row["id"], secret)
            here = (people.c.id == row["id"]) & (people.c.last_step < step)  # two browsers with one code: one gets in
            changed = connection.execute(update(people).where(here).values(**values)).rowcount == 1
            connection.execute(delete(sessions).where(sessions.c.id == _hashed(session)))
            return changed

        if not self._store.write(work):
            return None
        return self._opened(row["id"], row["name"], "whole", ("login", ""))

    def person(self, session: str) -> Person | None:
        """Whose session it is; None where it has ended or never was. Looking at it keeps it alive."""
        if not session or len(session) > 128:
            return None
        now = self._store.clock()
        joined = select(sessions, people).join(people, people.c.id == sessions.c.person).where(sessions.c.id == _hashed(session))
        with self._store.reading() as connection:
            row = connection.execute(joined).one_or_none()
        if row is None or not row.active:
            return None
        longest = PASSWORD_STAGE_S if row.stage == "password" else self._session_s
        if now >= row.began + longest or now >= row.seen + self._idle_s:
            self.logout(session)
            return None
        if now > row.seen + min(_SEEN_EVERY_S, self._idle_s / 4):
            self._store.later(lambda c: c.execute(update(sessions).where(sessions.c.id == row.id).values(seen=now)).rowcount)
        whose = (row.person, row.name, row.role, row.language, row.stage, row.token)
        return Person(*whose, has_second_factor=bool(row.second_factor), session=session)

    def logout(self, session: str) -> None:
        self._store.write(
            lambda connection: connection.execute(delete(sessions).where(sessions.c.id == _hashed(session))).rowcount
        )

    def add_key(self, name: str, *, actor: str) -> str:
        """The secret of a new key for a machine. It is shown once: the clinic keeps its hash."""
        _check_name(name)
        secret = f"wr_{secrets.token_urlsafe(32)}"
        row = {"id": secrets.token_hex(16), "name": name, "secret": _hashed(secret), "made": self._store.clock()}

        def work(connection: Connection) -> None:
            try:
                connection.execute(insert(keys), row)
            except IntegrityError as error:
                raise RunError(f"There is a key called {name}", hint="choose another name") from error

        self._store.write(work, (actor, "key-added", name))
        return secret

    def revoke_key(self, name: str, *, actor: str) -> None:
        def work(connection: Connection) -> None:
            if connection.execute(update(keys).where(keys.c.name == name).values(active=False)).rowcount != 1:
                raise RunError(f"There is no key called {name}", hint="look at: wardround clinic key list")

        self._store.write(work, (actor, "key-revoked", name))

    def keys(self) -> list[dict[str, Any]]:
        with self._store.reading() as connection:
            rows = connection.execute(select(keys).order_by(keys.c.name)).mappings().all()
        return [{name: row[name] for name in ("name", "active", "made")} for row in rows]

    def machine(self, secret: str) -> str | None:
        """The name of the key; None where there is none, or it was revoked."""
        if not secret or len(secret) > 128:
            return None
        with self._store.reading() as connection:
            mine = (keys.c.secret == _hashed(secret)) & keys.c.active
            return connection.execute(select(keys.c.name).where(mine)).scalar()

    def _opened(self, person_id: str, name: str, stage: str, line: tuple[str, str]) -> str:
        session, now = secrets.token_urlsafe(32), self._store.clock()
        row: dict[str, Any] = {"id": _hashed(session), "person": person_id, "stage": stage, "token": secrets.token_urlsafe(24)}
        row |= {"began": now, "seen": now}

        def work(connection: Connection) -> None:
            oldest = now - max(self._session_s, PASSWORD_STAGE_S)
            connection.execute(delete(sessions).where((sessions.c.began < oldest) | (sessions.c.seen < now - self._idle_s)))
            connection.execute(insert(sessions), row)

        self._store.write(work, (name, *line))
        return session

    def _failed(self, person_id: str, name: str, action: str, why: str) -> None:
        def work(connection: Connection) -> None:
            failures = 1 + int(connection.execute(select(people.c.failures).where(people.c.id == person_id)).scalar() or 0)
            values: dict[str, Any] = {"failures": failures}
            if failures >= FAILURES:
                pause = min(LONGEST_LOCK_S, LOCK_S * 2.0 ** min(failures - FAILURES, 16))
                values["locked_until"] = self._store.clock() + pause
            connection.execute(update(people).where(people.c.id == person_id).values(**values))

        self._store.write(work, (name, action, why))

    def _proposed(self, session: str) -> bytes:
        """Bound to the session and to our key, so that nothing is stored before a code confirms it."""
        return self._derived(b"second factor of " + session.encode())[:20]

    def _sealed(self, person_id: str, secret: str) -> str:
        nonce = secrets.token_bytes(12)
        return base64.b64encode(nonce + self._key.encrypt(nonce, secret.encode(), person_id.encode())).decode()

    def _opened_secret(self, row: Any) -> str:
        content = base64.b64decode(row["second_factor"])
        try:
            return self._key.decrypt(content[:12], content[12:], row["id"].encode()).decode()
        except InvalidTag as error:
            raise RunError(
                f"The second factor of {row['name']} was sealed with another key than {KEY_FILE} of this clinic",
                hint=f"bring the file back from a backup, or: wardround clinic user reset {row['name']}",
            ) from error


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1)


@lru_cache(maxsize=1)
def _decoy() -> str:
    """A name that nobody has takes as long as one that somebody has."""
    return _hasher().hash(secrets.token_hex(16))


def _fits(hashed: str, password: str) -> bool:
    try:
        return _hasher().verify(hashed, password[: LONGEST_PASSWORD + 1])
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


def _step_of(secret: str, code: str, now: float) -> int | None:
    """The step of time whose code this is: the one now or one beside it; None of another. Compared in constant time."""
    code = code.replace(" ", "")
    if not (code.isascii() and code.isdigit() and len(code) == 6):
        return None
    step = int(now) // _STEP_S
    fits = [near for near in (step - 1, step, step + 1) if secrets.compare_digest(TOTP(secret).generate_otp(near), code)]
    return fits[-1] if fits else None


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _administrators() -> Any:
    return select(people.c.id).where((people.c.role == "administrator") & people.c.active)


def _nobody(name: str) -> RunError:
    return RunError(f"There is no user called {name}", hint="look at: wardround clinic user list")


def _check_name(name: str) -> None:
    letters = name.replace("-", "").replace("_", "").replace(".", "")
    if not (1 <= len(name) <= 64 and letters.isalnum() and name.isascii()):
        raise RunError(
            "This name cannot be used", expected="1 to 64 letters, digits, dots, hyphens", hint="for example: anna.berg"
        )


def _free_name(connection: Connection, wish: str, external: str) -> str:
    """What an account of the hospital's login is called: as there, in letters that names have here. It never is the name of
    another account: whoever may choose her name there would else be taken for a colleague."""
    plain = unicodedata.normalize("NFKD", wish).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.")[:48]
    if not any(sign.isalnum() for sign in name):
        name = f"user-{external[:8]}"
    taken = connection.execute(select(people.c.id).where(func.lower(people.c.name) == name.lower())).first()
    return name if taken is None else f"{name}-{external[:12]}"


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise RunError("There is no such role", expected=", ".join(ROLES), found=role[:40], hint="name one of them")


def _check_password(password: str, name: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise RunError(
            "This password cannot be used", expected=f"{SHORTEST_PASSWORD} to {LONGEST_PASSWORD} signs",
            found=f"{len(password)}", hint="several words that you can remember, for example",
        )  # fmt: skip
    if name.casefold() in password.casefold() or len(set(password)) < 5:
        raise RunError("This password is easy to guess", hint="leave your name out, and use more than four different signs")


def new_password() -> str:
    """One that is drawn: 100 bits, in groups that can be typed."""
    letters = random_base32(32).lower()[:20]
    return "-".join(letters[start : start + 5] for start in range(0, 20, 5))
