"""What the clinic's cases of a time add up to: counts over public bins, and doctors' opinions. Nothing of a single case goes on.

A case is counted with the answer that was shown last. Cases of patients who withdrew are in no count.
"""

import json
import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, func, select

from wardround.clinic.answering.public_bins import SCORE, bin_numbers, score_bins
from wardround.clinic.store.database import Store
from wardround.clinic.store.tables import answers, cases, feedback, figures, withdrawals
from wardround.study.contract import DataContract

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class CaseCounts:
    """bins: figure -> cases in each bin. cases: that were answered. cannot_tell, unusual: of them."""

    bins: Mapping[str, Counts]
    cases: int
    cannot_tell: int
    unusual: int

    @classmethod
    def of_nobody(cls, contract: DataContract) -> "CaseCounts":
        """No case in any bin."""
        return cls({name: np.zeros(count, np.int64) for name, count in bin_numbers(contract).items()}, 0, 0, 0)


@dataclass(frozen=True)
class Opinions:
    """Cases with a yes or no on which doctors said agree or disagree, each case once.

    agreed: with which all agreed. labelled: on which doctors do not differ. ill: of those, with the finding as they say it.
    expected: sum of the model's probabilities of those.
    """

    cases: int
    agreed: int
    labelled: int
    ill: int
    expected: float


def of_nobody_withdrawn() -> ColumnElement[bool]:
    """Cases that may be counted: neither marked, nor of a patient who withdrew before they came."""
    gone = select(withdrawals.c.patient)
    return and_(~cases.c.withdrawn, cases.c.patient.not_in(gone))


def case_counts(
    store: Store, contract: DataContract, since: float, until: float, *, acceptance: str = "", model: str = ""
) -> CaseCounts:
    """Of answers given in [since, until) under an acceptance, or by a model under any of its acceptances."""
    chosen = answers.c.acceptance == acceptance if acceptance else answers.c.model == model
    latest = (
        select(answers.c.case_id, func.max(answers.c.given).label("given"))
        .where(chosen, ~answers.c.shadow, answers.c.given >= since, answers.c.given < until)
        .group_by(answers.c.case_id)
        .subquery()
    )
    query = (
        select(answers.c.case_id, answers.c.probability, answers.c.verdict, answers.c.whole, figures.c.bins)
        .join(latest, and_(latest.c.case_id == answers.c.case_id, latest.c.given == answers.c.given))
        .join(cases, cases.c.id == answers.c.case_id)
        .join(figures, figures.c.case_id == cases.c.id, isouter=True)
        .where(chosen, ~answers.c.shadow, of_nobody_withdrawn())
    )
    with store.reading() as connection:
        rows = {row.case_id: row for row in connection.execute(query)}
    counts = CaseCounts.of_nobody(contract)
    np.add.at(counts.bins[SCORE], _bins_of_answers(rows.values()), 1)
    for held, times in Counter(row.bins or "{}" for row in rows.values()).items():  # many cases lie in the same bins
        for name, part in json.loads(held).items():
            if name in counts.bins and 0 <= part < len(counts.bins[name]):
                counts.bins[name][part] += times
    untold = [row.whole for row in rows.values() if row.verdict == "cannot-tell"]
    return CaseCounts(counts.bins, len(rows), len(untold), sum("unusual" in json.loads(whole)["reasons"] for whole in untold))


def _bins_of_answers(rows: Collection[Any]) -> Counts:
    """Of a yes or no by its probability; another question's answer knows its own."""
    told = [row.probability for row in rows if row.probability is not None]
    own = [int(json.loads(row.whole)["score_bin"]) for row in rows if row.probability is None]
    return np.concatenate([score_bins(np.array(told, np.float64)), np.array(own, np.int64)])


@dataclass(frozen=True)
class Labelled:
    """One case with what doctors made of it. label: 1, 0, or None where they differ, or where the question is no yes or no.
    probability: NaN of another question. agreed: whether all agreed."""

    case: str
    patient: str
    study: str
    received: float
    kept: bool
    probability: float
    label: int | None
    agreed: bool
    doctors: int
    said: float
    comments: tuple[str, ...]


def labelled_cases(
    store: Store, *, since: float = 0.0, until: float = float("inf"), acceptance: str = ""
) -> tuple[tuple[Labelled, ...], int]:
    """Cases with a yes or no that doctors judged in [since, until), and how many were judged without one (`cannot tell`).

    The label is the doctors': who disagrees with a yes says no. Of each doctor the latest word on a case counts. Of another
    question a doctor's word is no label: it leaves open what the answer should have been.
    """
    judged, untold = judged_cases(store, since=since, until=until, acceptance=acceptance)
    return tuple(case for case in judged if not math.isnan(case.probability)), untold[0]


def judged_cases(
    store: Store, *, since: float = 0.0, until: float = float("inf"), acceptance: str = ""
) -> tuple[tuple[Labelled, ...], tuple[int, int]]:
    """As `labelled_cases`, of every question. The counts: judged though nothing was told, of a yes or no, and of others."""
    query = (
        select(
            *(cases.c[name] for name in ("id", "patient", "study", "received", "kept")),
            *(answers.c[name] for name in ("verdict", "probability")),
            *(feedback.c[name] for name in ("person", "opinion", "comment", "said")),
        )
        .join(cases, cases.c.id == feedback.c.case_id)
        .join(answers, answers.c.id == feedback.c.answer_id)
        .where(
            feedback.c.said >= since,
            feedback.c.said < min(until, 1e300),
            of_nobody_withdrawn(),
        )
        .order_by(feedback.c.id)
    )
    if acceptance:
        query = query.where(answers.c.acceptance == acceptance)
    latest: dict[str, dict[str, Mapping[str, object]]] = {}
    with store.reading() as connection:
        for row in connection.execute(query).mappings():
            latest.setdefault(row["id"], {})[row["person"]] = dict(row)
    told = {name: list(words.values()) for name, words in latest.items()}
    definite = {name: [word for word in words if word["verdict"] != "cannot-tell"] for name, words in told.items()}
    untold = [told[name][0]["probability"] is None for name, words in definite.items() if not words]
    return tuple(_labelled(words) for words in definite.values() if words), (untold.count(False), untold.count(True))


def _labelled(words: list[Mapping[str, object]]) -> Labelled:
    last, yes_or_no = words[-1], words[-1]["probability"] is not None
    labels = {int((word["verdict"] == "positive") == (word["opinion"] == "agree")) for word in words}
    return Labelled(
        case=str(last["id"]),
        patient=str(last["patient"]),
        study=str(last["study"]),
        received=float(str(last["received"])),
        kept=bool(last["kept"]),
        probability=float(str(last["probability"])) if yes_or_no else math.nan,
        label=labels.pop() if len(labels) == 1 and yes_or_no else None,
        agreed=all(word["opinion"] == "agree" for word in words),
        doctors=len(words),
        said=float(str(last["said"])),
        comments=tuple(str(word["comment"]) for word in words if word["comment"]),
    )


def opinions(store: Store, since: float, until: float, acceptance: str) -> Opinions:
    """What doctors said of the answers under an acceptance in [since, until)."""
    judged, _ = judged_cases(store, since=since, until=until, acceptance=acceptance)
    certain = [case for case in judged if case.label is not None]
    return Opinions(
        cases=len(judged),
        agreed=sum(case.agreed for case in judged),
        labelled=len(certain),
        ill=sum(case.label == 1 for case in certain),
        expected=float(sum(case.probability for case in certain)),
    )
