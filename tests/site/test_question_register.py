"""A hospital's register of questions: what differs by a few rows from an earlier question is not answered."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wardround.site.question_register import QuestionRegister
from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.values.ids import site_id
from wardround.values.rows import Rows
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Order, OrderHeader, Refusal

from .test_analysis_orders import COHORT, STUDY


def rows(count: int, missing: int = 0) -> Rows:
    age = np.arange(count) % 60 + 20.0
    age[:missing] = np.nan
    columns = {"age": age, "ill": (np.arange(count) % 3 == 0).astype(float), "label": np.full(count, np.nan)}
    patients = np.array([f"p{row // 2}" for row in range(count)])  # two rows each
    return Rows(columns, patients, np.full(count, "train"), "north")


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        (rows(50), rows(50), False),
        (rows(50), rows(53), True),
        (rows(53), rows(50), True),
        (rows(50), rows(55), False),
        (rows(50), rows(50, missing=2), True),
        (rows(50), rows(50, missing=7), False),
    ],
)
def test_rows_that_differ_by_a_few_are_two_questions_about_them(first: Rows, second: Rows, refused: bool, tmp_path: Path) -> None:
    """More rows, fewer rows, or rows that another column's missing values leave out."""
    register = QuestionRegister(tmp_path)
    register.add(register.question("a" * 64, "First", ("age", "ill"), 5, first))
    later = register.question("b" * 64, "Second", ("age", "ill"), 5, second)
    assert bool(list(register.broken(later))) == refused


def test_a_question_without_a_common_column_is_another(tmp_path: Path) -> None:
    """No sum of one is a sum of the other."""
    register = QuestionRegister(tmp_path)
    register.add(register.question("a" * 64, "First", ("age",), 5, rows(50)))
    assert not list(register.broken(register.question("b" * 64, "Second", ("ill",), 5, rows(53))))


def test_the_stricter_of_two_rules_holds(tmp_path: Path) -> None:
    """A study may show everything; the one before it did not."""
    register = QuestionRegister(tmp_path)
    register.add(register.question("a" * 64, "First", ("age",), 10, rows(50)))
    assert list(register.broken(register.question("b" * 64, "Second", ("age",), 1, rows(57))))


def test_the_register_holds_no_name_of_a_patient(tmp_path: Path) -> None:
    """Keyed hashes, in files of this user alone."""
    register = QuestionRegister(tmp_path / "questions")
    register.add(register.question("a" * 64, "First", ("age",), 5, rows(50)))
    files = [path for path in (tmp_path / "questions").iterdir() if path.is_file()]
    assert not any(b"p7" in path.read_bytes() and b"p8" in path.read_bytes() for path in files)
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_a_site_opens_no_study_that_differs_by_a_few_rows_and_opens_the_same_again(tmp_path: Path) -> None:
    """At the opening, before any sum: the word is that of records which cannot be used."""
    study = parse_study(STUDY)
    other = study.revised(question={"title": "Who is ill, asked again"})

    def opened(one: Study, own: Rows, folder: str) -> str:
        site = Site(site_id("north"), one, lambda: own, tmp_path / folder, questions=tmp_path / "questions")
        reply = from_bytes(site.handle(to_bytes(Order(OrderHeader(study=one.hash, step="open", round=0, cohort=COHORT)))))
        site.close()
        return reply.header.code if isinstance(reply, Refusal) else "answered"

    assert opened(study, rows(50), "first") == "answered"
    assert opened(study, rows(50), "first-again") == "answered"
    assert opened(other, rows(52), "second") == "records"
    assert opened(other, rows(60), "third") == "answered"
    assert opened(other.revised(question={"title": "Once more"}), replace(rows(50), hospital="north"), "fourth") == "answered"
