"""The study is the whole permission: a site answers each sum of its list once, and nothing else, whatever a coordinator sends."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.hub.coordinator import Coordinator
from wardround.plan.permission import MOST_UNNAMED, Permission
from wardround.plan.plan import Plan
from wardround.site.config import identity_in
from wardround.site.refusals import ENDING, PUBLIC, REFUSALS_IN_A_ROW
from wardround.site.site import Site
from wardround.site.store import STATE
from wardround.study.declaration import Study
from wardround.values.canonical import sha256_hex
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import Bundle
from wardround.wire.envelope import from_bytes, pack_bundle, to_bytes
from wardround.wire.messages import Ask, AskHeader, ContributionMessage, Order, OrderHeader, Refusal

from ..federation.tiny_federation import NAMES, Ward, enrolled, files_in, records, site, study, ward
from ..hub.masked_runs import header_of, masked

pytestmark = pytest.mark.permission

STUDY = study("scaffold")
MODEL = Plan(STUDY).initial_model()
ZERO = {name: np.zeros_like(array) for name, array in MODEL.items()}
TRAIN: Bundle = {"model": MODEL, "control": ZERO}


def order(step: Any, number: int, bundle: Bundle, **changes: Any) -> bytes:
    fields: dict[str, Any] = {"study": STUDY.hash, "step": step, "round": number, "cohort": NAMES}
    fields |= {"weight": 76} if step == "train" else {}
    fields |= {"label": "federated"} if step == "evaluate" else {}
    return to_bytes(Order(OrderHeader(**(fields | changes)), pack_bundle(bundle)))


def everybody(number: int) -> dict[str, int]:
    return dict.fromkeys(NAMES, number)


OPEN = order("open", 0, {"model": MODEL})
LEGAL = {
    "opened": [OPEN],
    "trained": [OPEN, order("train", 1, TRAIN), order("train", 2, TRAIN, counted=everybody(1))],
    "evaluated": [
        OPEN,
        *(order("train", number, TRAIN, counted=everybody(number - 1) if number > 1 else {}) for number in (1, 2, 3)),
        order("evaluate", 3, {"model": MODEL}, counted=everybody(3)),
    ],
}
LEGAL["closed"] = [*LEGAL["evaluated"], order("close", 3, {}, counted=everybody(3))]
LEGAL_NEXT = {"opened": LEGAL["trained"][1], "trained": LEGAL["evaluated"][3], "evaluated": LEGAL["closed"][-1]}

EXTRA = {**TRAIN, "more": {"w": np.zeros(2, np.float32)}}
WRONG_TYPE = {**TRAIN, "control": {name: array.astype(np.uint32) for name, array in ZERO.items()}}
LARGE = {**TRAIN, "model": {name: array + np.float32(2**21) for name, array in MODEL.items()}}
OUTSIDE: list[tuple[str, bytes, str]] = [
    ("a round that the study does not have", order("train", 99_999, TRAIN), "not-in-study"),
    ("a label on a round", order("train", 3, TRAIN, label="again"), "not-in-study"),
    ("an own model that the study does not have", order("own", 1, {}), "not-in-study"),
    ("scores under another name", order("evaluate", 3, {"model": MODEL}, label="mine"), "not-in-study"),
    ("scores under an own model's name", order("evaluate", 3, {"model": MODEL}, label="own-north"), "not-in-study"),
    ("scores in an early round", order("evaluate", 1, {"model": MODEL}), "not-in-study"),
    ("a close in an early round", order("close", 1, {}), "not-in-study"),
    ("a weight where none is read", order("evaluate", 3, {"model": MODEL}, weight=1), "weight"),
    ("no weight where one is read", order("train", 3, TRAIN, weight=0), "weight"),
    ("arrays that nobody reads", order("train", 3, EXTRA), "model"),
    ("arrays of another type", order("train", 3, WRONG_TYPE), "model"),
    ("values that no model has", order("train", 3, LARGE), "model"),
    ("a close with arrays", order("close", 3, {"model": MODEL}), "model"),
    ("a hospital that the study knows nothing of", order("train", 3, TRAIN, study="f" * 64), "study"),
]


@pytest.fixture
def north(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    running: list[Site] = []

    def begin(declared: Study = STUDY) -> Site:
        while running:
            running.pop().close()
        running.append(site("north", declared, tmp_path / "north"))
        return running[0]

    yield begin
    for one in running:
        one.close()


def word(one: Site, data: bytes) -> str:
    """ "answered", or the word of the refusal, which must be one of the closed list."""
    answer = from_bytes(one.handle(data))
    if not isinstance(answer, Refusal):
        return "answered"
    assert answer.header.code in PUBLIC | ENDING
    return answer.header.code


@pytest.mark.parametrize("history", ["opened", "trained", "evaluated"])
@pytest.mark.parametrize(("what", "data", "code"), OUTSIDE, ids=[what for what, _, _ in OUTSIDE])
def test_what_the_study_does_not_have_is_refused_and_changes_nothing(
    north: Callable[..., Site],
    history: str,
    what: str,  # noqa: ARG001
    data: bytes,
    code: str,
) -> None:
    """Each was answered once, under this or another study."""
    one = north()
    assert [word(one, each) for each in LEGAL[history]] == ["answered"] * len(LEGAL[history])
    before = files_in(one.store.folder)
    assert word(one, data) == code
    assert files_in(one.store.folder) == before
    assert word(one, LEGAL_NEXT[history]) == "answered"


def test_the_list_is_finite_and_each_name_of_it_is_answered_once(north: Callable[..., Site]) -> None:
    """A second order of the same name, over fewer hospitals or with other bytes, gets nothing; the same bytes get the same."""
    one = north()
    first = [one.handle(data) for data in LEGAL["evaluated"]]
    assert {planned.step for planned in Permission(Plan(STUDY))} == {"open", "train", "evaluate", "close"}
    for data, answer in zip(LEGAL["evaluated"], first, strict=True):
        message = from_bytes(data)
        assert isinstance(message, Order)
        for changes in ({"cohort": ("east", "north")}, {"counted": {"north": 1}}):
            again = to_bytes(Order(message.header.revised(**changes), message.arrays))
            assert word(one, again) in ("already-open", "old-round", "asked-before")
        other = {name: array + np.float32(0.5) for name, array in message.arrays.items()}
        assert word(one, to_bytes(Order(message.header, other))) == "other-content"
        assert isinstance(from_bytes(answer), ContributionMessage)
    assert one.handle(LEGAL["evaluated"][-1]) == first[-1]


def test_the_total_weight_is_the_same_in_every_round(north: Callable[..., Site]) -> None:
    """By other totals a coordinator would ask for a hospital's own weight; one below it is no question either."""
    one = north()
    assert word(one, OPEN) == "answered"
    assert word(one, order("train", 1, TRAIN, weight=90)) == "answered"
    assert word(one, order("train", 2, TRAIN, counted=everybody(1), weight=91)) == "weight"
    assert word(one, order("train", 2, TRAIN, counted=everybody(1), weight=90)) == "answered"


def test_steps_and_rounds_go_forward_only(north: Callable[..., Site]) -> None:
    """A coordinator that trains after the evaluation fits its models to what the test patients have shown."""
    one = north()
    assert word(one, OPEN) == "answered"
    assert word(one, order("train", 2, TRAIN)) == "answered"
    assert word(one, order("train", 1, TRAIN)) == "old-round"
    assert word(one, order("evaluate", 3, {"model": MODEL})) == "answered"
    for again in (one, north()):
        assert word(again, order("train", 3, TRAIN)) == "old-round"
    assert word(north(), order("close", 3, {})) == "answered"


def test_no_round_and_no_own_model_after_an_evaluation(north: Callable[..., Site]) -> None:
    """Own models are evaluated as well, and learn from the same patients."""
    declared = study(own=True)

    def of_it(step: Any, number: int, bundle: Bundle, **changes: Any) -> bytes:
        return order(step, number, bundle, study=declared.hash, **changes)

    one = north(declared)
    model = {"model": MODEL}
    for data in (of_it("open", 0, model), of_it("train", 1, model), of_it("own", 2, {})):
        assert word(one, data) == "answered"
    assert word(one, of_it("train", 2, model)) == "old-round"
    assert word(one, of_it("evaluate", 3, model, label="own-east")) == "answered"
    assert word(one, of_it("own", 3, {})) == "old-round"
    assert word(one, of_it("evaluate", 3, model)) == "answered", "evaluations have no order among themselves"


def test_the_close_is_final_and_remembered(north: Callable[..., Site]) -> None:
    """After it a site gives nothing but the bytes of its close, also in another process."""
    one = north()
    answers = [one.handle(data) for data in LEGAL["closed"]]
    for again in (one, north()):
        assert again.handle(LEGAL["closed"][-1]) == answers[-1]
        assert [word(again, data) for data in LEGAL["evaluated"]] == ["closed"] * len(LEGAL["evaluated"])
        assert word(again, order("evaluate", 3, {"model": ZERO})) == "closed"


def test_a_site_stops_after_many_refusals_until_a_person_has_looked(north: Callable[..., Site]) -> None:
    """Somebody tries what it gives. An answer in between begins the count anew; a process that starts again has not forgotten."""
    one = north()
    assert word(one, OPEN) == "answered"
    for _ in range(REFUSALS_IN_A_ROW - 1):
        assert word(one, order("own", 1, {})) == "not-in-study"
    assert word(one, LEGAL["trained"][1]) == "answered"
    for _ in range(REFUSALS_IN_A_ROW):
        assert word(one, order("own", 1, {})) == "not-in-study"
    one = north()
    assert word(one, LEGAL["trained"][2]) == "stopped"
    assert one.store.go_on() == "refusals"
    assert word(north(), LEGAL["trained"][2]) == "answered"


def test_a_site_that_is_told_twice_that_it_did_not_count_stops(north: Callable[..., Site]) -> None:
    """A sum with its answer and one without differ by this hospital. A round that nobody used is no such thing."""
    one = north()
    for data in (OPEN, order("train", 1, TRAIN)):
        assert word(one, data) == "answered"
    assert word(one, order("train", 2, TRAIN, counted={}, unused=(1,))) == "answered"
    assert one.store.read().uncounted == 0
    assert one.store.read().settled(0, disputed=2).uncounted == 0, "somebody lied about their mask: it would be the liar's choice"
    assert one.store.read().settled(0, disputed=1).uncounted == 1
    assert word(one, order("train", 3, TRAIN, counted={"east": 2})) == "answered"
    assert one.store.read().uncounted == 1
    assert word(one, order("evaluate", 3, {"model": MODEL}, counted={"east": 3})) == "not-counted"
    assert word(one, order("evaluate", 3, {"model": MODEL}, counted={"east": 3})) == "stopped"
    assert one.store.go_on() == "not-counted"
    assert word(north(), order("evaluate", 3, {"model": MODEL}, counted={"east": 3})) == "answered"


def own_evaluation(declared: Study, name: str, cohort: tuple[str, ...]) -> bytes:
    return order("evaluate", 3, {"model": MODEL}, label=f"own-{name}", cohort=cohort, study=declared.hash)


def test_own_models_are_those_of_the_hospitals_of_the_opening(north: Callable[..., Site]) -> None:
    """A study without names was asked about `own-` and any name that an order's cohort held: one more evaluation for each name
    that a coordinator makes up."""
    declared = study(own=True)
    one = north(declared)
    assert word(one, order("open", 0, {"model": MODEL}, study=declared.hash)) == "answered"
    made_up = tuple(f"clinic-{number}" for number in range(20))
    for name in made_up:
        assert word(one, own_evaluation(declared, name, tuple(sorted({*NAMES, name})))) == "not-in-study"
    assert [word(north(declared), own_evaluation(declared, name, NAMES)) for name in NAMES] == ["answered"] * 3


def test_a_study_without_names_evaluates_own_models_of_so_many_hospitals(north: Callable[..., Site]) -> None:
    """The opening, too, could name hospitals without end."""
    declared = study(own=True)
    hospitals = ("north", *(f"clinic-{number:03d}" for number in range(MOST_UNNAMED)))
    opening = {"model": MODEL}
    assert word(north(declared), order("open", 0, opening, study=declared.hash, cohort=tuple(sorted(hospitals)))) == "cohort"
    fewer = tuple(sorted(hospitals[:-1]))
    assert word(north(declared), order("open", 0, opening, study=declared.hash, cohort=fewer)) == "answered"


# --- Openings -------------------------------------------------------------------------------------------------------------------


def test_a_site_that_lost_its_state_is_given_the_model_again_and_says_nothing(north: Callable[..., Site]) -> None:
    """Counts are told once, at the opening; what the site needs to go on is the model alone."""
    one = north()
    assert word(one, LEGAL["trained"][1]) == "not-open"
    again = from_bytes(one.handle(order("open", 0, {"model": MODEL}, label="again")))
    assert isinstance(again, ContributionMessage) and not again.arrays
    assert word(one, OPEN) == "already-open"
    assert word(one, LEGAL["trained"][1]) == "answered"
    assert word(one, order("open", 0, {"model": MODEL}, label="again", counted=everybody(1))) == "already-open"


@pytest.mark.parametrize("opening", ["", "ab" * 32])
def test_a_masked_order_that_goes_on_from_another_opening_is_refused(tmp_path: Path, opening: str) -> None:
    """The part of a model that training never changes travels once. A coordinator that gave one site another, as it lost its
    state, would have it train a network made to bring out a record."""
    words: list[str] = []

    def tamper(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        message = from_bytes(data)
        if name != "north" or not isinstance(message, Order) or message.header.step != "train":
            return handle(data)
        words.append(word(engine._sites[name], to_bytes(Order(message.header.revised(opening=opening), message.arrays))))
        return handle(data)

    declared = enrolled(masked(), tmp_path)
    with ward(declared, tmp_path, tamper) as engine:
        Coordinator(declared, engine, tmp_path / "hub").run()
    assert set(words) == {"opening"}


def test_an_opening_is_over_with_the_first_round(tmp_path: Path) -> None:
    """Later ones of the list are for studies that never opened; they ask for the same model, and a number once."""
    declared = enrolled(masked(), tmp_path)
    asked: list[str] = []

    def tamper(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        message = from_bytes(data)
        if name == "north" and isinstance(message, Order) and message.header.step == "open":
            other = {array: values + np.float32(0.5) for array, values in message.arrays.items()}
            openings.append(message)
            answer = handle(data)
            asked.append(word(engine._sites[name], to_bytes(Order(message.header.revised(round=1), other))))
            return answer
        answer = handle(data)
        if name == "north" and isinstance(message, Order) and message.header.step == "train":
            for number in (0, 9, 10):
                later = to_bytes(Order(openings[0].header.revised(round=number, weight=0), openings[0].arrays))
                asked.append(word(engine._sites[name], later) if number else "")
        return answer

    openings: list[Order] = []
    with ward(declared, tmp_path, tamper) as engine:
        Coordinator(declared, engine, tmp_path / "hub").run()
    assert asked == ["other-content", *["", "already-open", "not-in-study"] * 2]


# --- One at a time --------------------------------------------------------------------------------------------------------------


def contributed(engine: Ward, declared: Study) -> tuple[bytes, tuple[str, ...]]:
    """A masked opening that all three hospitals have contributed to: the order, and its cohort. Nobody has signed."""

    def cut(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:  # noqa: ARG001
        return handle(data) if header_of(data).kind == "order" or header_of(data).what == "keys" else None

    engine.tamper = cut
    with pytest.raises(EngineError):
        Coordinator(declared, engine, engine._sites[SiteId("north")].store.folder.parent.parent / "hub").run()
    orders = [data for data in engine.orders if header_of(data).kind == "order"]
    return orders[-1], header_of(orders[-1]).cohort


@pytest.mark.parametrize("trial", range(12))
def test_two_questions_at_a_time_get_one_set(tmp_path: Path, trial: int) -> None:  # noqa: ARG001
    """Each would find that nothing was said yet, and the site would sign both: the difference shows one hospital."""
    declared = enrolled(masked(), tmp_path)
    with ward(declared, tmp_path) as engine:
        data, _ = contributed(engine, declared)
        order_hash = sha256_hex(data)
        asks = [
            to_bytes(Ask(AskHeader(study=declared.hash, what="sign", order=order_hash, counted=counted)))
            for counted in (("east", "north"), ("north", "south"))
        ]
        north = engine._sites[SiteId("north")]
        answers: dict[int, str] = {}
        start = threading.Barrier(2)

        def asked(number: int) -> None:
            start.wait()
            answers[number] = word(north, asks[number])

        threads = [threading.Thread(target=asked, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers.values()) == ["answered", "other-set"]


# --- Forgetting -----------------------------------------------------------------------------------------------------------------


def masked_site(folder: Path, declared: Study) -> Site:
    return Site(
        SiteId("north"),
        declared,
        lambda: records("north"),
        folder / "sites" / "north",
        identity=identity_in(folder / "sites" / "north"),
        counter=folder / "counters" / "north",
    )


@pytest.mark.parametrize("way", ["hard link", "snapshot of the file system"])
def test_a_state_that_was_moved_away_and_back_is_known_to_be_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Its place on the disk is the same, so only what is kept outside the folder tells that the site has spoken since."""
    if way != "hard link":
        for module in ("wardround.values.durable", "wardround.site.store"):
            monkeypatch.setattr(f"{module}.place_of", lambda path: "the same")  # noqa: ARG005
    declared = enrolled(masked(), tmp_path)
    with ward(declared, tmp_path) as engine:
        engine._sites[SiteId("north")].close()
        one = engine._sites[SiteId("north")] = masked_site(tmp_path, declared)
        data, _ = contributed(engine, declared)
        state, kept = one.store.folder / STATE, tmp_path / "kept"
        older = state.read_bytes()
        kept.hardlink_to(state)
        ask = AskHeader(study=declared.hash, what="sign", order=sha256_hex(data), counted=("east", "north"))
        assert word(one, to_bytes(Ask(ask))) == "answered"
        if way == "hard link":
            kept.replace(state)
        else:
            state.write_bytes(older)
        assert one.store.read().masked.memory_status == "none"
        assert word(one, to_bytes(Ask(ask.revised(counted=("north", "south"))))) == "old-order"


def test_a_state_of_another_hospital_or_key_is_refused(tmp_path: Path) -> None:
    """A folder copied to another machine, or a key that was restored beside a foreign state, would speak in another's name."""
    declared = enrolled(masked(), tmp_path)
    with ward(declared, tmp_path) as engine:
        contributed(engine, declared)
        north, south = engine._sites[SiteId("north")], engine._sites[SiteId("south")]
        north.close()
        shutil.copy(south.store.folder / STATE, north.store.folder / STATE)
        again = masked_site(tmp_path, declared)
        try:
            ask = AskHeader(study=declared.hash, what="keys", epoch=9)
            assert word(again, to_bytes(Ask(ask))) == "memory"
        finally:
            again.close()
