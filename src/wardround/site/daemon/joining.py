"""How a hospital joins a hub, learns where it stands there, and changes its keys (docs/spec/network.md, 3.3 to 3.6).

    join:    invitation -> keys -> request, written down -> POST /enrol -> "waiting" -> eight words, by telephone
    status:  the same request again -> "waiting", "confirmed" or "revoked"
    rotate:  new keys beside the old -> request signed by the old identity -> words -> "confirmed" -> the new take their place

Each may be killed at any point and run again: it goes on where it was.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from wardround.crypto.identity import Identity
from wardround.crypto.login_key import LoginKey
from wardround.crypto.sealing import SealingKey
from wardround.site.daemon.connection import HubAnswer
from wardround.site.daemon.home import SiteHome
from wardround.site.daemon.hub_record import EXTRA_CA_LIMIT, KEY_FILES, NEXT, HubCard, HubRecord, State
from wardround.site.daemon.line_checks import line_fault
from wardround.values.canonical import sha256_hex
from wardround.values.errors import DataError, EngineError, RefusedError, RunError, WireError
from wardround.values.printable import printable
from wardround.values.private_files import private_lock
from wardround.wire.enrolment import (
    ANSWER_LIMIT,
    PATH,
    REFUSED,
    EnrolmentAnswer,
    EnrolmentRequest,
    RotationRequest,
    SignedEnrolment,
    SiteKeys,
    read_request,
)
from wardround.wire.invitation import Invitation
from wardround.wire.sealed import SKEW_MS

_DAY_MS = 86_400_000
_AHEAD_MS = 5_000  # the carrier lets in no clock that is further ahead


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Joined:
    """How this hospital stands at its hub. words: to be compared while the state is waiting. new_keys: words and state are those
    of keys that wait beside those in force. ahead_ms: this machine's clock less the hub's."""

    name: str
    address: str
    state: State
    words: str
    new_keys: bool
    ahead_ms: int

    @property
    def clock_is_off(self) -> bool:
        """Whether the carrier would let this site in no more."""
        return not -SKEW_MS < self.ahead_ms < _AHEAD_MS


def join(data: bytes, home: SiteHome, *, extra_ca: Path | None = None, clock: Callable[[], int] = _now_ms) -> Joined:
    """Asks the hub that invited to be entered. The same invitation again goes on where it stopped.

    Parameters
    ----------
    data : bytes
        The invitation's file.
    home : SiteHome
        Where the hospital's keys lie; they are made where there are none.
    extra_ca : Path, optional
        Certificates in PEM that are accepted besides the hub's authority, for a network that opens TLS. It is logged.
    clock : callable, optional
        Milliseconds since 1970.

    Raises
    ------
    WireError
        The file is no invitation, or something on the way answered in the hub's place.
    RefusedError
        The invitation has expired, or the hub refused it.
    RunError
        A hub has confirmed this hospital already.
    EngineError
        The hub could not be reached. The message says why, and what to do.
    """
    with private_lock(home.path / "join.lock"):
        invitation, record = Invitation.read(data), HubRecord.of(home)
        if record is None or not _is_of(record, invitation):
            if record is not None and record.state == "confirmed":
                record = _looked_again(home, record, clock)
            _require_open(home, record, invitation, clock())
            record = _begun(home, invitation, record, clock())
        if extra_ca is not None:
            record = _with_extra_ca(home, record, extra_ca)
        return _asked(home, record, clock)


def status(home: SiteHome, *, clock: Callable[[], int] = _now_ms) -> Joined:
    """Where this hospital stands at its hub now. New keys that the hub has confirmed take the place of the old ones.

    Raises as `join`; RunError where this hospital has joined no hub.
    """
    with private_lock(home.path / "join.lock"):
        return _asked(home, HubRecord.required(home), clock)


def rotate(home: SiteHome, *, anew: bool = False, clock: Callable[[], int] = _now_ms) -> Joined:
    """Makes new keys and asks the hub to take them. The old ones are in force until it has; the same again changes them then.

    Within a day after such a change it only says how things stand: who asks once more does not mean another change.

    anew: forgets new keys that the hub has not confirmed, and makes others.

    Raises as `join`; RunError where the hub has not confirmed this hospital yet.
    """
    with private_lock(home.path / "join.lock"):
        record = HubRecord.required(home)
        if record.state != "confirmed":
            raise RunError(
                "Only a hospital that its hub has confirmed can change its keys",
                found=record.state,
                hint="look with `wardround site doctor`; after a revocation ask the hub for a new invitation",
            )
        if anew or not (record.rotation or clock() - record.changed < _DAY_MS):
            record = _with_new_keys(home, record, clock())
        return _asked(home, record, clock)


def use_extra_ca(home: SiteHome, path: Path) -> None:
    """Accepts other authorities from now on, those in a file, besides the hub's. DataError where it holds no certificate."""
    with private_lock(home.path / "join.lock"):
        _with_extra_ca(home, HubRecord.required(home), path)


def _is_of(record: HubRecord, invitation: Invitation) -> bool:
    request = read_request(record.request.encode())
    same_hub = (record.card.identity, record.address, record.authority) == (
        invitation.identity,
        invitation.address,
        invitation.authority,
    )
    return same_hub and isinstance(request, EnrolmentRequest) and request.code == invitation.code


def _require_open(home: SiteHome, record: HubRecord | None, invitation: Invitation, now: int) -> None:
    if record is not None and record.state == "confirmed":
        raise RunError(
            f"This hospital has joined the hub at {record.address} already, as {record.name}",
            hint="new keys: `wardround site rotate`; what is wrong with the line: `wardround site doctor`; for another hub set "
            " WARDROUND_SITE to another folder; if this hub was made anew and knows nobody, move away "
            f"{home.hub_file} and join again",
        )
    if invitation.expires_ms <= now:
        raise RefusedError(
            "The invitation has expired",
            expected=f"use before {invitation.expires}",
            found=time.strftime("%Y-%m-%d %H:%M UTC by this machine's clock", time.gmtime(now / 1000)),
            hint="ask the hub for a new one; or set this machine's clock if it is wrong",
        )


def _looked_again(home: SiteHome, record: HubRecord, clock: Callable[[], int]) -> HubRecord:
    """The record after the hub was asked: a hospital may not have heard that it was revoked. As it was, where nobody answers."""
    with contextlib.suppress(EngineError, RefusedError, WireError):
        _asked(home, record, clock)
    return HubRecord.required(home)


def _begun(home: SiteHome, invitation: Invitation, before: HubRecord | None, now: int) -> HubRecord:
    """Keys and request of an invitation, on the disk. A hospital that was revoked gets new keys; the old ones are kept aside."""
    if before is not None and before.state == "revoked":
        _put_aside(home, read_request(before.request.encode()).keys)
    identity, sealing, login = _keys_in(home.path / "keys")
    keys = SiteKeys(name=invitation.hospital, identity=identity.public, sealing=sealing.public, login=login.public)
    request = EnrolmentRequest.made(keys, invitation.code, now, invitation.hub, identity, login)
    record = HubRecord(
        address=invitation.address,
        authority=invitation.authority,
        card=HubCard(identity=invitation.identity, sealing=invitation.sealing),
        name=invitation.hospital,
        request=request.to_bytes().decode(),
        words=keys.words(invitation.hub),
    )
    home.log.append("join-asked", f"{record.name} asks the hub at {record.address} to be entered.", **_facts(record, keys))
    return record.write(home)


def _with_new_keys(home: SiteHome, record: HubRecord, now: int) -> HubRecord:
    for name in KEY_FILES:  # those of an earlier request that was given up, or of one that was never written down
        (home.path / "keys" / NEXT / name).unlink(missing_ok=True)
    identity, sealing, login = _keys_in(home.path / "keys" / NEXT)
    keys = SiteKeys(name=record.name, identity=identity.public, sealing=sealing.public, login=login.public)
    texts = [text for text in (record.request, record.rotation) if text]
    last = max(read_request(text.encode()).time for text in texts)
    request = RotationRequest.made(keys, max(now, last + 1), record.hub, home.identity, identity, login)
    home.log.append("rotation-asked", f"{record.name} asks for new keys.", **_facts(record, keys))
    return record.revised(rotation=request.to_bytes().decode(), rotation_words=keys.words(record.hub)).write(home)


def _with_extra_ca(home: SiteHome, record: HubRecord, path: Path) -> HubRecord:
    text, names = _certificates(path)
    home.log.append("extra-ca", f"Besides the hub's authority these are accepted: {'; '.join(names)}.", authorities=names)
    return record.revised(extra_ca=text).write(home)


def _certificates(path: Path) -> tuple[str, list[str]]:
    """The certificates of a PEM file in one spelling, and what to call each."""
    try:
        with path.open("rb") as file:
            certificates = x509.load_pem_x509_certificates(file.read(EXTRA_CA_LIMIT))
        text = "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in certificates)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} holds no certificates",
            expected=f"authorities in PEM, at most {EXTRA_CA_LIMIT} bytes",
            hint="ask your network office for the certificate of the authority that inspects TLS, in PEM",
        ) from error
    names = [
        f"{printable(one.subject.rfc4514_string())[:100]} ({one.fingerprint(hashes.SHA256()).hex()})" for one in certificates
    ]
    return text, names


def _asked(home: SiteHome, record: HubRecord, clock: Callable[[], int]) -> Joined:
    """Sends the request that is open, takes the answer over, and says how things stand."""
    if record.rotation:
        try:
            return _rotation_asked(home, record, clock)
        except RefusedError:
            if _answer_to(record, record.request).state != "revoked":
                raise
            record = record.revised(rotation="", rotation_words="")
    answer = _answer_to(record, record.request)
    if answer.state != record.state:
        text = f"The hub says of {record.name}: {answer.state}."
        home.log.append("standing", text, before=record.state, after=answer.state, hub=record.card.identity)
        record = record.revised(state=answer.state).write(home)
    return Joined(record.name, record.address, answer.state, record.words, False, clock() - answer.time)


def _rotation_asked(home: SiteHome, record: HubRecord, clock: Callable[[], int]) -> Joined:
    answer, words = _answer_to(record, record.rotation), record.rotation_words
    if answer.state == "confirmed":
        keys = read_request(record.rotation.encode()).keys
        home.log.append("keys-changed", "The hub has confirmed the new keys.", **_facts(record, keys))
        record.revised(request=record.rotation, words=words, rotation="", rotation_words="", moving=True, changed=clock()).write(
            home
        )
        HubRecord.of(home)  # moves them
    return Joined(record.name, record.address, answer.state, words, answer.state != "confirmed", clock() - answer.time)


def _posted(record: HubRecord, request: bytes) -> HubAnswer:
    try:
        return record.connection.post(PATH, request, ANSWER_LIMIT)
    except EngineError as error:
        fault = line_fault(record.connection)
        if fault is None:
            raise
        raise fault.error from error


def _answer_to(record: HubRecord, request: str) -> EnrolmentAnswer:
    """What the hub says to a request. RefusedError, EngineError or WireError where it says nothing of the kind."""
    sent = request.encode()
    answer = _posted(record, sent)
    if answer.status != 200:
        raise _not_taken(record, answer)
    try:
        signed = SignedEnrolment.from_bytes(answer.body)
    except WireError as error:
        raise _not_the_hub(record) from error
    said = signed.answer
    if not signed.is_signed_by(record.card.identity) or (said.name, said.request) != (record.name, sha256_hex(sent)):
        raise _not_the_hub(record)
    return said


def _not_the_hub(record: HubRecord) -> WireError:
    return WireError(
        f"What answers at {record.address} is not the hub that invited",
        expected="an answer with the hub's signature",
        hint="run `wardround site doctor`, which says whose certificate comes; ask the hub for its address",
    )


def _not_taken(record: HubRecord, answer: HubAnswer) -> RefusedError | EngineError:
    if (answer.status, answer.body) == (403, REFUSED):
        return _refusal(record)
    mends = {
        429: "too many requests from this network were refused: wait a minute and try again",
        503: "the hub cannot write to its disk: tell its administrator, and try again later",
        404: "no enrolment answers there: ask the hub whether `wardround hub up` runs, and for its address",
    }
    return EngineError(
        f"The hub at {record.address} did not take the request",
        expected="200",
        found=str(answer.status),
        hint=mends.get(answer.status, "something on the way may have answered: run `wardround site doctor`"),
    )


def _refusal(record: HubRecord) -> RefusedError:
    if record.rotation:
        return RefusedError(
            "The hub does not take the new keys",
            hint="ask it for the cause, which its log has; then make others: wardround site rotate --anew",
        )
    if record.state == "asking":
        return RefusedError(
            "The hub refused the request to join",
            hint="the invitation may be used, replaced or expired, or this machine's clock ahead: the hub's log has the cause "
            "(`wardround hub log`); ask for a new invitation",
        )
    return RefusedError(
        f"The hub does not know the keys of {record.name} any more",
        hint="ask it for the cause, which its log has, and for a new invitation",
    )


def _put_aside(home: SiteHome, former: SiteKeys) -> None:
    """Keeps the keys of a hospital that was revoked under another name. Nothing to do where that was done before."""
    keys = home.path / "keys"
    if not (keys / KEY_FILES[0]).exists() or home.identity.public != former.identity:
        return
    keys.rename(home.path / f"keys.revoked-{former.identity[:16]}")


def _keys_in(folder: Path) -> tuple[Identity, SealingKey, LoginKey]:
    paths = [folder / name for name in KEY_FILES]
    return Identity.at(paths[0]), SealingKey.at(paths[1]), LoginKey.at(paths[2])


def _facts(record: HubRecord, keys: SiteKeys) -> dict[str, str]:
    return {"hub": record.card.identity, "identity": keys.identity, "sealing": keys.sealing, "login": keys.login}
