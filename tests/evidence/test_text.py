"""Sentences that claim what the record carries, and no more."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wardround.evidence.text import figure, headline, privacy_words, settings, with_interval
from wardround.study.record.run_record import Evaluation, PairedRecord, RunRecord, SiteRecord
from wardround.tasks.evaluation import evaluation_of

from .conftest import TASK


def paired(difference: float, p_value: float | None, *, n: int = 80) -> dict[str, PairedRecord]:
    ends = (difference - 0.02, difference + 0.02)
    return {"auc": PairedRecord(difference=difference, interval=ends, p_value=p_value, n=n, discordant=9)}


def test_a_hospital_that_lost_by_taking_part_is_named(make_record: Callable[..., RunRecord], record: RunRecord) -> None:
    """The worst news is for those who must decide; it must not be averaged away."""
    entry = record.sites["north"].model_dump()
    gains, loses, same = (
        SiteRecord(**{**entry, "paired": one}) for one in (paired(0.05, 0.01), paired(-0.04, 0.03), paired(0.06, 0.2))
    )
    words = " ".join(headline(make_record(sites={"a": gains, "b": loses, "c": same, "d": loses})))
    assert "the federated model is better at a (+0.050, +0.030 to +0.070)" in words
    assert "the hospital's own model is better at b (-0.040, -0.060 to -0.020) and d" in words
    assert "these patients cannot settle it at c" in words


def test_no_difference_is_claimed_without_a_paired_test(make_record: Callable[..., RunRecord], record: RunRecord) -> None:
    """Two intervals that overlap, or do not, are no test: the models err alike on the same patients."""
    bare = {name: SiteRecord(**{**entry.model_dump(), "paired": {}}) for name, entry in record.sites.items()}
    words = " ".join(headline(make_record(sites=bare)))
    assert "is better at" not in words and "no paired comparison was made at" in words


def test_a_figure_that_rests_on_a_few_patients_is_no_win(make_record: Callable[..., RunRecord]) -> None:
    """With one negative patient the AUC is 1 or 0 by luck."""
    labels = np.array([1] * 30 + [0])
    tested = evaluation_of(TASK, TASK.sums(np.where(labels == 1, 2.0, -2.0), labels), 0.5)
    fields: dict[str, Any] = {"patients": 31, "images": 31, "own": tested, "federated": tested}
    entry = SiteRecord(**fields, paired=paired(0.3, 0.001, n=31))
    words = " ".join(headline(make_record(sites={"a": entry})))
    assert "there are too few of them to say at a" in words and "is better at" not in words


def test_the_headline_says_what_went_missing(make_record: Callable[..., RunRecord]) -> None:
    """A run with lost hospitals or without an end must not look whole."""
    words = headline(make_record(finished=None))
    assert "“west” was lost in 1 of 10 rounds; those rounds are the mean of the other hospitals." in words
    assert "The run had not finished when this was written." in words


def test_without_an_evaluation_nothing_is_said_of_quality(make_record: Callable[..., RunRecord]) -> None:
    """Silence could be read as success."""
    words = headline(make_record(pooled=None, sites={}, external={}, rounds=()))
    assert words == (
        "This record holds no evaluation on held-out test patients, so it says nothing about how good the model is.",
    )


def test_the_external_test_set_is_named_with_its_size(record: RunRecord) -> None:
    """It is the figure nearest to a new hospital's."""
    assert any(
        "“another country” (114 records" in sentence and "0.869 (0.793 to 0.944)" in sentence for sentence in headline(record)
    )


@pytest.mark.parametrize(
    ("compared", "said"),
    [
        ({}, "not checked whether a hospital trained on it"),
        ({"north": 0, "west": 0}, "not checked whether a hospital trained on it"),
        (dict.fromkeys(("north", "harbour", "west"), 0), "no record of it is among those that the hospitals trained on"),
        ({"north": 3, "west": 0}, "north trained on 3 of its records"),
    ],
)
def test_whether_an_external_test_set_was_trained_on_is_said_as_far_as_it_was_checked(
    make_record: Callable[..., RunRecord], compared: dict[str, int], said: str
) -> None:
    """A sentence of evidence without a check behind it is worse than none."""
    words = headline(make_record(trained_on={"another country": compared} if compared else {}))
    assert any(said in sentence for sentence in words)


@pytest.mark.parametrize(
    ("changes", "needed", "forbidden"),
    [
        ({}, ("no patient is protected", "simulation on one machine", "can see each hospital's model update"), ("masked",)),
        ({"engine": "flower"}, ("stayed at their hospital",), ("simulation",)),
        ({"summation_mode": "masked"}, ("The sum was masked",), ("can see each hospital's",)),
        ({"privacy_mode": "site"}, ("no description of it",), ("no patient is protected", "What is not protected")),
    ],
)
def test_privacy_is_told_candidly(
    make_record: Callable[..., RunRecord], changes: dict[str, Any], needed: tuple[str, ...], forbidden: tuple[str, ...]
) -> None:
    """A hospital decides on these sentences; a mode we cannot describe gets none."""
    words = " ".join(privacy_words(make_record(**changes)))
    assert all(phrase in words for phrase in needed)
    assert not any(phrase in words for phrase in forbidden)


def test_undefined_figures_are_dashes() -> None:
    """Not 0, not NaN."""
    bare = Evaluation(values={"auc": None}, intervals={"auc": None})
    assert with_interval(bare, "auc") == with_interval(None, "auc") == figure(None) == "–"


def test_settings_are_rows_in_the_order_of_the_study(make_record: Callable[..., RunRecord]) -> None:
    """Readers compare them with the file."""
    assert settings(make_record())[:3] == (
        ("format", "1"),
        ("question.title", "Opacities on chest radiographs"),
        ("question.description", "Does this chest radiograph show an opacity?"),
    )
    assert settings(make_record(study_toml="not = = toml")) == ()
