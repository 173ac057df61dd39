"""A coordinator that wants more of a private study than was approved: what it asks is refused, or tells it nothing."""

from pathlib import Path

import numpy as np
import pytest

from wardround.privacy.ledger.ledger import Ledger
from wardround.site import privacy_charges
from wardround.site.site import Site
from wardround.summation.masked.layout import content_of
from wardround.values.log import LOG
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Order

from ..federation.private_site import LOCAL, model_of, opened, order, said
from ..federation.private_studies import private_study
from ..federation.tiny_federation import files_in, site


def ledger_of(one: Site) -> Ledger:
    return Ledger(one.store.folder / "ledger.sqlite")


def charged(one: Site) -> int:
    return sum(ledger_of(one).spent().values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("a round after the last", order(LOCAL, "train", 4)),
        ("a round far away", order(LOCAL, "train", 100_000)),
        ("a second name for a round", order(LOCAL, "train", 1, label="again")),
        ("an own model, which a private study does not have", order(LOCAL, "own", 1)),
        ("a model that is not finite", order(LOCAL, "train", 1, model_of(LOCAL, head__bias=np.nan))),
        ("scores of a model that is not finite", order(LOCAL, "evaluate", 3, model_of(LOCAL, head__bias=np.inf))),
        ("another study's model", order(LOCAL, "train", 1, {"w": np.zeros(3, np.float32)})),
        ("less than the model", order(LOCAL, "train", 1, {"head.bias": np.zeros(1, np.float32)})),
        ("a total below the public number", order(LOCAL, "train", 1, weight=31)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_study_does_not_say_is_refused_before_anything_is_charged(tmp_path: Path, what: str, data: bytes) -> None:  # noqa: ARG001
    """The study that the hospital approved is the most it gives, whatever its budget has left."""
    one = opened(LOCAL, tmp_path)
    before = files_in(tmp_path)
    assert said(one, data) not in ("contribution", "internal")
    assert files_in(tmp_path) == before
    assert charged(one) == 0
    assert said(one, order(LOCAL, "train", 1)) == "contribution"


@pytest.mark.slow
def test_a_step_that_diverges_is_charged_and_not_refused(tmp_path: Path) -> None:
    """That noised steps ended beyond all numbers is worked out from them, so it is part of what was paid for; and it must not be
    asked again for nothing."""
    pulled = private_study("patient-local", "fedprox", summation="plain").revised(
        algorithm={"proximal_mu": 100.0}, training={"learning_rate": 10.0}, privacy={"steps": 20}
    )
    one = opened(pulled, tmp_path)
    assert said(one, order(pulled, "train", 1)) == "contribution"
    assert charged(one) == pulled.privacy.steps == 20
    assert "no change" in (tmp_path / LOG).read_text("utf-8")
    one.close()


@pytest.mark.slow
def test_a_step_that_failed_stays_charged_and_is_the_same_charge_when_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal left. Whether there is one could depend on records and draws: it is paid for, once."""
    one = opened(LOCAL, tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(one.work, "_trainer", None)
        assert said(one, order(LOCAL, "train", 1)) == "internal"
    assert said(one, order(LOCAL, "train", 1)) == "stopped"
    one.close()
    one = site("north", LOCAL, tmp_path)
    one.store.go_on()
    assert charged(one) == LOCAL.privacy.steps
    assert said(one, order(LOCAL, "train", 1)) == "contribution"
    assert charged(one) == LOCAL.privacy.steps


@pytest.mark.slow
def test_a_charge_is_named_by_all_of_what_was_asked(tmp_path: Path) -> None:
    """Of 64 bits a coordinator finds two models with one name in an hour, and pays once for both."""
    one = opened(LOCAL, tmp_path)
    data = order(LOCAL, "train", 1)
    assert said(one, data) == "contribution"
    message = from_bytes(data)
    assert isinstance(message, Order)
    assert list(ledger_of(one).charges()) == [(LOCAL.hash, f"train/1/{content_of(message)}")]
    one.close()


@pytest.mark.slow
@pytest.mark.parametrize("released", [False, True], ids=["charged", "released"])
def test_a_step_that_an_earlier_build_charged_is_the_same_charge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, released: bool
) -> None:
    """A ledger outlives builds: under another name the step would be paid twice, or its stored bytes would leave uncharged."""
    one = opened(LOCAL, tmp_path)
    data = order(LOCAL, "train", 1)
    with monkeypatch.context() as earlier:
        earlier.setattr(privacy_charges, "release_name", privacy_charges.earlier_release_name)
        if not released:
            earlier.setattr(one.work, "_trainer", None)
        assert said(one, data) == ("contribution" if released else "internal")
    one.close()
    one = site("north", LOCAL, tmp_path)
    one.store.go_on()
    assert [said(one, data), said(one, data), said(one, order(LOCAL, "train", 2))] == ["contribution"] * 3
    charges = ledger_of(one).charges()
    assert [(len(release), charge.status) for (_, release), charge in charges.items()] == [
        (len("train/1/") + 16, "released"),
        (len("train/2/") + 64, "released"),
    ]
    assert charged(one) == 2 * (LOCAL.privacy.steps or 0)
    one.close()


@pytest.mark.slow
def test_a_ledger_that_does_not_know_the_open_study_is_another_one(tmp_path: Path) -> None:
    """Deleted with its receipt, or that of other patients: it would forget what was spent."""
    one = opened(LOCAL, tmp_path)
    assert said(one, order(LOCAL, "train", 1)) == "contribution"
    one.close()
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()
    again = site("north", LOCAL, tmp_path)
    assert said(again, order(LOCAL, "train", 2)) == "ledger-restored"
    again.close()


@pytest.mark.slow
def test_a_study_whose_noise_does_not_keep_to_its_epsilon_is_not_opened(tmp_path: Path) -> None:
    """A hospital approves the epsilon that it reads. Whoever wrote the multiplier beside it may have erred, or lied."""
    honest = private_study("patient-local", "fedavg", summation="plain", noise=20.0, epsilon=8.0)
    opened(honest, tmp_path / "honest").close()
    lying = private_study("patient-local", "fedavg", summation="plain", noise=0.5, epsilon=8.0)
    one = site("north", lying, tmp_path / "lying")
    assert said(one, order(lying, "open")) == "study"
    one.close()


@pytest.mark.slow
def test_a_run_of_the_same_study_in_a_new_folder_finds_every_step_released(tmp_path: Path) -> None:
    """The second run is no second price: with the ledger of the same patients it gives nothing."""
    one = opened(LOCAL, tmp_path)
    assert said(one, order(LOCAL, "train", 1)) == "contribution"
    one.close()
    for name in ("state.safetensors", "report.json", "start.safetensors"):
        (tmp_path / name).unlink()
    again = opened(LOCAL, tmp_path)
    assert said(again, order(LOCAL, "train", 1)) == "released-before"
    assert said(again, order(LOCAL, "train", 2)) == "contribution"
    assert said(again, order(LOCAL, "close", 3)) == "contribution"
    again.close()
    for name in ("state.safetensors", "report.json", "start.safetensors"):
        (tmp_path / name).unlink()
    third = site("north", LOCAL, tmp_path)
    assert said(third, order(LOCAL, "open")) == "ledger-step"
    third.close()


@pytest.mark.slow
def test_after_the_close_no_step_is_left(tmp_path: Path) -> None:
    """A coordinator that ends a study early and goes on later finds the room given back."""
    one = opened(LOCAL, tmp_path)
    assert said(one, order(LOCAL, "train", 1)) == "contribution"
    assert said(one, order(LOCAL, "close", 3)) == "contribution"
    assert said(one, order(LOCAL, "train", 2)) == "closed"
    assert charged(one) == LOCAL.privacy.steps
    one.close()
