"""Doctors' opinions as labels of a later study: a table of cases, each with what doctors say, never with what a model says.

Left out and counted: cases on which doctors differ, answers of `cannot tell` (who agrees with that names no finding), patients
who withdrew. A doctor has seen the model's answer before she spoke: `after_model` says so in every row.
"""

import csv
import io
from dataclasses import dataclass

from sqlalchemy import func, select

from wardround.clinic.store.database import Store
from wardround.clinic.store.tables import cases, feedback
from wardround.clinic.watch.case_counts import labelled_cases, of_nobody_withdrawn
from wardround.clinic.watch.register import iso, unformulaic

HEADER = ("case", "patient", "study", "received", "label", "doctors", "said", "after_model", "film", "comment")


@dataclass(frozen=True)
class LabelTable:
    """text: CSV. cases: rows. differing, undecided, withdrawn: cases that are left out, by why."""

    text: str
    cases: int
    differing: int
    undecided: int
    withdrawn: int


def label_table(store: Store) -> LabelTable:
    """Every case that doctors judged, the oldest first. film: where a kept film lies in the clinic's folder."""
    judged, undecided = labelled_cases(store)
    certain = sorted((case for case in judged if case.label is not None), key=lambda case: (case.received, case.case))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(HEADER)
    for case in certain:
        film = f"films/{case.case}.npz" if case.kept else ""
        comment = unformulaic(" / ".join(case.comments))
        about = (case.case, case.patient, case.study, iso(case.received))
        writer.writerow((*about, case.label, case.doctors, iso(case.said), "yes", film, comment))
    with store.reading() as connection:
        spoken = select(func.count(feedback.c.case_id.distinct())).join(cases, cases.c.id == feedback.c.case_id)
        withdrawn = connection.execute(spoken.where(~of_nobody_withdrawn())).scalar() or 0
    return LabelTable(file.getvalue(), len(certain), len(judged) - len(certain), undecided, int(withdrawn))
