"""The second implementation obeys the laws of the masked sum, and agrees with the vectors of the first."""

import copy
import json
import random
import runpy
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from . import second_implementation as second
from .masked_vectors import attempt_of, check_vectors
from .second_wire import read_message, write_message, write_payload

VECTORS = Path(__file__).parents[2] / "docs" / "spec" / "vectors" / "masked-sum.json"
NAMES = ["Aachen", "Zwolle", "bergen-2", "bergen_1", "clinic"]  # capitals come first: the order is that of the bytes
LAYOUT = {"model/words": ("uint32", 5), "control/words": ("uint16", 3), "count/patients": ("uint64", 2)}


def hexes(draw: random.Random, size: int = 32) -> str:
    return draw.randbytes(size).hex()


def limbs(draw: random.Random, threshold: int) -> list[list[int]]:
    return [[draw.randrange(second.P) for _ in range(threshold - 1)] for _ in range(second.LIMBS)]


def statement_of(site: str, draw: random.Random, study: str, epoch: int, turn: int, stage: int) -> dict[str, Any]:
    identity, secret = draw.randbytes(32), draw.randbytes(32)
    said = second.Statement(site, second.public_key(secret), turn, stage, 3 * turn)
    one = {"site": site, "identity_seed": identity.hex(), "identity": second.public_identity(identity).hex()}
    one |= {"secret": secret.hex(), "key": said.key.hex(), "turn": turn, "stage": stage, "counter": 3 * turn}
    return one | {"signature": second.sign(identity, said.signing_input(bytes.fromhex(study), epoch)).hex()}


def sum_of(sites: list[str], cohort: list[str], lost: list[str], threshold: int, seed: int = 1) -> dict[str, Any]:
    """A whole sum in the form of the vectors, every message made by the second implementation."""
    draw = random.Random(seed)
    study, epoch, turn = hexes(draw), 3, 12
    said = [statement_of(site, draw, study, epoch, turn, 2) for turn, site in enumerate(sites, 7)]
    masked = {"attempt": 2, "turn": turn, "epoch": epoch, "set_changes": 0, "last_set": ""}
    roster = [{key: one[key] for key in ("site", "key", "turn", "stage", "counter", "signature")} for one in said]
    named = {"study": study, "step": "train", "round": 4, "label": "", "cohort": cohort}
    header = named | {
        "kind": "order",
        "counted": {},
        "unused": [],
        "disputed": {},
        "opening": "",
        "weight": 9,
        "masked": masked | {"roster": roster},
    }
    vector = named | masked | {"threshold": threshold, "sites": sites, "lost": lost, "layout": LAYOUT}
    vector |= {
        "order": write_message(header, write_payload({"model/w": ("F32", bytes(8))})).hex(),
        "identity_seeds": {one["site"]: one["identity_seed"] for one in said},
        "secrets": {one["site"]: one["secret"] for one in said},
        "own_seeds": {site: hexes(draw) for site in cohort},
        "coefficients": {site: [limbs(draw, threshold) for _ in cohort] for site in cohort},
        "nonces": {site: {to: hexes(draw, 12) for to in cohort if to != site} for site in cohort},
        "words": {
            site: {a: [draw.randrange(2 ** int(kind[4:])) for _ in range(n)] for a, (kind, n) in LAYOUT.items()}
            for site in cohort
        },
    }
    attempt, counted = attempt_of(vector), [site for site in cohort if site not in lost]
    signers = counted[:threshold] if lost else []
    contributions = {site: attempt.contribution(site) for site in cohort}  # those of the lost came too late
    opens = {site: attempt.ask(site, counted, signers) for site in counted}
    answers = {site: attempt.answer(site, counted, opens[site]) for site in counted}
    vector |= {
        kind: {site: x.hex() for site, x in messages.items()}
        for kind, messages in {"contributions": contributions, "opens": opens, "answers": answers}.items()
    }
    vector["signatures"] = {site: attempt.counted(site, counted).hex() for site in (counted if lost else [])}
    return vector | {"total": attempt.total(counted, contributions, answers)}


def chain_of(seed: int = 2) -> dict[str, Any]:
    draw = random.Random(seed)
    study, h = hexes(draw), hexes(draw)
    said = [statement_of(site, draw, study, 1, 0, 0) for site in NAMES[:3]]
    statements = [second.Statement(one["site"], bytes.fromhex(one["key"]), 0, 0, 0) for one in said]
    roster = second.roster_hash(bytes.fromhex(study), 1, statements)
    shared = second.shared_secret(bytes.fromhex(said[0]["secret"]), statements[1].key)
    chain = second.first_chain(shared, roster, NAMES[1], NAMES[0])
    pair, at = second.pair_seed(chain, bytes.fromhex(h), NAMES[1], NAMES[0]), bytes.fromhex(h)
    vector = {"study": study, "epoch": 1, "sites": said, "roster": roster.hex(), "pair": NAMES[:2], "h": h}
    vector |= {"shared": shared.hex(), "chain": chain.hex(), "next": second.ratchet(chain).hex(), "pair_seed": pair.hex()}
    vector |= {
        "seal_lo_hi": second.seal_key(chain, at, *NAMES[:2]).hex(),
        "seal_hi_lo": second.seal_key(chain, at, *NAMES[1::-1]).hex(),
    }
    return vector | {"pair_commitment": second.pair_commitment(at, *NAMES[1::-1], pair).hex()}  # type: ignore[call-arg]


def vectors_of_our_own() -> dict[str, Any]:
    draw = random.Random(3)
    secret, coefficients = draw.randbytes(32), limbs(draw, 3)
    shares = [second.share(secret, coefficients, point).hex() for point in (1, 2, 4, 5)]
    shamir = {"threshold": 3, "points": [1, 2, 4, 5], "secret": secret.hex(), "coefficients": coefficients, "shares": shares}
    masks = [{"seed": hexes(draw), "array": "model/words", "bits": bits} for bits in (16, 32, 64)]
    masks = [one | {"words": second.mask(bytes.fromhex(one["seed"]), "model/words", one["bits"], 4)} for one in masks]
    sums = [sum_of(NAMES[:3], NAMES[:3], [], 2), sum_of(NAMES, NAMES[:4], NAMES[1:2], 3)]
    return {"version": 1, "shamir": [shamir], "chain": [chain_of()], "mask": masks, "sums": sums}


def leaves(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every number and text in a tree."""
    if not isinstance(value, dict | list):
        return []
    leaves_below = []
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        leaves_below += leaves(child) if isinstance(child, dict | list) else [(value, key)]
    return leaves_below


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 4, 5])
def test_the_masked_sum_is_the_plain_sum_of_those_who_were_counted(n: int) -> None:
    """The one thing all this is for; each pattern of loss that leaves t sites, each width of words."""
    threshold = n // 2 + 1
    for lost in (gone for size in range(n - threshold + 1) for gone in combinations(NAMES[:n], size)):
        vector = sum_of(NAMES[:n], NAMES[:n], list(lost), threshold)
        for array, (kind, _) in LAYOUT.items():
            words = [vector["words"][site][array] for site in NAMES[:n] if site not in lost]
            assert vector["total"][array] == [sum(column) % 2 ** int(kind[4:]) for column in zip(*words, strict=True)]


def test_a_cohort_smaller_than_the_study_keeps_the_points_of_the_study() -> None:
    """A site's point is its place among all approved sites; places in the cohort would give other shares."""
    vector = sum_of(NAMES, NAMES[1:], NAMES[3:4], 3)
    attempt = attempt_of(vector)
    expected = second.share(attempt.own_seeds["Zwolle"], attempt.coefficients["Zwolle"][0], 5)
    assert attempt.shares_for("Zwolle", "clinic")[0] == expected
    check_vectors(vectors_of_our_own() | {"sums": [vector]})


def test_masked_words_differ_from_the_words_and_from_those_under_another_order() -> None:
    """Equal words under two orders must not look equal, or a repeated round would tell that nothing changed."""
    vector = sum_of(NAMES[:3], NAMES[:3], [], 2)
    header, payload = read_message(bytes.fromhex(vector["order"]))
    header["masked"]["turn"] += 1
    later = attempt_of(vector | {"order": write_message(header, payload).hex()})
    one, other = attempt_of(vector).masked_words("Aachen", "model/words"), later.masked_words("Aachen", "model/words")
    assert len({tuple(one), tuple(other), tuple(vector["words"]["Aachen"]["model/words"])}) == 3


def test_any_threshold_of_shares_recovers_the_secret_and_fewer_do_not() -> None:
    """Whoever is lost, t answers open; the all-ones secret fills every limb."""
    draw = random.Random(4)
    for secret in (bytes(32), b"\xff" * 32, draw.randbytes(32)):
        coefficients = limbs(draw, 3)
        shares = {point: second.share(secret, coefficients, point) for point in range(1, 6)}
        assert all(second.recover({x: shares[x] for x in points}) == secret for points in combinations(shares, 3))
        with pytest.raises((AssertionError, OverflowError)):
            assert second.recover({x: shares[x] for x in (1, 2)}) == secret


@pytest.mark.parametrize("field", range(9))
def test_shares_sealed_under_other_associated_data_do_not_open(field: int) -> None:
    """Sealed shares taken to another study, sum, attempt, turn, cohort, order, owner or recipient say nothing."""
    attempt = attempt_of(sum_of(NAMES[:3], NAMES[:3], [], 2))
    i, j = NAMES[:2]
    fields = [*attempt.named, second.prefixed(attempt.cohort), attempt.h, i.encode(), j.encode()]
    key = second.seal_key(attempt.chain(j, i), attempt.h, i, j)
    assert second.open_sealed(key, attempt.sealed_shares(i, j), second.T("sealed", *fields)) == b"".join(attempt.shares_for(i, j))
    other = [x + b"\0" * (number == field) for number, x in enumerate(fields)] + [b""] * (field == len(fields))
    with pytest.raises(InvalidTag):
        second.open_sealed(key, attempt.sealed_shares(i, j), second.T("sealed", *other))


def test_hkdf_is_that_of_rfc_5869() -> None:
    """Test cases 1 and 3 of its appendix: with a salt, and with neither salt nor info."""
    case_1 = second.hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert case_1.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    case_3 = second.hkdf(b"\x0b" * 22, b"", b"", 42)
    assert case_3.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"


def test_t_is_spelled_out_once_by_hand() -> None:
    """The notation is under everything else: a label, a zero byte, and lengths of four bytes, big-endian."""
    spelled = b"wardround masked-sum 1 train\x00\x00\x00\x00\x02ab\x00\x00\x00\x00"
    assert second.T("train", b"ab", "") == second.sha256(spelled)


def test_masks_are_the_key_stream_of_the_derived_key() -> None:
    """AES-256 of the counter block (0, 2) is the stream's first block; CTR counts up from there."""
    block = Cipher(AES(second.KDF(b"s" * 32, b"", "mask", "model/words")), ECB()).encryptor()
    stream = block.update(bytes(15) + b"\x02") + block.update(bytes(15) + b"\x03")
    for bits in (16, 32, 64):
        assert second.to_bytes(second.mask(b"s" * 32, "model/words", bits, 256 // bits), bits) == stream


def test_the_reader_of_vectors_accepts_what_this_implementation_made() -> None:
    """Through JSON and back, as a file would come."""
    check_vectors(json.loads(json.dumps(vectors_of_our_own())))


@pytest.mark.slow
def test_the_reader_of_vectors_finds_a_changed_value() -> None:
    """A reader that skips a field would let both implementations drift apart in it. 80 values of each kind; all take 20 s."""
    vectors = json.loads(json.dumps(vectors_of_our_own()))
    draw = random.Random(5)
    unread = []
    for kind in ("shamir", "chain", "mask", "sums"):
        for leaf in draw.sample(range(len(leaves(vectors[kind]))), min(80, len(leaves(vectors[kind])))):
            changed = copy.deepcopy(vectors)
            container, key = leaves(changed[kind])[leaf]
            value = container[key]
            container[key] = value + 1 if isinstance(value, int) else ("1" if value[:1] == "0" else "0") + value[1:]
            try:
                check_vectors(changed)
                unread.append((kind, key, value))
            except (AssertionError, KeyError, ValueError, OverflowError, IndexError):
                pass
    assert not unread


def test_the_vectors_of_the_first_implementation_are_those_of_the_second() -> None:
    """Two readings of one page, byte for byte."""
    check_vectors(json.loads(VECTORS.read_text(encoding="utf-8")))


def test_the_vectors_are_what_their_script_makes() -> None:
    """A vectors file that nobody can make again proves nothing about the program of today."""
    script = runpy.run_path(str(VECTORS.with_name("make_masked_sum.py")))
    assert json.loads(VECTORS.read_text(encoding="utf-8")) == json.loads(json.dumps(script["vectors"]()))
