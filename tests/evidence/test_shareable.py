"""A page that may be handed on: no exact figure of one hospital, and of a private run none that nobody paid for."""

from collections.abc import Callable

from wardround.evidence.model_card import render_model_card
from wardround.evidence.report import render_report
from wardround.evidence.shareable import shareable
from wardround.study.record.run_record import PrivacyRecord, RunRecord

PRIVATE = PrivacyRecord(
    unit="patient", delta=1e-5, epsilon=2.0, epsilons={}, noise_multiplier=1.0, clip_norm=1.0, sampling_rate=1.0, events=10,
    collusion=1, spent={"north": 2.0},
)  # fmt: skip


def test_no_hospital_has_a_figure_on_a_shareable_page(make_record: Callable[..., RunRecord]) -> None:
    """It is mailed to people who may see what the sum showed, and nothing else."""
    record = make_record(rounds=make_record().rounds[:3])  # none was lost in these
    shown = shareable(record)
    assert not shown.sites and not shown.cross and not shown.trained_on
    assert shown.pooled is not None and not shown.pooled.own and not any(entry.per_site for entry in shown.rounds)
    for render in (render_report, render_model_card):
        assert "harbour" in render(record) and "harbour" not in render(shown)
        assert f"{record.pooled.federated.value('auc'):.3f}" in render(shown)  # type: ignore[union-attr]


def test_of_a_private_run_no_figure_of_patients_is_left(make_record: Callable[..., RunRecord]) -> None:
    """They were read from the hospitals' folders, and nobody paid for them."""
    private = shareable(make_record(privacy=PRIVATE, privacy_mode="patient-distributed", external={}))
    assert private.pooled is None and private.start is None
    assert all(entry.validation is None and entry.train_loss is None and not entry.per_site for entry in private.rounds)
    page = render_report(private)
    assert "epsilon 2" in page and "This page is not private" not in page


def test_the_page_of_a_private_run_says_that_it_is_not_private(make_record: Callable[..., RunRecord], record: RunRecord) -> None:
    """The promise is about the model; somebody mailed the page that came with it."""
    page = render_report(make_record(privacy=PRIVATE, privacy_mode="patient-distributed"))
    assert "This page is not private" in page and page.index("This page is not private") < page.index("<h1>")
    assert "This page is not private" not in render_report(record)
