"""Reads a file of vectors of the masked sum and recomputes every byte of it with the second implementation.

Raises `AssertionError` at the first byte that differs, with the path of it in the file.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from . import second_implementation as second
from .second_wire import BITS, read_message, read_payload

Vector = Mapping[str, Any]
unhex = bytes.fromhex


def check_vectors(vectors: Vector) -> None:
    """Every vector of every kind; a file without one of the four kinds proves nothing and does not pass."""
    assert vectors["version"] == 1
    kinds = {"shamir": check_shamir, "chain": check_chain, "mask": check_mask, "sums": check_sum}
    for kind, check in kinds.items():
        assert vectors[kind], f"no vectors of {kind}"
        for number, vector in enumerate(vectors[kind]):
            check(vector, f"{kind}[{number}]")


def same(computed: object, expected: object, where: str) -> None:
    assert computed == expected, f"{where}: the second implementation has {computed!r}, the vectors {expected!r}"


def check_shamir(vector: Vector, where: str) -> None:
    assert all(len(limb) == vector["threshold"] - 1 for limb in vector["coefficients"]), where
    shares = {x: second.share(unhex(vector["secret"]), vector["coefficients"], x) for x in vector["points"]}
    same([one.hex() for one in shares.values()], list(vector["shares"]), f"{where}.shares")
    for points in combinations(shares, vector["threshold"]):
        recovered = second.recover({x: unhex(vector["shares"][vector["points"].index(x)]) for x in points})
        same(recovered.hex(), vector["secret"], f"{where}: recovered from {points}")


def check_chain(vector: Vector, where: str) -> None:
    study, epoch, h = unhex(vector["study"]), vector["epoch"], unhex(vector["h"])
    said = {one["site"]: check_statement(one, study, epoch, f"{where}.sites") for one in vector["sites"]}
    roster = second.roster_hash(study, epoch, [said[site] for site in sorted(said)])
    same(roster.hex(), vector["roster"], f"{where}.roster")
    lo, hi = vector["pair"]
    secrets = {one["site"]: unhex(one["secret"]) for one in vector["sites"]}
    for i, j in ((lo, hi), (hi, lo)):
        shared = second.shared_secret(secrets[i], said[j].key)
        same(shared.hex(), vector["shared"], f"{where}.shared, computed by {i}")
    chain = second.first_chain(shared, roster, lo, hi)
    same(chain.hex(), vector["chain"], f"{where}.chain")
    same(second.ratchet(chain).hex(), vector["next"], f"{where}.next")
    # The page does not say at which position the vector's seeds are taken; all of them have to be from the same one.
    names = ("pair_seed", "seal_lo_hi", "seal_hi_lo", "pair_commitment")
    possible = [derived(memory_status, h, lo, hi) for memory_status in (chain, second.ratchet(chain))]
    computed = tuple(vector[name] for name in names)
    assert computed in possible, f"{where}: {dict(zip(names, computed, strict=True))} is of neither chain, {possible}"


def derived(chain: bytes, h: bytes, lo: str, hi: str) -> tuple[str, ...]:
    seed = second.pair_seed(chain, h, lo, hi)
    seal_keys = second.seal_key(chain, h, lo, hi), second.seal_key(chain, h, hi, lo)
    return tuple(x.hex() for x in (seed, *seal_keys, second.pair_commitment(h, lo, hi, seed)))


def check_statement(one: Vector, study: bytes, epoch: int, where: str) -> second.Statement:
    said = second.Statement(one["site"], unhex(one["key"]), one["turn"], one["stage"], one["counter"])
    same(second.public_identity(unhex(one["identity_seed"])).hex(), one["identity"], f"{where}, identity of {said.site}")
    same(second.public_key(unhex(one["secret"])).hex(), one["key"], f"{where}, key of {said.site}")
    signature = second.sign(unhex(one["identity_seed"]), said.signing_input(study, epoch))
    same(signature.hex(), one["signature"], f"{where}, signature of {said.site}")
    return said


def check_mask(vector: Vector, where: str) -> None:
    assert vector["bits"] in (16, 32, 64), where
    words = second.mask(unhex(vector["seed"]), vector["array"], vector["bits"], len(vector["words"]))
    same(words, list(vector["words"]), f"{where}.words")


def attempt_of(vector: Vector) -> second.Attempt:
    return second.Attempt(
        order=unhex(vector["order"]),
        sites=vector["sites"],
        threshold=vector["threshold"],
        layout={a: (BITS[kind.upper().replace("UINT", "U")], count) for a, (kind, count) in vector["layout"].items()},
        identity_seeds={site: unhex(x) for site, x in vector["identity_seeds"].items()},
        secrets={site: unhex(x) for site, x in vector["secrets"].items()},
        own_seeds={site: unhex(x) for site, x in vector["own_seeds"].items()},
        coefficients=vector["coefficients"],
        nonces={site: {to: unhex(x) for to, x in nonces.items()} for site, nonces in vector["nonces"].items()},
        words=vector["words"],
    )


def check_sum(vector: Vector, where: str) -> None:
    attempt = attempt_of(vector)
    degrees = {len(limb) for of_site in attempt.coefficients.values() for of_secret in of_site for limb in of_secret}
    same(degrees, {attempt.threshold - 1}, f"{where}.coefficients: degrees")
    check_order(attempt, vector, where)
    counted = [site for site in attempt.cohort if site not in vector["lost"]]
    contributions, answers = ({site: unhex(x) for site, x in vector[kind].items()} for kind in ("contributions", "answers"))
    assert set(contributions) >= set(counted), f"{where}: a counted site without a contribution"
    for site, message in contributions.items():
        same_message(attempt.contribution(site), message, f"{where}.contributions.{site}")
    signatures = vector.get("signatures") or {}
    assert bool(signatures) == bool(vector["lost"]), f"{where}: signatures are there if and only if somebody was lost"
    for site, signature in signatures.items():
        same(attempt.counted(site, counted).hex(), signature, f"{where}.signatures.{site}")
    assert set(counted) >= set(answers) <= set(vector["opens"]), f"{where}: an answer of somebody who was not asked"
    for site, answer in answers.items():
        ask = unhex(vector["opens"][site])
        certificate = read_message(ask)[0]["certificate"]
        assert set(certificate) <= set(signatures), f"{where}: a certificate with signatures of others"
        assert len(certificate) >= (attempt.threshold if vector["lost"] else 0), f"{where}: too small a certificate"
        assert vector["lost"] or not certificate, f"{where}: a certificate where nobody was lost"
        same_message(attempt.ask(site, counted, certificate), ask, f"{where}.opens.{site}")
        same_message(attempt.answer(site, counted, ask), answer, f"{where}.answers.{site}")
    total = {a: list(words) for a, words in vector["total"].items()}
    same(attempt.total(counted, contributions, answers), total, f"{where}.total")
    plain = {a: [sum(c) % 2**bits for c in columns(vector, counted, a)] for a, (bits, _) in attempt.layout.items()}
    same(plain, total, f"{where}: the plain sum")


def columns(vector: Vector, counted: list[str], array: str) -> Iterator[tuple[int, ...]]:
    return zip(*(vector["words"][site][array] for site in counted), strict=True)


def check_order(attempt: second.Attempt, vector: Vector, where: str) -> None:
    """The order says what the vector says, and every site of its roster said what stands there."""
    header, masked = attempt.header, attempt.header["masked"]
    said = {key: header[key] for key in ("study", "step", "round", "label", "cohort")}
    said |= {key: masked[key] for key in ("attempt", "turn", "epoch")}
    same(said, {key: vector[key] for key in said}, f"{where}.order")
    assert header["kind"] == "order", f"{where}.order"
    fields = {"attempt", "turn", "epoch", "roster", "set_changes", "last_set"}
    same(set(masked), fields, f"{where}.order.masked")
    same([one["site"] for one in masked["roster"]], sorted({one["site"] for one in masked["roster"]}), f"{where}.order.roster")
    for statement, one in zip(attempt.roster, masked["roster"], strict=True):
        assert set(one) == {"site", "key", "turn", "stage", "counter", "signature"}, f"{where}.order.roster"
        seed, secret = attempt.identity_seeds[statement.site], attempt.secrets[statement.site]
        same(second.public_key(secret).hex(), one["key"], f"{where}.order.roster, key of {statement.site}")
        signature = second.sign(seed, statement.signing_input(attempt.study, masked["epoch"]))
        same(signature.hex(), one["signature"], f"{where}.order.roster, signature of {statement.site}")


def same_message(computed: bytes, expected: bytes, where: str) -> None:
    """Names the header or the array that differs; two messages of kilobytes side by side would tell nobody anything."""
    (header, payload), (other_header, other_payload) = read_message(computed), read_message(expected)
    arrays, other_arrays = read_payload(payload), read_payload(other_payload)
    same(sorted(arrays), sorted(other_arrays), f"{where}: names of arrays")
    wrong = [name for name, array in arrays.items() if array != other_arrays[name]]
    assert not wrong, f"{where}: other bytes in {wrong}"
    same(json.dumps(header, sort_keys=True), json.dumps(other_header, sort_keys=True), f"{where}: header")
    assert computed == expected, where
