"""Writes masked-sum.json beside this file: test vectors of the masked sum (docs/spec/masked-sum.md, section 16).

    python docs/spec/vectors/make_masked_sum.py

Every secret is fixed and public here, so nothing of this may be used for anything else.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from wardround.crypto.identity import Identity
from wardround.crypto.quorum import Quorum, smallest_threshold
from wardround.summation.masked import admission, keys
from wardround.summation.masked import site as masked_site
from wardround.summation.masked.attempt import Attempt, Collecting, Opened, Received, Signing
from wardround.summation.masked.coordinator import asks, step
from wardround.summation.masked.keys import Roster
from wardround.summation.masked.layout import sum_name
from wardround.summation.masked.masks import mask
from wardround.summation.masked.memory import MaskedState, Party
from wardround.summation.masked.shamir import field_elements, share
from wardround.values.canonical import sha256_hex
from wardround.values.ids import SiteId
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Answer, Ask, AskHeader, ContributionMessage, Masked, Message, Order, OrderHeader, Statement

STUDY = hashlib.sha256(b"wardround vectors").hexdigest()
LIMBS = 9


class Fixed:
    """`random_bytes` that gives the same bytes every time, and remembers them."""

    def __init__(self, label: str) -> None:
        self.label, self.drawn = label, list[bytes]()

    def __call__(self, size: int) -> bytes:
        seed = f"{self.label} {len(self.drawn)}".encode()
        self.drawn.append(hashlib.shake_256(seed).digest(size))
        return self.drawn[-1]


def replay(drawn: list[bytes]) -> Any:
    """The same draws once more."""
    left = iter(drawn)
    return lambda size: next(left)[:size]


def fixed_bytes(label: str, size: int = 32) -> bytes:
    return hashlib.shake_256(label.encode()).digest(size)


def shamir_vectors() -> list[dict[str, Any]]:
    vectors = []
    for threshold, points in ((2, [1, 2, 3]), (3, [1, 2, 4, 5]), (51, [*range(1, 101, 2), 100])):
        secret = fixed_bytes(f"secret {threshold}")
        random = Fixed(f"shamir {threshold}")
        shares = share(np.frombuffer(secret, np.uint8).reshape(1, 32), threshold, points, random)
        table = field_elements((threshold - 1) * LIMBS, replay(random.drawn)).reshape(threshold - 1, 1, LIMBS)
        vectors.append(
            {
                "threshold": threshold,
                "points": points,
                "secret": secret.hex(),
                "coefficients": [[int(c) for c in table[:, 0, limb]] for limb in range(LIMBS)],
                "shares": [row[0].tobytes().hex() for row in shares],
            }
        )
    return vectors


def identity_of(site: str) -> tuple[bytes, Identity]:
    seed = fixed_bytes(f"identity {site}")
    return seed, Identity(Ed25519PrivateKey.from_private_bytes(seed))


def chain_vectors() -> list[dict[str, Any]]:
    study, epoch, sites = bytes.fromhex(STUDY), 3, ("lund", "oslo", "turku")
    secrets = {site: X25519PrivateKey.from_private_bytes(fixed_bytes(f"exchange {site}")) for site in sites}
    statements = {
        site: keys.state_key(
            identity_of(site)[1], study, epoch, SiteId(site), secrets[site], keys.Reached(number, 2 * number, 3 * number)
        )
        for number, site in enumerate(sites)
    }
    roster = Roster(epoch, tuple(statements[site] for site in sites))
    one, other = SiteId("lund"), SiteId("turku")
    chain = keys.first_chains(study, roster, one, secrets[one])[other]
    ahead = keys.advanced({other: chain}, 1)[other]
    h = fixed_bytes("order")
    seed = keys.pair_seed(ahead, h, one, other)
    public = X25519PublicKey.from_public_bytes(bytes.fromhex(statements[other].key))
    return [
        {
            "study": STUDY,
            "epoch": epoch,
            "sites": [
                {
                    "site": site,
                    "identity_seed": identity_of(site)[0].hex(),
                    "identity": identity_of(site)[1].public,
                    "secret": secrets[site].private_bytes_raw().hex(),
                    **statements[site].model_dump(include={"key", "turn", "stage", "counter", "signature"}),
                }
                for site in sites
            ],
            "roster": roster.digest(study).hex(),
            "pair": [one, other],
            "shared": secrets[one].exchange(public).hex(),
            "chain": chain.hex(),
            "next": ahead.hex(),
            "h": h.hex(),
            "pair_seed": seed.hex(),
            "seal_lo_hi": keys.seal_key(ahead, h, one, other).hex(),
            "seal_hi_lo": keys.seal_key(ahead, h, other, one).hex(),
            "pair_commitment": keys.pair_commitment(h, one, other, seed).hex(),
        }
    ]


def mask_vectors() -> list[dict[str, Any]]:
    vectors = []
    for bits, name in ((16, "model/words"), (32, "control/words"), (64, "counts/words")):
        seed = fixed_bytes(f"mask {bits}")
        words = {name: np.zeros(20, f"uint{bits}")}
        mask(words, [(seed, 1)])
        vectors.append({"seed": seed.hex(), "array": name, "bits": bits, "words": words[name].tolist()})
    return vectors


class WholeSum:
    """One attempt with fixed secrets, every message kept."""

    def __init__(self, label: str, approved: tuple[str, ...], cohort: tuple[str, ...], lost: tuple[str, ...], collusion: int):
        self.label, self.lost = label, lost
        self.quorum = Quorum(tuple(map(SiteId, approved)), smallest_threshold(len(approved), collusion), collusion)
        self.identity = {site: identity_of(site) for site in approved}
        self.keys = {site: identity.public for site, (_, identity) in self.identity.items()}
        self.random = {site: Fixed(f"{label} {site}") for site in cohort}
        self.cohort = tuple(map(SiteId, cohort))
        self.layout = {"model/words": ("uint16", 12), "counts/words": ("uint64", 3)}
        rng = np.random.Generator(np.random.Philox(len(approved)))
        self.words = {
            site: {name: rng.integers(0, np.iinfo(kind).max, size, dtype=kind) for name, (kind, size) in self.layout.items()}
            for site in cohort
        }
        self.states = {site: MaskedState(memory_status="member") for site in cohort}

    def party(self, site: str) -> Party:
        study, identity = bytes.fromhex(STUDY), self.identity[site][1]
        return Party(SiteId(site), study, self.quorum, self.keys, identity, len(self.keys), self.random[site])

    def statement(self, site: str) -> Statement:
        ask = Ask(AskHeader(study=STUDY, what="keys", epoch=1))
        self.states[site], answer = masked_site.offer(self.party(site), self.states[site], ask, sha256_hex(to_bytes(ask)))
        header = answer.header
        return header.statement(site)

    def contribute(self, site: str, order: bytes) -> bytes:
        message = from_bytes(order)
        assert isinstance(message, Order)
        ready = admission.check(self.party(site), self.states[site], message)
        copies = {name: array.copy() for name, array in self.words[site].items()}
        self.states[site], reply = masked_site.contribute(self.party(site), ready, message, sha256_hex(order), copies)
        return to_bytes(reply)

    def speak(self, site: str, ask: Ask) -> bytes:
        act = masked_site.sign if ask.header.what == "sign" else masked_site.answer
        self.states[site], reply = act(self.party(site), self.states[site], ask, sha256_hex(to_bytes(ask)))
        return to_bytes(reply)

    def secrets(self, site: str) -> dict[str, Any]:
        """What `contribute` drew, in its order: own seed, coefficients, nonces. (The draw before it is the exchange key.)"""
        exchange, own, *rest = self.random[site].drawn
        peers, size = len(self.cohort) - 1, (self.quorum.threshold - 1) * len(self.cohort) * LIMBS
        drawn, nonces = rest[: len(rest) - peers], rest[len(rest) - peers :]
        table = field_elements(size, replay(drawn)).reshape(self.quorum.threshold - 1, len(self.cohort), LIMBS)
        return {
            "exchange": exchange.hex(),
            "own": own.hex(),
            "coefficients": [
                [[int(c) for c in table[:, secret, limb]] for limb in range(LIMBS)] for secret in range(len(self.cohort))
            ],
            "nonces": dict(zip((peer for peer in self.cohort if peer != site), (nonce.hex() for nonce in nonces), strict=True)),
        }

    def run(self) -> dict[str, Any]:
        roster = tuple(self.statement(site) for site in self.cohort)
        masked = Masked(attempt=1, turn=2, epoch=1, roster=roster)
        header = OrderHeader(study=STUDY, step="train", round=4, cohort=self.cohort, weight=90, masked=masked)
        order = to_bytes(Order(header, {"model/w": np.arange(4, dtype=np.float32)}))
        attempt = Attempt(
            STUDY, self.quorum, self.keys, sum_name(header), 1, 2, sha256_hex(order), self.cohort, dict(self.layout)
        )
        sent = {site: self.contribute(site, order) for site in self.cohort}
        state = step(Collecting(attempt), received({site: data for site, data in sent.items() if site not in self.lost}))
        signatures: dict[str, str] = {}
        if isinstance(state, Signing):
            answers = {site: self.speak(site, ask) for site, ask in asks(state).items()}
            signatures = {site: answered(data).header.signature for site, data in answers.items()}
            state = step(state, received(answers))
        opens = {site: to_bytes(ask) for site, ask in asks(state).items()}
        answers = {site: self.speak(site, ask) for site, ask in asks(state).items()}
        state = step(state, received(answers))
        assert isinstance(state, Opened)
        secrets = {site: self.secrets(site) for site in self.cohort}
        return {
            "study": STUDY,
            "step": "train",
            "round": 4,
            "label": "",
            "attempt": 1,
            "turn": 2,
            "epoch": 1,
            "threshold": self.quorum.threshold,
            "sites": list(self.quorum.sites),
            "cohort": list(self.cohort),
            "lost": list(self.lost),
            "layout": {name: list(kind) for name, kind in self.layout.items()},
            "identity_seeds": {site: seed.hex() for site, (seed, _) in self.identity.items()},
            "secrets": {site: drawn["exchange"] for site, drawn in secrets.items()},
            "own_seeds": {site: drawn["own"] for site, drawn in secrets.items()},
            "coefficients": {site: drawn["coefficients"] for site, drawn in secrets.items()},
            "nonces": {site: drawn["nonces"] for site, drawn in secrets.items()},
            "words": {site: {name: array.tolist() for name, array in words.items()} for site, words in self.words.items()},
            "order": order.hex(),
            "contributions": {site: data.hex() for site, data in sent.items()},
            "signatures": signatures,
            "opens": {site: data.hex() for site, data in opens.items()},
            "answers": {site: data.hex() for site, data in answers.items()},
            "total": {name: array.tolist() for name, array in state.total.items()},
        }


def received(answers: Mapping[SiteId, bytes]) -> Received:
    messages: dict[SiteId, Message] = {site: from_bytes(data) for site, data in answers.items()}
    assert all(isinstance(message, ContributionMessage | Answer) for message in messages.values())
    return Received(messages)


def answered(data: bytes) -> Answer:
    message = from_bytes(data)
    assert isinstance(message, Answer)
    return message


def vectors() -> dict[str, Any]:
    three = ("lund", "oslo", "turku")
    five = ("bergen", *three, "vaasa")
    sums = [
        WholeSum("nobody lost", three, three, (), 1),
        WholeSum("one lost", five, five, ("oslo",), 1),
        WholeSum("one absent, one lost", five, ("bergen", "lund", "oslo", "vaasa"), ("vaasa",), 0),
    ]
    return {
        "version": 1,
        "shamir": shamir_vectors(),
        "chain": chain_vectors(),
        "mask": mask_vectors(),
        "sums": [one.run() for one in sums],
    }


if __name__ == "__main__":
    path = Path(__file__).with_name("masked-sum.json")
    path.write_text(json.dumps(vectors(), separators=(",", ":"), sort_keys=True) + "\n", "utf-8")
    print(f"wrote {path.name}, {path.stat().st_size} bytes")
