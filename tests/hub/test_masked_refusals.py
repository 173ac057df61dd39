"""What a site refuses under the masked sum, what leaves, and what is left."""

from pathlib import Path

import pytest

from wardround.hub import masked_summing
from wardround.hub.coordinator import Coordinator
from wardround.plan.plan import Plan
from wardround.values.errors import StudyError
from wardround.values.ids import SiteId
from wardround.wire.envelope import from_bytes, pack_bundle, to_bytes
from wardround.wire.messages import (
    Ask,
    Order,
    OrderHeader,
    Refusal,
)

from ..federation.tiny_federation import NAMES, enrolled, files_in, site, study, ward
from ..summation.masked_parties import Ring
from .masked_runs import NORTH, Handle, header_of, header_of_keys, is_training, losing_train, masked


def test_an_order_without_a_mask_is_refused_and_nothing_leaves(tmp_path: Path) -> None:
    """A coordinator that leaves the mask out would read each hospital's words."""
    of = enrolled(masked(), tmp_path)
    orders: list[bytes] = []

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        message = from_bytes(data)
        if name == NORTH and isinstance(message, Order) and message.header.masked is not None:
            bare = to_bytes(Order(message.header.model_copy(update={"masked": None}), message.arrays))
            folder = engine._sites[NORTH].store.folder
            before = files_in(folder)
            answer = from_bytes(handle(bare))
            assert isinstance(answer, Refusal)
            assert answer.header.code in ("not-masked", "not-open")
            assert files_in(folder) == before
            orders.append(answer.header.code)
        return handle(data)

    with ward(of, tmp_path, tamper) as engine:
        Coordinator(of, engine, tmp_path).run()
    assert orders == ["not-masked"] * 4


def test_a_masked_order_for_a_plain_study_or_a_step_without_a_sum_is_refused(tmp_path: Path) -> None:
    """What the study does not have is not done halfway."""
    of = study()
    one = site("north", of, tmp_path / "north")
    header = OrderHeader(study=of.hash, step="open", round=0, cohort=NAMES)
    ring = Ring(3)
    ring.agree()
    theirs = from_bytes(ring.order())
    assert isinstance(theirs, Order)
    data = to_bytes(
        Order(header.model_copy(update={"masked": theirs.header.masked}), pack_bundle({"model": Plan(of).initial_model()}))
    )
    for message in (data, to_bytes(Ask(header_of_keys(of, 1)))):
        answer = from_bytes(one.handle(message))
        assert isinstance(answer, Refusal)
        assert answer.header.code == "masked"
    one.close()


def test_a_site_whose_key_the_study_does_not_list_does_not_start(tmp_path: Path) -> None:
    """It could not prove who it is; and a study with another's key under its name was not the one approved."""
    of = enrolled(masked(), tmp_path)
    with pytest.raises(StudyError, match="does not list this site's identity key"):
        site("north", of, tmp_path / "elsewhere")
    with pytest.raises(StudyError, match="does not list this site's identity key"):
        site("east", of, tmp_path / "sites" / "north")


def test_a_refused_jump_of_turns_does_no_work_and_changes_nothing(tmp_path: Path) -> None:
    """Opening writes the model to disk before the mask is made: what is refused must not come that far."""
    of = enrolled(masked(), tmp_path)
    refused: list[str] = []

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        message = from_bytes(data)
        if name == NORTH and isinstance(message, Order) and message.header.masked is not None:
            far = message.header.masked.model_copy(update={"turn": 10**6})
            before = files_in(engine._sites[NORTH].store.folder)
            answer = from_bytes(handle(to_bytes(Order(message.header.model_copy(update={"masked": far}), message.arrays))))
            assert isinstance(answer, Refusal)
            assert files_in(engine._sites[NORTH].store.folder) == before
            refused.append(answer.header.code)
        return handle(data)

    with ward(of, tmp_path, tamper) as engine:
        Coordinator(of, engine, tmp_path).run()
    assert refused == ["turn"] * 4


def test_a_further_attempt_after_the_words_are_gone_is_refused(tmp_path: Path) -> None:
    """A step in between dropped them; masks over nothing would only use up keys."""
    of = enrolled(masked(own=True, rounds=1), tmp_path)
    kept: list[bytes] = []

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        if name == NORTH and is_training(data, 1):
            kept.append(data)
        answer = handle(data)
        header = header_of(data)
        if name == NORTH and header.kind == "order" and header.step == "own":
            message = from_bytes(kept[0])
            assert isinstance(message, Order)
            assert message.header.masked is not None
            again = message.header.masked.model_copy(update={"attempt": 2, "turn": message.header.masked.turn + 1})
            found = from_bytes(handle(to_bytes(Order(message.header.model_copy(update={"masked": again}), message.arrays))))
            assert isinstance(found, Refusal)
            assert found.header.code == "old-sum"
            kept.append(b"")
        return answer

    with ward(of, tmp_path, tamper) as engine:
        Coordinator(of, engine, tmp_path).run()
    assert len(kept) == 2


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["fedavg", "scaffold"])
def test_no_secret_leaves_and_none_is_left_after_the_close(tmp_path: Path, algorithm: str) -> None:
    """Every byte that crossed, against every secret that a site held at any time: words before their masks, chains, seal keys,
    its own shares, its agreement keys. After the close they are gone from the disk, too."""
    of = enrolled(masked(algorithm), tmp_path)
    secrets: set[bytes] = set()
    lost = losing_train(2, "east", heard=True)

    def watched(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        answer = lost(name, data, handle)
        store = engine._sites[name].store
        state = store.read()
        if state.order:
            secrets.update(array.tobytes() for array in store.last_answer().words.values())
        secrets.add(state.masked.offered)
        secrets.update((state.masked.chains or {}).values())
        if state.masked.last_contribution is not None:
            secrets.update(state.masked.last_contribution.seal_keys.values())
            secrets.add(state.masked.last_contribution.shares)
        return answer

    with ward(of, tmp_path, watched) as engine:
        coordinator = Coordinator(of, engine, tmp_path)
        coordinator.run()
        assert (tmp_path / masked_summing.FILE).exists()
        coordinator.close()
        crossed = b"\n".join([*engine.orders, *engine.answers])
        states = [(one.store.read(), one.store.last_answer().words) for one in engine._sites.values()]
    secrets.discard(b"")
    assert len(secrets) > 60
    for state, words in states:
        assert (state.masked.chains, state.masked.last_contribution, state.masked.offered, words) == (None, None, b"", {})
    assert not (tmp_path / masked_summing.FILE).exists()
    left = b"\n".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "identity.key")
    for secret in secrets:
        for spelling in (secret, secret.hex().encode()):
            assert spelling not in crossed
            assert spelling not in left
