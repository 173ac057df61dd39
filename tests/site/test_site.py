"""A site as a machine: bytes in, bytes out. Every illegal order is refused with a fixed word and changes nothing on disk."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from wardround.plan.plan import Plan
from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.values.canonical import sha256_hex
from wardround.values.errors import DataError, RunError
from wardround.values.records import Records
from wardround.values.tree import Bundle, Tree, same_bits
from wardround.wire.envelope import from_bytes, pack_bundle, to_bytes
from wardround.wire.messages import ContributionHeader, ContributionMessage, Order, OrderHeader, Refusal, RefusalHeader

from ..federation.tiny_federation import MARKER, files_in, records, site, study

STUDY = study("scaffold")
PLAN = Plan(STUDY)
MODEL = PLAN.initial_model()
COHORT = ("east", "north", "south")
WEIGHT = 76
ZERO = {name: np.zeros_like(array) for name, array in MODEL.items()}
TRAIN: Bundle = {"model": MODEL, "control": ZERO}


def order(step: Any, number: int = 0, bundle: Bundle | None = None, **changes: Any) -> bytes:
    """The bytes of an order as this study's coordinator would send it, with `changes` to its header."""
    bundles = {"open": {"model": MODEL}, "train": TRAIN, "evaluate": {"model": MODEL}}
    fields: dict[str, Any] = {"study": STUDY.hash, "step": step, "round": number, "cohort": COHORT}
    if step == "train":
        fields["weight"] = WEIGHT
    if step == "evaluate":
        fields["label"] = "federated"
    header = OrderHeader(**(fields | changes))
    return to_bytes(Order(header, pack_bundle(bundles.get(step, {}) if bundle is None else bundle)))


ALL_OF_1, ALL_OF_2 = (dict.fromkeys(COHORT, number) for number in (1, 2))
OPEN = order("open")
ROUND_1 = order("train", 1)
ROUND_2 = order("train", 2, counted=ALL_OF_1)
HISTORIES = {"new": (), "opened": (OPEN,), "trained": (OPEN, ROUND_1, ROUND_2)}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes the site north in one folder, closing the one before: what a restarted process is."""
    running: list[Site] = []

    def begin(load: Callable[[], Records] | None = None, of: Study = STUDY) -> Site:
        if running:
            running.pop().close()
        running.append(site("north", of, tmp_path / "north", load))
        return running[0]

    yield begin
    for one in running:
        one.close()


def after(one: Site, history: str) -> Site:
    for data in HISTORIES[history]:
        assert isinstance(from_bytes(one.handle(data)), ContributionMessage)
    return one


def refused(one: Site, data: bytes) -> str:
    """The word that `data` is refused with; nothing but the log may change on disk."""
    before = files_in(one.store.folder)
    answer = from_bytes(one.handle(data))
    assert isinstance(answer, Refusal)
    assert answer.header == RefusalHeader(study=STUDY.hash, site="north", order=sha256_hex(data), code=answer.header.code)
    assert files_in(one.store.folder) == before
    return answer.header.code


def contributed(one: Site, data: bytes) -> Tree:
    answer = from_bytes(one.handle(data))
    assert isinstance(answer, ContributionMessage), answer
    assert (answer.header.site, answer.header.order) == ("north", sha256_hex(data))
    return answer.arrays


OTHER = "f" * 64
CONTRIBUTION = to_bytes(
    ContributionMessage(
        ContributionHeader(study=STUDY.hash, step="train", round=1, site="north", order=OTHER),
        {"model/words": np.zeros(3, np.uint32)},
    )
)
REFUSAL = to_bytes(Refusal(RefusalHeader(study=STUDY.hash, site="north", order=OTHER, code="wire")))

EVERYWHERE = [
    ("another study, open", order("open", study=OTHER), "study"),
    ("another study, train", order("train", 3, study=OTHER), "study"),
    ("another study, evaluate", order("evaluate", 3, study=OTHER), "study"),
    ("another study, close", order("close", 3, study=OTHER), "study"),
    ("not in the cohort", order("train", 3, cohort=("east", "south")), "cohort"),
    ("not in the cohort, open", order("open", cohort=("east", "south", "west")), "cohort"),
    ("alone in the cohort", order("train", 3, cohort=("north",)), "cohort-too-small"),
    ("alone in the cohort, open", order("open", cohort=("north",)), "cohort-too-small"),
    ("alone in the cohort, evaluate", order("evaluate", 3, cohort=("north",)), "cohort-too-small"),
    ("nobody in the cohort", order("close", 3, cohort=()), "cohort"),
    ("a contribution", CONTRIBUTION, "wire"),
    ("a refusal", REFUSAL, "wire"),
    ("nothing", b"", "wire"),
    ("noise", b"\0" * 100, "wire"),
    ("an order cut short", ROUND_1[:-1], "wire"),
    ("an order with a byte too many", ROUND_1 + b"\0", "wire"),
]
NEW = [
    ("train before open", ROUND_1, "not-open"),
    ("own before open", order("own", 1), "not-in-study"),
    ("evaluate before open", order("evaluate", 3), "not-open"),
    ("close before open", order("close", 3), "not-open"),
]
TRAINED = [
    ("an old round", order("train", 1, counted=ALL_OF_1), "old-round"),
    ("the same round, said otherwise", order("train", 2, counted={"east": 1}), "old-round"),
    ("the same round for a smaller cohort", order("train", 2, cohort=("east", "north"), counted=ALL_OF_1), "old-round"),
    ("open after training", order("open", cohort=("east", "north")), "already-open"),
    ("a total below this site's weight", order("train", 3, weight=3), "weight"),
    ("a model of other names", order("train", 3, {"model": {"w": ZERO["head.bias"]}, "control": ZERO}), "model"),
    ("a model of another shape", order("train", 3, {**TRAIN, "model": {**MODEL, "head.bias": np.zeros(9, np.float32)}}), "model"),
    ("no model", order("train", 3, {}), "model"),
    ("a model that is not finite", order("train", 3, {**TRAIN, "model": {n: a + np.nan for n, a in MODEL.items()}}), "model"),
    ("a control that is not finite", order("train", 3, {**TRAIN, "control": {n: a + np.inf for n, a in ZERO.items()}}), "model"),
    ("a model beyond the bound", order("train", 3, {**TRAIN, "model": {n: a + 1e30 for n, a in MODEL.items()}}), "model"),
    ("a round after the last", order("train", 4), "not-in-study"),
]
CASES = [(history, *case) for history in HISTORIES for case in EVERYWHERE]
CASES += [("new", *case) for case in NEW] + [("trained", *case) for case in TRAINED]


@pytest.mark.parametrize(
    ("history", "data", "code"), [(h, d, c) for h, _, d, c in CASES], ids=[f"{h}-{w}" for h, w, _, _ in CASES]
)
def test_an_illegal_order_is_refused_by_a_fixed_word_and_changes_nothing(
    start: Callable[..., Site], history: str, data: bytes, code: str
) -> None:
    """Every illegal transition. After the refusal the legal order is answered as if nothing had been asked."""
    one = after(start(), history)
    found = refused(one, data)
    assert found == code
    legal = {"new": OPEN, "opened": ROUND_1, "trained": order("train", 3, counted=ALL_OF_2)}[history]
    contributed(one, legal)


def test_a_repeated_order_gets_the_stored_bytes_without_a_second_training(start: Callable[..., Site]) -> None:
    """A reply lost on the way, or a coordinator killed before its checkpoint: two trainings could give two sums."""
    one = start()
    for data in (OPEN, ROUND_1, ROUND_2, order("evaluate", 3), order("close", 3)):
        first = one.handle(data)
        before = files_in(one.store.folder)
        one.work._trainer = None  # type: ignore[method-assign, assignment]  # any work would fail
        one.work._scores = None  # type: ignore[method-assign, assignment]
        assert one.handle(data) == first
        assert files_in(one.store.folder) == before
        one = start()
        assert one.handle(data) == first
        assert isinstance(from_bytes(first), ContributionMessage)


def test_a_site_killed_before_its_reply_was_recorded_answers_the_same(
    start: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is repeated to the restarted site: the same records, seed and memory give the same bytes."""
    one = after(start(), "opened")
    monkeypatch.setattr(one.store, "write", full_disk)
    answer = from_bytes(one.handle(ROUND_1))
    assert isinstance(answer, Refusal)
    assert answer.header.code == "disk"
    again = contributed(start(), ROUND_1)
    fresh = site("north", STUDY, one.store.folder.parent / "fresh")
    assert same_bits(again, contributed(after(fresh, "opened"), ROUND_1))
    fresh.close()


@pytest.mark.parametrize(("counted", "kept"), [(ALL_OF_1, True), ({"east": 1, "south": 1}, False), ({}, False)])
def test_memory_is_committed_only_if_the_reply_was_counted(
    start: Callable[..., Site], counted: dict[str, int], kept: bool
) -> None:
    """SCAFFOLD's c is the mean of what was counted: a site that was not must go on from its old c_k."""
    one = after(start(), "opened")
    contributed(one, ROUND_1)
    waiting = one.store.read()
    assert waiting.memory == {}
    assert waiting.pending is not None
    contributed(one, order("train", 2, counted=counted))
    settled = one.store.read()
    if kept:
        assert same_bits(settled.memory["control"], waiting.pending["control"])
    else:
        assert settled.memory == {}


def test_hearing_twice_that_a_round_counted_changes_nothing(start: Callable[..., Site]) -> None:
    """Several orders follow one round; only the first of them settles it."""
    one = after(start(), "opened")
    contributed(one, ROUND_1)
    contributed(one, order("evaluate", 3, counted=ALL_OF_1))
    memory = one.store.read().memory
    contributed(one, order("close", 3, counted={"east": 1}))
    assert one.store.read().memory.keys() == memory.keys() == {"control"}
    assert same_bits(one.store.read().memory["control"], memory["control"])


def test_a_site_that_missed_a_round_keeps_the_memory_that_was_counted_before(start: Callable[..., Site]) -> None:
    """It never heard the order that would have settled round 1; round 2 went on without it. Its c_k of round 1 is in c."""
    one = after(start(), "opened")
    contributed(one, ROUND_1)
    pending = one.store.read().pending
    assert pending is not None
    contributed(one, order("train", 3, counted={"east": 2, "north": 1, "south": 2}))
    assert one.store.read().round == 3
    assert same_bits(one.store.read().memory["control"], pending["control"])


def test_a_reply_lost_long_ago_is_not_counted_later(start: Callable[..., Site]) -> None:
    """Answered round 2, of which the reply was lost; missed round 3. Last counted: round 1."""
    one = after(start(), "trained")
    older = one.store.read().memory
    contributed(one, order("evaluate", 3, counted={"east": 3, "north": 1, "south": 3}))
    assert one.store.read().pending is None
    assert same_bits(one.store.read().memory["control"], older["control"])


def test_changed_records_are_refused(start: Callable[..., Site]) -> None:
    """Half a run on other data would be a result that nobody can explain. One value of one patient is enough."""
    changed = records("north")
    changed.inputs[5, 1] += np.float32(1e-3)
    relabelled = records("north")
    relabelled.labels[7] ^= 1
    after(start(), "opened")
    for other in (changed, relabelled, records("north").select(np.arange(42))):
        one = start(lambda other=other: other)
        for data, word in ((ROUND_1, "records"), (ROUND_2, "stopped"), (order("evaluate", 3), "stopped")):
            assert refused_code(one, data) == word
        one.store.go_on()
    contributed(start(), ROUND_1)


def test_a_site_without_training_records_does_not_open(start: Callable[..., Site]) -> None:
    """It would be counted with weight 0 and could only learn about the others."""
    empty = records("north").where("test")
    assert refused_code(start(lambda: empty), OPEN) == "records"


def refused_code(one: Site, data: bytes) -> str:
    answer = from_bytes(one.handle(data))
    assert isinstance(answer, Refusal)
    return answer.header.code


def full_disk(*_: Any) -> NoReturn:
    raise RunError("The disk is full")


def broken(kind: str) -> Callable[[], Records]:
    def load() -> Records:
        if kind == "data":
            raise DataError(f"the row of {MARKER} is damaged", found=MARKER)
        if kind == "internal":
            raise KeyError(f"{MARKER}")
        found = records("north")
        return Records(found.inputs.astype(object), found.labels, found.patients, found.splits)

    return load


@pytest.mark.parametrize("kind", ["data", "internal", "objects"])
def test_what_goes_wrong_with_a_patients_record_stays_at_the_site(start: Callable[..., Site], kind: str) -> None:
    """Error texts quote what they met. The coordinator gets one word; the hospital's own log has the rest."""
    one = start(broken(kind))
    answers = [one.handle(data) for data in (OPEN, ROUND_1)]
    if kind == "objects":
        answers = [one.handle(data) for data in (OPEN, ROUND_1)]
    for answer in answers:
        assert MARKER.encode() not in answer
    message = from_bytes(answers[0])
    if kind != "objects":
        assert isinstance(message, Refusal)
        assert message.header.code == {"data": "records"}.get(kind, kind)
        assert MARKER in (one.store.folder / "log.ndjson").read_text("utf-8")


def test_no_byte_that_leaves_names_a_patient(start: Callable[..., Site]) -> None:
    """Every answer of a whole run: contributions are words and counts, refusals are words."""
    one = start()
    answers = [one.handle(data) for _, _, data, _ in CASES[:16]]
    answers += [one.handle(data) for data in (OPEN, ROUND_1, ROUND_2, order("evaluate", 3), order("close", 3))]
    assert len(answers) == 21
    for answer in answers:
        assert MARKER.encode() not in answer
        assert MARKER.encode("utf-16-le") not in answer
        assert all(row.tobytes() not in answer for row in records("north").inputs)


def test_only_sums_leave_never_a_count_below_a_whole_split(start: Callable[..., Site]) -> None:
    """The opening holds the numbers of images, patients and positives by split, and nothing else."""
    arrays = contributed(start(), OPEN)
    assert arrays.keys() == {"counts/words"}
    own = records("north")
    images = [len(own.where(split)) for split in ("train", "validation", "test")]
    positives = [int(own.where(split).labels.sum()) for split in ("train", "validation", "test")]
    assert arrays["counts/words"].tolist() == [*images, *images, *positives]
    assert images == [32, 8, 8]


def test_steps_that_give_nothing_send_nothing(start: Callable[..., Site]) -> None:
    """A hospital's own model never leaves."""
    with_own = study("scaffold", own=True)
    one = start(of=with_own)
    for data in (
        order("open", study=with_own.hash),
        order("own", 1, study=with_own.hash),
        order("close", 3, study=with_own.hash),
    ):
        assert contributed(one, data).keys() <= {"counts/words"}
    assert refused_code(one, order("own", 2, study=with_own.hash)) == "closed"


def test_a_damaged_memory_is_a_refusal_not_a_new_start(start: Callable[..., Site]) -> None:
    """A site that forgot would answer a round twice."""
    one = after(start(), "trained")
    state = one.store.folder / "state.safetensors"
    for damage in (b"", b"\0" * 40, state.read_bytes()[:-1]):
        whole = state.read_bytes()
        state.write_bytes(damage)
        assert refused(one, order("train", 3, counted=ALL_OF_2)) == "disk"
        state.write_bytes(whole)
        one = start()
    contributed(one, order("train", 3, counted=ALL_OF_2))


def test_two_processes_cannot_be_one_site(start: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two memories of one hospital would diverge."""
    one = start()
    monkeypatch.setattr("wardround.site.store.LOCK_WAIT_S", 0.05)
    with pytest.raises(RunError, match="in use"):
        site("north", STUDY, one.store.folder)


def test_memory_and_report_are_for_the_hospital_alone(start: Callable[..., Site]) -> None:
    """Other users of the machine must not read what a hospital learned, or what an error quoted."""
    one = after(start(), "trained")
    refused(one, b"")
    assert (one.store.folder / "log.ndjson").exists()
    for path in one.store.folder.iterdir():
        if path.suffix != ".lock":
            assert path.stat().st_mode & 0o077 == 0, path.name
