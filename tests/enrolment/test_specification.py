"""A site and a hub's answer written from docs/spec/network.md, section 3, alone: no code of ours makes or checks a byte of them.

What another program would do, so that the specification is enough to write one.
"""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from wardround.crypto.words import WORDS

from .loopback import TestHub, hub_in
from .requests_by_hand import asked

ORDER = int("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class SpecifiedSite:
    """A site's keys, and what 3.3 to 3.5 say of them."""

    def __init__(self, name: str, hub: dict[str, str]) -> None:
        self.hub = hub
        self.identity, self.sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        self.login = ec.generate_private_key(ec.SECP384R1())
        point = self.login.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self.card = {
            "name": name,
            "identity": self.identity.public_key().public_bytes_raw().hex(),
            "sealing": self.sealing.public_key().public_bytes_raw().hex(),
        }
        self.keys = {**self.card, "login": point.hex()}

    def enrolment(self, code: str, time: int) -> bytes:
        said = {"kind": "enrolment", "version": 1, "keys": self.keys, "code": code, "time": time}
        return canonical({**said, **self.proofs(b"wardround enrolment 1\0" + canonical({**said, "hub": self.hub}))})

    def rotation(self, new: "SpecifiedSite", time: int) -> bytes:
        said = {"kind": "rotation", "version": 1, "keys": new.keys, "time": time}
        proved = b"wardround rotation 1\0" + canonical({**said, "hub": self.hub})
        return canonical({**said, **new.proofs(proved), "former_proof": self.identity.sign(proved).hex()})

    def proofs(self, proved: bytes) -> dict[str, str]:
        r, s = decode_dss_signature(self.login.sign(proved, ec.ECDSA(hashes.SHA384())))
        s = min(s, ORDER - s)
        login = r.to_bytes(48, "big") + s.to_bytes(48, "big")
        return {"identity_proof": self.identity.sign(proved).hex(), "login_proof": login.hex()}

    def words(self) -> str:
        said = canonical({"hub": self.hub, "site": self.card, "login": self.keys["login"]})
        digest = hashlib.scrypt(said, salt=b"wardround eight words 1", n=2**15, r=8, p=1, maxmem=2**26, dklen=8)
        return " ".join(WORDS[byte] for byte in digest)


def answered(hub: dict[str, str], request: bytes, body: bytes) -> dict[str, Any]:
    """The answer, where it is the hub's to this request. Raises where it is not."""
    signed = json.loads(body)
    assert canonical(signed) == body and set(signed) == {"answer", "signature"}
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(hub["identity"]))
    key.verify(bytes.fromhex(signed["signature"]), b"wardround enrolment answer 1\0" + canonical(signed["answer"]))
    assert signed["answer"]["request"] == hashlib.sha256(request).hexdigest()
    return dict(signed["answer"])


@pytest.fixture
def hub(tmp_path: Path) -> TestHub:
    return hub_in(tmp_path / "hub")


def test_an_invitation_is_what_the_specification_says(hub: TestHub) -> None:
    """3.2: keys, their order, the signature, and a certificate of an authority."""
    text = hub.invite("st-anna").text
    value = tomllib.loads(text)
    assert list(value) == ["address", "hospital", "expires", "version", "code", "identity", "sealing", "authority", "signature"]
    signature = bytes.fromhex(value.pop("signature").replace("\n", ""))
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(value["identity"]))
    key.verify(signature, b"wardround invitation 1\0" + canonical(value))
    assert load_pem_x509_certificate(value["authority"].encode()).extensions
    assert len(text.encode()) <= 1500
    assert text.count("#") == 4 and text.startswith("#")


def test_a_site_written_from_the_specification_joins_and_changes_its_keys(hub: TestHub) -> None:
    """3.3 to 3.5: requests, answers, words, states, and the one form of a refusal."""
    invitation = tomllib.loads(hub.invite("st-anna").text)
    card = {"name": "hub", "identity": invitation["identity"], "sealing": invitation["sealing"]}
    site, new = SpecifiedSite("st-anna", card), SpecifiedSite("st-anna", card)
    request = site.enrolment(invitation["code"], hub.clock())
    answer = answered(card, request, asked(hub.desk, request).body)
    assert (answer["state"], answer["name"], answer["kind"], answer["version"]) == ("waiting", "st-anna", "enrolled", 1)
    assert abs(answer["time"] - hub.clock()) < 60_000
    hub.roster.confirm("st-anna", site.words())
    assert answered(card, request, asked(hub.desk, request).body)["state"] == "confirmed"
    change = site.rotation(new, hub.clock() + 1)
    assert answered(card, change, asked(hub.desk, change).body)["state"] == "waiting"
    hub.roster.confirm("st-anna", new.words())
    assert answered(card, change, asked(hub.desk, change).body)["state"] == "confirmed"
    refusal = asked(hub.desk, request)
    assert (refusal.status, refusal.body) == (403, b'{"kind":"refused","version":1}')
