"""The masked sum a second time, from docs/spec/masked-sum.md alone: slow, plain, and sharing no line with `wardround`.

Two programs by two people that agree on every byte have read the same page. This one therefore imports nothing of Wardround,
takes every secret as an argument (it draws none, refuses next to nothing and must never meet a patient), and follows the page
from top to bottom; the numbers in brackets are the page's sections. Of `cryptography` it takes X25519, Ed25519 and AES; hashing
is `hashlib`, HKDF is by hand, words and field elements are Python's integers.

    order + fixed secrets --> contributions --> [signatures] --> opens --> answers --> total
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from .second_wire import read_message, read_payload, write_message, write_payload

P = 2**31 - 1  # the field of the shares [5.4]
LIMBS, LIMB_BITS, SHARE_BYTES = 9, 30, 36
CHUNK = 2**21  # of a key stream [5.2]

# --- [2] Notation -------------------------------------------------------------------------------------------------------------


def u32(x: int) -> bytes:
    return x.to_bytes(4, "big")


def u64(x: int) -> bytes:
    return x.to_bytes(8, "big")


def sha256(x: bytes) -> bytes:
    return hashlib.sha256(x).digest()


def prefixed(xs: Iterable[bytes | str]) -> bytes:
    """L(x1) || L(x2) || ... [2.1]; names of sites, steps and labels are their ASCII bytes."""
    raw = (x.encode("ascii") if isinstance(x, str) else x for x in xs)
    return b"".join(u32(len(x)) + x for x in raw)


def labelled(label: str, xs: Iterable[bytes | str]) -> bytes:
    return b"wardround masked-sum 1 " + label.encode("ascii") + b"\0" + prefixed(xs)


def T(label: str, *xs: bytes | str) -> bytes:
    """[2.2] A list of sites as one x is `prefixed(sites)`."""
    return sha256(labelled(label, xs))


def hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256, RFC 5869: extract, then expand. (HMAC pads its key with zeros, so an empty salt is the RFC's default.)"""
    extracted = hmac.digest(salt, key, "sha256")
    out = block = b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(extracted, block + info + bytes([counter]), "sha256")
        out += block
    return out[:length]


def KDF(key: bytes, salt: bytes, label: str, *xs: bytes | str) -> bytes:
    """[2.3]"""
    return hkdf(key, salt, labelled(label, xs), 32)


def sign(identity_seed: bytes, digest: bytes) -> bytes:
    """[2.4] Ed25519 over the 32 bytes of a T(...). Deterministic, so that whole messages can be compared."""
    return Ed25519PrivateKey.from_private_bytes(identity_seed).sign(digest)


def shared_secret(secret: bytes, key: bytes) -> bytes:
    """[2.4] X25519; the library refuses an all-zero result."""
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(key))


def public_identity(identity_seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(identity_seed).public_key().public_bytes_raw()


def public_key(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


# --- [3] Keys -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Statement:
    """[3.2] What a site says of itself when an epoch begins."""

    site: str
    key: bytes
    turn: int
    stage: int
    counter: int

    @property
    def reached(self) -> tuple[bytes, bytes, bytes]:
        return u64(self.turn), u32(self.stage), u64(self.counter)

    def signing_input(self, study: bytes, epoch: int) -> bytes:
        return T("key", study, self.site, u32(epoch), self.key, u64(self.turn), u32(self.stage), u64(self.counter))


def roster_hash(study: bytes, epoch: int, roster: Sequence[Statement]) -> bytes:
    """[3.3]"""
    fields = [x for said in roster for x in (said.site, said.key, *said.reached)]
    return T("roster", study, u32(epoch), *fields)


def first_chain(shared: bytes, roster: bytes, i: str, j: str) -> bytes:
    """[3.4] Stands at the greatest turn in the roster."""
    return KDF(shared, roster, "chain", *sorted((i, j)))


def ratchet(chain: bytes, steps: int = 1) -> bytes:
    """[3.5]"""
    for _ in range(steps):
        chain = KDF(chain, b"", "ratchet")
    return chain


# --- [5] Contribute -----------------------------------------------------------------------------------------------------------


def pair_seed(chain: bytes, h: bytes, i: str, j: str) -> bytes:
    """[5.1] The same at both ends."""
    return KDF(chain, h, "pair", *sorted((i, j)))


def seal_key(chain: bytes, h: bytes, owner: str, recipient: str) -> bytes:
    """[5.1] One for each direction."""
    return KDF(chain, h, "seal", owner, recipient)


def to_bytes(words: Iterable[int], bits: int) -> bytes:
    return b"".join(word.to_bytes(bits // 8, "little") for word in words)


def to_words(raw: bytes, bits: int) -> list[int]:
    step = bits // 8
    return [int.from_bytes(raw[at : at + step], "little") for at in range(0, len(raw), step)]


def mask(seed: bytes, array: str, bits: int, count: int) -> list[int]:
    """[5.2] m(seed, a): chunks of the AES-256-CTR key stream, as little-endian words."""
    key, size = AES(KDF(seed, b"", "mask", array)), count * bits // 8
    starts = (c.to_bytes(12, "big") + u32(2) for c in range(size // CHUNK + 1))
    stream = b"".join(Cipher(key, CTR(start)).encryptor().update(bytes(CHUNK)) for start in starts)
    return to_words(stream[:size], bits)


def own_commitment(h: bytes, site: str, seed: bytes) -> bytes:
    """[5.3]"""
    return T("own", h, site, seed)


def pair_commitment(h: bytes, i: str, j: str, seed: bytes) -> bytes:
    """[5.3] Both ends publish the same."""
    return T("pair", h, *sorted((i, j)), seed)


def share(secret: bytes, coefficients: Sequence[Sequence[int]], point: int) -> bytes:
    """[5.4] Of each limb, limb + a_1 x + ... + a_(t-1) x^(t-1) at x = point; `coefficients[limb]` is a_1, ..., a_(t-1)."""
    number = int.from_bytes(secret, "big")
    limbs = [number >> (LIMB_BITS * limb) & (2**LIMB_BITS - 1) for limb in range(LIMBS)]
    polynomials = [[limb, *higher] for limb, higher in zip(limbs, coefficients, strict=True)]
    return to_bytes((sum(a * point**k for k, a in enumerate(polynomial)) % P for polynomial in polynomials), 32)


def recover(shares: Mapping[int, bytes]) -> bytes:
    """[7.5] Lagrange at 0 from t shares by point. A result that is no secret, above a limb or 256 bits, is a wrong share."""
    columns = {point: to_words(raw, 32) for point, raw in shares.items()}
    number = 0
    for position in range(LIMBS):
        limb = 0
        for point, words in columns.items():
            basis = 1
            for other in columns:
                if other != point:
                    basis = basis * other * pow(other - point, -1, P) % P
            limb = (limb + words[position] * basis) % P
        assert limb < 2**LIMB_BITS, "no limb of a secret"
        number |= limb << (LIMB_BITS * position)
    return number.to_bytes(32, "big")


def seal(key: bytes, nonce: bytes, shares: bytes, ad: bytes) -> bytes:
    """[5.5]"""
    return nonce + AESGCM(key).encrypt(nonce, shares, ad)


def open_sealed(key: bytes, sealed: bytes, ad: bytes) -> bytes:
    """The shares that were sealed; `cryptography.exceptions.InvalidTag` when not for these ends and this attempt."""
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], ad)


def share_commitment(h: bytes, owner: str, recipient: str, q: int, one: bytes) -> bytes:
    """[5.6]"""
    return T("share", h, owner, recipient, u32(q), one)


def content(step: str, weight: int, payload: bytes) -> bytes:
    """[4.3]"""
    return T("content", step, u64(weight), sha256(payload))


# --- One attempt, with everybody's secrets ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """One attempt of a sum as nobody ever sees it: the order, and the secrets of all sites. All sites got the same order."""

    order: bytes
    sites: Sequence[str]  # all approved names
    threshold: int
    layout: Mapping[str, tuple[int, int]]  # array -> bits, words
    identity_seeds: Mapping[str, bytes]
    secrets: Mapping[str, bytes]
    own_seeds: Mapping[str, bytes]
    coefficients: Mapping[str, Sequence[Sequence[Sequence[int]]]]  # of site i, secret q, limb l: a_1, ..., a_(t-1)
    nonces: Mapping[str, Mapping[str, bytes]]
    words: Mapping[str, Mapping[str, Sequence[int]]]

    @cached_property
    def header(self) -> dict[str, Any]:
        return read_message(self.order)[0]

    @cached_property
    def h(self) -> bytes:
        return sha256(self.order)

    @property
    def study(self) -> bytes:
        return bytes.fromhex(self.header["study"])

    @property
    def cohort(self) -> list[str]:
        return self.header["cohort"]

    @property
    def named(self) -> tuple[bytes, bytes, bytes, bytes]:
        """S, sigma, u32(attempt), u64(T): how sealed shares and signatures name an attempt [5.5, 6.2]."""
        sigma = prefixed([self.header["step"]]) + u32(self.header["round"]) + prefixed([self.header["label"]])
        return self.study, sigma, u32(self.header["masked"]["attempt"]), u64(self.header["masked"]["turn"])

    @cached_property
    def roster(self) -> list[Statement]:
        said = self.header["masked"]["roster"]
        return [Statement(one["site"], bytes.fromhex(one["key"]), one["turn"], one["stage"], one["counter"]) for one in said]

    def chain(self, i: str, j: str) -> bytes:
        """[3.4, 3.5] The chain of i and j at the turn of this order, as i computes it."""
        key = next(said.key for said in self.roster if said.site == j)
        roster = roster_hash(self.study, self.header["masked"]["epoch"], self.roster)
        first = first_chain(shared_secret(self.secrets[i], key), roster, i, j)
        return ratchet(first, self.header["masked"]["turn"] - max(said.turn for said in self.roster))

    def others(self, i: str) -> list[str]:
        return [j for j in self.cohort if j != i]

    def secrets_of(self, i: str) -> list[bytes]:
        """[5.4] b_i, then s_ij."""
        return [self.own_seeds[i], *(pair_seed(self.chain(i, j), self.h, i, j) for j in self.others(i))]

    def shares_for(self, i: str, j: str) -> list[bytes]:
        """[5.4] The shares of i's secrets for j, by secret."""
        point = 1 + sorted(self.sites).index(j)
        return [share(secret, a, point) for secret, a in zip(self.secrets_of(i), self.coefficients[i], strict=True)]

    def sealed_shares(self, i: str, j: str) -> bytes:
        """[5.5]"""
        ad = T("sealed", *self.named, prefixed(self.cohort), self.h, i, j)
        return seal(seal_key(self.chain(i, j), self.h, i, j), self.nonces[i][j], b"".join(self.shares_for(i, j)), ad)

    def masked_words(self, i: str, array: str) -> list[int]:
        """[5.2] y_i"""
        bits, count = self.layout[array]
        own, *pairs = (mask(seed, array, bits, count) for seed in self.secrets_of(i))
        words = [x + m for x, m in zip(self.words[i][array], own, strict=True)]
        for j, pair in zip(self.others(i), pairs, strict=True):
            words = [y + m if j > i else y - m for y, m in zip(words, pair, strict=True)]
        return [y % 2**bits for y in words]

    def contribution(self, i: str) -> bytes:
        """[5.7]"""
        own, *pairs = self.secrets_of(i)
        commitments = [own_commitment(self.h, i, own)]
        commitments += [pair_commitment(self.h, i, j, seed) for j, seed in zip(self.others(i), pairs, strict=True)]
        committed = [share_commitment(self.h, i, j, q, one) for j in self.cohort for q, one in enumerate(self.shares_for(i, j))]
        arrays = {a: (f"U{bits}", to_bytes(self.masked_words(i, a), bits)) for a, (bits, _) in self.layout.items()}
        arrays["masked/sealed_shares"] = ("U8", b"".join(self.sealed_shares(i, j) for j in self.others(i)))
        arrays["masked/commitments"] = ("U8", b"".join(commitments))
        arrays["masked/share_commitments"] = ("U8", b"".join(committed))
        payload = write_payload(arrays)
        signature = sign(self.identity_seeds[i], T("contribution", self.study, self.h, i, sha256(payload)))
        header = {"kind": "contribution", "site": i, "order": self.h.hex(), "signature": signature.hex()}
        return write_message(header | {key: self.header[key] for key in ("study", "step", "round")}, payload)

    def counted(self, i: str, v: Sequence[str]) -> bytes:
        """[6.2] The signature of i on who was counted."""
        return sign(self.identity_seeds[i], T("counted", *self.named, self.h, prefixed(v)))

    def ask(self, i: str, v: Sequence[str], signers: Iterable[str]) -> bytes:
        """[7.2] The open for i; `signers` are those in the certificate, nobody where V = U."""
        header = {"kind": "ask", "study": self.header["study"], "what": "open", "epoch": 0, "order": self.h.hex()}
        header |= {"counted": list(v), "certificate": {site: self.counted(site, v).hex() for site in signers}}
        sealed = b"".join(self.sealed_shares(owner, i) for owner in v if owner != i)
        return write_message(header, write_payload({"masked/sealed_shares": ("U8", sealed)}))

    def answer(self, i: str, v: Sequence[str], ask: bytes) -> bytes:
        """[7.3] Of every owner in V: the share of its own seed, and of its seeds with the lost."""
        revealed = b""
        for owner in v:
            own, *pairs = self.shares_for(owner, i)
            revealed += own + b"".join(one for j, one in zip(self.others(owner), pairs, strict=True) if j not in v)
        payload = write_payload({"masked/shares": ("U8", revealed)})
        signature = sign(self.identity_seeds[i], T("answer", self.study, self.h, prefixed(v), i, prefixed([]), sha256(payload)))
        header = {"kind": "answer", "study": self.header["study"], "site": i, "ask": sha256(ask).hex(), "key": "", "turn": 0}
        return write_message(header | {"stage": 0, "counter": 0, "unreadable": [], "signature": signature.hex()}, payload)

    def total(self, v: Sequence[str], contributions: Mapping[str, bytes], answers: Mapping[str, bytes]) -> dict[str, list[int]]:
        """[7.5] What the coordinator makes of the messages: it uses no secret of this object."""
        lost = [j for j in self.cohort if j not in v]
        arrays = {i: read_payload(read_message(contributions[i])[1]) for i in v}
        told = {i: read_payload(read_message(answers[i])[1])["masked/shares"][1] for i in sorted(answers)[: self.threshold]}
        total = {a: [0] * count for a, (_, count) in self.layout.items()}
        for a, (bits, count) in self.layout.items():
            for row, i in enumerate(v):
                words = to_words(arrays[i][a][1], bits)
                for q, j in enumerate([i, *lost]):
                    at = (row * (1 + len(lost)) + q) * SHARE_BYTES
                    points = {1 + sorted(self.sites).index(site): raw[at : at + SHARE_BYTES] for site, raw in told.items()}
                    seed = recover(points)
                    claimed = own_commitment(self.h, i, seed) if j == i else pair_commitment(self.h, i, j, seed)
                    where = 32 * (0 if j == i else 1 + self.others(i).index(j))
                    assert arrays[i]["masked/commitments"][1][where : where + 32] == claimed, f"{i} committed to another seed"
                    words = [y + m if j < i else y - m for y, m in zip(words, mask(seed, a, bits, count), strict=True)]
                total[a] = [(sum_ + y) % 2**bits for sum_, y in zip(total[a], words, strict=True)]
        return total
