"""The coordinator: a site that fails in any way is lost for that round and no more; a crash anywhere changes no bit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.algorithms.quantities import TrainedModel
from wardround.hub.checkpoint import FILE, load
from wardround.hub.coordinator import Coordinator
from wardround.hub.notices import ExchangeStarted, Notice, RoundFinished, SiteAnswered, SiteLost
from wardround.privacy.fixed_point import Grid
from wardround.privacy.frame import Frame
from wardround.site.config import identity_in
from wardround.site.site import Site
from wardround.values import durable
from wardround.values.errors import EngineError, RunError, StudyError
from wardround.values.ids import SiteId, site_id
from wardround.values.tree import Tree, same_bits, shapes_of, size_of
from wardround.wire.envelope import from_bytes, to_bytes, unpack_bundle
from wardround.wire.messages import ContributionHeader, ContributionMessage, Order, Refusal, RefusalHeader

from ..federation.private_studies import private_study
from ..federation.tiny_federation import MARKER, NAMES, SIZES, Tamper, enrolled, files_in, records, run, site, study, ward

ALGORITHMS = ["fedavg", "fedprox", "fedopt", "scaffold", "fedbn"]
Handle = Callable[[bytes], bytes]


def in_round(number: int, who: str, tamper: Tamper, step: str = "train") -> Tamper:
    """`tamper` for one site in one round; all else is honest."""

    def chosen(name: SiteId, order: bytes, handle: Handle) -> bytes | None:
        header = order_of(order).header
        if (header.step, header.round, name) == (step, number, who):
            return tamper(name, order, handle)
        return handle(order)

    return chosen


def order_of(data: bytes) -> Order:
    message = from_bytes(data)
    assert isinstance(message, Order)
    return message


def silent(name: SiteId, order: bytes, handle: Handle) -> None:
    """No answer; the site never heard the order."""


def reply_lost(name: SiteId, order: bytes, handle: Handle) -> None:  # noqa: ARG001
    """No answer; the site did the work."""
    handle(order)


def answer_of(data: bytes) -> ContributionMessage:
    message = from_bytes(data)
    assert isinstance(message, ContributionMessage)
    return message


def forged(**changes: Any) -> Tamper:
    """The site's true answer with another header."""

    def tamper(name: SiteId, order: bytes, handle: Handle) -> bytes:  # noqa: ARG001
        found = answer_of(handle(order))
        fields = found.header.model_dump() | changes
        return to_bytes(ContributionMessage(ContributionHeader(**fields), found.arrays))

    return tamper


def resized(change: Callable[[Tree], Tree]) -> Tamper:
    """The site's true answer with other arrays."""

    def tamper(name: SiteId, order: bytes, handle: Handle) -> bytes:  # noqa: ARG001
        found = answer_of(handle(order))
        return to_bytes(ContributionMessage(found.header, change(dict(found.arrays))))

    return tamper


def refusing_another_order(name: SiteId, order: bytes, handle: Handle) -> bytes:  # noqa: ARG001
    return to_bytes(Refusal(RefusalHeader(study=study().hash, site=name, order="e" * 64, code="old-round")))


EARLIER: dict[str, bytes] = {}


def answering_with_the_last_rounds_reply(name: SiteId, order: bytes, handle: Handle) -> bytes:
    """The right site, the right study, yesterday's words."""
    if order_of(order).header.round == 1:
        EARLIER[name] = handle(order)
        return EARLIER[name]
    handle(order)
    return EARLIER[name]


BAD_ANSWERS: dict[str, tuple[Tamper, str]] = {
    "no answer": (silent, "no-answer"),
    "the reply was lost": (reply_lost, "no-answer"),
    "nothing": (lambda name, order, handle: b"", "wire"),  # noqa: ARG005
    "noise": (lambda name, order, handle: b"\xff" * 1000, "wire"),  # noqa: ARG005
    "a million bytes": (lambda name, order, handle: b"WRND" + b"\0" * 1_000_000, "wire"),  # noqa: ARG005
    "the order itself": (lambda name, order, handle: order, "wrong-answer"),  # noqa: ARG005
    "cut short": (lambda name, order, handle: handle(order)[:-1], "wire"),  # noqa: ARG005
    "a byte too many": (lambda name, order, handle: handle(order) + b"\0", "wire"),  # noqa: ARG005
    "another site's name": (forged(site="north"), "wrong-answer"),
    "another study": (forged(study="d" * 64), "wrong-answer"),
    "another step": (forged(step="evaluate"), "wrong-answer"),
    "another round": (forged(round=1), "wrong-answer"),
    "another order": (forged(order="d" * 64), "wrong-answer"),
    "a refusal of another order": (refusing_another_order, "wrong-answer"),
    "no arrays": (resized(lambda arrays: {}), "wrong-shape"),  # noqa: ARG005
    "an array too many": (resized(lambda arrays: {**arrays, "extra/words": np.zeros(1, np.uint32)}), "wrong-shape"),
    "a word too few": (resized(lambda arrays: {n: a[1:] for n, a in arrays.items()}), "wrong-shape"),
    "wider words": (resized(lambda arrays: {n: a.astype(np.uint64) for n, a in arrays.items()}), "wrong-shape"),
    "model values": (resized(lambda arrays: {n: a.astype(np.float32) for n, a in arrays.items()}), "wrong-shape"),
}


@pytest.fixture(scope="module")
def without_east_in_round_2(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return run(study(), tmp_path_factory.mktemp("lost"), in_round(2, "east", silent))


@pytest.mark.parametrize("what", BAD_ANSWERS)
def test_a_bad_answer_is_a_lost_site_and_the_run_goes_on(tmp_path: Path, what: str, without_east_in_round_2: Tree) -> None:
    """One hospital's fault must not stop the others, and must leave no trace in the model: the same bits as without it."""
    tamper, code = BAD_ANSWERS[what]
    events: list[Notice] = []
    model = run(study(), tmp_path, in_round(2, "east", tamper), events.append)
    assert same_bits(model, without_east_in_round_2)
    assert [event for event in events if isinstance(event, SiteLost)] == [SiteLost(SiteId("east"), code)]
    progress = load(tmp_path)
    assert progress is not None
    assert [entry.counted for entry in progress.history] == [NAMES, ("north", "south"), NAMES]
    assert progress.history[1].lost == {"east": code}


def test_an_old_reply_is_not_an_answer(tmp_path: Path, without_east_in_round_2: Tree) -> None:
    """A network that delivers a message twice must not add last round's words to this round's sum."""
    chosen = answering_with_the_last_rounds_reply

    def tamper(name: SiteId, order: bytes, handle: Handle) -> bytes:
        header = order_of(order).header
        return chosen(name, order, handle) if name == "east" and header.step == "train" and header.round < 3 else handle(order)

    assert same_bits(run(study(), tmp_path, tamper), without_east_in_round_2)


def test_a_lost_site_leaves_exactly_the_others_mean(tmp_path: Path) -> None:
    """sum_k n_k w_k / sum_k n_k over those counted, within the bound of fixed point. Their own runs are trained once more."""
    of = study(rounds=1)
    model = run(of, tmp_path / "run", in_round(1, "east", silent))
    runs = {}
    for name in ("north", "south"):
        one = site(name, of, tmp_path / name)
        start = one.work.plan.initial_model()
        runs[name] = one.work._trainer("train", 1).compute(TrainedModel(start))
        one.close()
    weight = sum(found.examples for found in runs.values())
    bound = Grid(4.0, 3).error_bound * (76 / weight)
    for name, array in model.items():
        mean = sum(found.model[name].astype(np.float64) * found.examples for found in runs.values()) / weight
        assert np.abs(array - mean).max() <= bound + 1e-7
    assert np.abs(model["head.weight"] - start["head.weight"]).max() > 1e-2


def test_what_a_lost_site_holds_leaves_no_trace(tmp_path: Path) -> None:
    """With other records of the same number at the lost hospital, every bit of the model is the same."""
    of = study(rounds=1)
    models = []
    for shift in (0.0, 2.0):
        folder = tmp_path / str(shift)
        with ward(of, folder, in_round(1, "east", reply_lost)) as engine:
            engine._sites[SiteId("east")].close()
            engine._sites[SiteId("east")] = site(
                "east", of, folder / "east-again", lambda shift=shift: records("east", shift=shift)
            )
            coordinator = Coordinator(of, engine, folder)
            coordinator.run()
            models.append(coordinator.model)
    assert same_bits(*models)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_crash_at_any_exchange_changes_no_bit(tmp_path: Path, algorithm: str) -> None:
    """The coordinator dies before the order is sent, after some sites answered, or after all did and before its checkpoint; so
    do the sites' processes. Every instant of a whole run, all in one run."""
    of = study(algorithm, own=True, rounds=2)
    straight = run(of, tmp_path / "straight")

    class Crash(BaseException):
        """What no handler catches."""

    seen: set[tuple[str, int, str]] = set()

    def tamper(name: SiteId, order: bytes, handle: Handle) -> bytes:
        header = order_of(order).header
        key = (header.step, header.round, name)
        if key in seen:
            return handle(order)
        seen.add(key)
        if len(seen) % 2:
            handle(order)  # answered and recorded; the answer never arrives
        raise Crash

    crashes = 0
    while crashes < 50:
        try:
            model = run(of, tmp_path / "crashed", tamper)
            break
        except Crash:
            crashes += 1
    assert crashes == len(seen) == 3 * 7  # open, train 1 2, own 1 2, evaluate, close
    assert same_bits(model, straight)
    ends = [load(tmp_path / name) for name in ("straight", "crashed")]
    assert ends[0] is not None
    assert ends[1] is not None
    assert ends[0].evaluations == ends[1].evaluations
    for name in NAMES:
        reports = [(tmp_path / which / "sites" / name / "report.json").read_bytes() for which in ("straight", "crashed")]
        assert reports[0] == reports[1]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["fedavg", "scaffold"])
def test_a_full_disk_leaves_the_checkpoint_and_the_run_goes_on_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    """Every write of a checkpoint fails once, in the middle. The user frees some space and says --resume."""
    of = study(algorithm, own=True)
    straight = run(of, tmp_path / "straight")
    folder = tmp_path / "full"
    folder.mkdir()
    failed: set[int] = set()
    written = [0]
    last: list[bytes | None] = [None]
    replace_file = Path.replace

    def replace_unless_full(source: Path, target: Path) -> Path:
        if Path(target) == folder / FILE:
            if written[0] not in failed:
                failed.add(written[0])
                raise OSError(28, "No space left on device")
            written[0] += 1
            last[0] = source.read_bytes()
        return replace_file(source, target)

    monkeypatch.setattr(durable.Path, "replace", replace_unless_full)  # type: ignore[attr-defined]
    stops = 0
    while stops < 20:
        try:
            model = run(of, folder)
            break
        except RunError as error:
            assert "No space left" in str(error)
            stops += 1
            after = (folder / FILE).read_bytes() if (folder / FILE).exists() else None
            assert stops == len(failed)
            assert after == last[0]
            assert not list(folder.glob(".*part"))
    assert stops == 9  # open, train 1 2 3, own 1 2 3, evaluate, close
    assert same_bits(model, straight)


@pytest.mark.parametrize("number", [1, 2])
def test_too_few_sites_stop_the_run_and_leave_the_checkpoint(tmp_path: Path, number: int) -> None:
    """A sum over one hospital is that hospital's update: nothing is opened, nothing is forgotten, and --resume goes on."""
    of = study("scaffold")
    straight = run(of, tmp_path / "straight")

    def tamper(name: SiteId, order: bytes, handle: Handle) -> bytes | None:
        header = order_of(order).header
        lost = (header.step, header.round) == ("train", number) and name != "south"
        return None if lost else handle(order)

    with ward(of, tmp_path / "run", tamper) as engine:
        with pytest.raises(
            EngineError, match=r"Too few sites.*at least 2.*Found: 1 \(east: no-answer, north: no-answer\).*resume"
        ):
            Coordinator(of, engine, tmp_path / "run").run()
        progress = load(tmp_path / "run")
        assert progress is not None
        assert progress.round == number - 1
        engine.tamper = lambda name, order, handle: handle(order)  # noqa: ARG005
        coordinator = Coordinator(of, engine, tmp_path / "run")
        coordinator.run()
        assert same_bits(coordinator.model, straight)


def test_a_refusal_ends_in_the_error_by_its_word(tmp_path: Path) -> None:
    """The person at the coordinator learns why, as far as a word may say."""
    of = study()
    with ward(of, tmp_path) as engine:
        for name in ("east", "north"):
            one = engine._sites[SiteId(name)]
            one.close()
            engine._sites[SiteId(name)] = site(name, of, tmp_path / name, lambda: records("north").where("test"))
        with pytest.raises(EngineError, match=r"east: records, north: records"):
            Coordinator(of, engine, tmp_path).run()
        assert not (tmp_path / FILE).exists()


def test_every_site_must_open_where_that_was_asked(tmp_path: Path) -> None:
    """In a simulation a site that cannot read its data is a mistake to mend, not a hospital to leave out."""
    of = study()
    absent = in_round(0, "east", silent, "open")
    with ward(of, tmp_path / "strict", absent) as engine, pytest.raises(EngineError, match="east: no-answer"):
        Coordinator(of, engine, tmp_path / "strict", every_site_must_open=True).run()
    with ward(of, tmp_path / "open", absent) as engine:
        progress = Coordinator(of, engine, tmp_path / "open").run()
        assert progress.sites == ("north", "south")
        assert progress.weight == sum(SIZES[name] * 4 // 6 for name in ("north", "south"))


def test_a_site_that_was_not_counted_goes_on_from_its_older_memory(tmp_path: Path) -> None:
    """SCAFFOLD: whether the reply was lost before or after the work, the model is the same; and c stays the mean of the c_k."""
    of = study("scaffold")
    models = [run(of, tmp_path / way.__name__, in_round(2, "north", way)) for way in (silent, reply_lost)]
    assert same_bits(*models)
    assert not same_bits(models[0], run(of, tmp_path / "all"))
    progress = load(tmp_path / "reply_lost")
    assert progress is not None
    for name, common in progress.state["control"].items():
        mean = np.zeros(common.shape)
        for which in NAMES:
            one = site(which, of, tmp_path / "reply_lost" / "sites" / which)
            mean += one.store.read().memory["control"][name] * (SIZES[which] * 4 / 6) / progress.weight
            one.close()
        assert np.abs(mean - common).max() <= 3 * Grid(4.0, 3).error_bound + 1e-6


@pytest.mark.parametrize("damage", ["empty", "cut", "cut in the head", "another round", "noise", "other json", "flipped"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    """Going on from half a checkpoint would give a model that looks right."""
    of = study(rounds=1)
    run(of, tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    middle = len(whole) - 40
    damaged = {
        "empty": b"",
        "cut": whole[:-1],
        "cut in the head": whole[:100],
        "noise": b"\xff" * 1000,
        "another round": whole.replace(b'\\"own_round\\":0', b'\\"own_round\\":1'),
        "other json": whole.replace(b'\\"history\\"', b'\\"h1story\\"'),
        "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    }[damage]
    assert damaged != whole
    (tmp_path / FILE).write_bytes(damaged)
    with ward(of, tmp_path) as engine, pytest.raises(RunError, match=f"{FILE} (is damaged|was written by another release)"):
        Coordinator(of, engine, tmp_path)
    assert (tmp_path / FILE).read_bytes() == damaged


def test_another_studys_folder_is_refused(tmp_path: Path) -> None:
    """Two runs in one folder would mix two models."""
    run(study(rounds=1), tmp_path)
    before = files_in(tmp_path)
    with ward(study(rounds=2), tmp_path / "elsewhere") as engine, pytest.raises(RunError, match="run of another study"):
        Coordinator(study(rounds=2), engine, tmp_path)
    assert {path: found for path, found in files_in(tmp_path).items() if not path.startswith("elsewhere")} == before


@pytest.mark.parametrize("names", [("east", "north"), ("east", "north", "south", "west"), ("east", "north", "west")])
def test_the_sites_must_be_those_the_study_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    """A stranger must not join, and nobody may be left out silently."""
    of = study()
    named = of.changed(sites=of.sites.changed(names=names))
    with ward(named, tmp_path) as engine:
        with pytest.raises(EngineError, match="not those the study names"):
            Coordinator(named, engine, tmp_path).run()
        assert engine.orders == []


def test_fewer_sites_than_the_minimum_are_not_even_asked(tmp_path: Path) -> None:
    """No hospital should hear of a run that cannot be."""
    of = study(minimum=3)
    with ward(of, tmp_path, names=("east", "north")) as engine:
        with pytest.raises(EngineError, match="at least 3"):
            Coordinator(of, engine, tmp_path).run()
        assert engine.orders == []


def test_a_private_study_whose_noise_nobody_worked_out_never_starts(tmp_path: Path) -> None:
    """A study that promises privacy must not run without its noise, at either end; nor at a site that keeps no bill."""
    of = private_study(noise=1.0)
    promised = of.with_privacy(epsilon=2.0, noise_multiplier=None)
    with ward(study(), tmp_path / "engine") as engine, pytest.raises(StudyError, match="how much noise"):
        Coordinator(enrolled(promised, tmp_path), engine, tmp_path)
    with pytest.raises(StudyError, match="how much noise"):
        site("north", enrolled(promised, tmp_path), tmp_path / "sites" / "north")
    approved = enrolled(of, tmp_path)
    with pytest.raises(StudyError, match="ledger"):
        Site(
            site_id("north"),
            approved,
            lambda: records("north"),
            tmp_path / "n",
            identity=identity_in(tmp_path / "sites" / "north"),
        )


def test_what_the_coordinator_keeps_and_sends_names_no_patient(tmp_path: Path) -> None:
    """Orders, answers and the checkpoint of a whole run; the sites' own folders are theirs."""
    of = study("scaffold", own=True)
    with ward(of, tmp_path) as engine:
        coordinator = Coordinator(of, engine, tmp_path)
        coordinator.run()
        coordinator.close()
        texts = [*engine.orders, *engine.answers, (tmp_path / FILE).read_bytes()]
        assert len(engine.orders) == len(engine.answers) == 3 * 9
        assert all(MARKER.encode() not in text for text in texts)


def test_contributions_are_words_of_the_announced_size(tmp_path: Path) -> None:
    """No float leaves a site, and no more words than the model has values."""
    of = study()
    with ward(of, tmp_path) as engine:
        coordinator = Coordinator(of, engine, tmp_path)
        coordinator.run()
        values = size_of(shapes_of(coordinator.model))
        for data in engine.answers:
            for name, array in answer_of(data).arrays.items():
                assert array.dtype == (np.uint64 if name == "counts/words" else np.uint32)
                assert name == "counts/words" or array.size == values


def test_every_site_gets_the_same_order(tmp_path: Path) -> None:
    """A coordinator may not send one site another model than the rest."""
    of = study("fedopt")
    with ward(of, tmp_path) as engine:
        Coordinator(of, engine, tmp_path).run()
        for start in range(0, len(engine.orders), 3):
            assert len(set(engine.orders[start : start + 3])) == 1
        trained = [order_of(data) for data in engine.orders[3:12:3]]
        assert [order.header.counted for order in trained] == [{}, dict.fromkeys(NAMES, 1), dict.fromkeys(NAMES, 2)]
        assert all(unpack_bundle(order.arrays).keys() == {"model"} for order in trained)


def test_a_run_tells_its_listener_what_happens_in_order(tmp_path: Path) -> None:
    """Progress displays and logs stand on these events."""
    events: list[Notice] = []
    run(study(rounds=1), tmp_path, listener=events.append)
    answered = [SiteAnswered(SiteId(name)) for name in NAMES]
    finished = [event for event in events if isinstance(event, RoundFinished)]
    assert len(finished) == 1
    assert (finished[0].number, finished[0].rounds, finished[0].lost) == (1, 1, {})
    rest = [event for event in events if not isinstance(event, RoundFinished)]
    assert rest == [
        ExchangeStarted("open", 0, 0, NAMES),
        *answered,
        ExchangeStarted("train", 1, 1, NAMES),
        *answered,
        ExchangeStarted("evaluate", 1, 0, NAMES),
        *answered,
        ExchangeStarted("close", 1, 0, NAMES),
        *answered,
    ]


def test_a_closed_run_is_not_run_again(tmp_path: Path) -> None:
    """--resume on a finished run gives the same model and asks nobody to train."""
    of = study(own=True)
    model = run(of, tmp_path)
    with ward(of, tmp_path) as engine:
        coordinator = Coordinator(of, engine, tmp_path)
        coordinator.run()
        coordinator.close()
        assert engine.orders == []
        assert same_bits(coordinator.model, model)


def test_the_census_is_the_sum_over_the_hospitals(tmp_path: Path) -> None:
    """Counts are exact: these figures stand in the report."""
    run(study(rounds=1), tmp_path)
    progress = load(tmp_path)
    assert progress is not None
    everybody = [records(name) for name in NAMES]
    for place, split in enumerate(("train", "validation", "test")):
        assert progress.dataset_counts["images"][place] == sum(len(found.where(split)) for found in everybody)  # type: ignore[arg-type]
        positives = sum(int(found.where(split).labels.sum()) for found in everybody)  # type: ignore[arg-type]
        assert progress.dataset_counts["positives"][place] == positives
    assert progress.weight == 76
    assert replace(progress, round=0).sites == NAMES
    assert Frame(3).layout == {}
