"""A formula means one model, or it is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.study.formula import parse_formula
from wardround.study.sections.analysis.term import TermSection
from wardround.values.errors import StudyError


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("y ~ age", [TermSection(column="age")]),
        ("y ~ age/10 + sex", [TermSection(column="age", per=10), TermSection(column="sex")]),
        ('y ~ C(ward, "b")', [TermSection(column="ward", reference="b")]),
        ("y ~ C(cp, 2) + C(sex)", [TermSection(column="cp", reference="2"), TermSection(column="sex")]),
        ("y ~ age + sex + age:sex", [*(TermSection(column=n) for n in ("age", "sex")), TermSection(column="age", times="sex")]),
        ("y ~ age*sex", [*(TermSection(column=n) for n in ("age", "sex")), TermSection(column="age", times="sex")]),
        ("y ~ `body mass`/5 + `a+b`", [TermSection(column="body mass", per=5), TermSection(column="a+b")]),
        ("y ~ age + age", [TermSection(column="age")]),
    ],
)
def test_what_a_formula_says(text: str, terms: list[TermSection]) -> None:
    """As a reader of R reads it; the unit is our own."""
    formula = parse_formula(text)
    assert formula.outcome == "y" and list(formula.terms) == terms


@pytest.mark.parametrize(
    "text",
    ["y", "y ~", "~ age", "y ~ age +", "y ~ log(age)", "y ~ age - 1", "y ~ a:b:c", "y ~ age/x", "a b ~ c", "y ~ a:a", "y ~ a/0"],
)
def test_what_is_not_understood_is_refused_with_the_forms_that_are(text: str) -> None:
    """`- 1` and `log` mean something in R: to leave them out would be another model."""
    with pytest.raises(StudyError, match="cannot be read"):
        parse_formula(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """A formula comes from a notebook: no text may show a traceback of ours."""
    with suppress(StudyError):
        parse_formula(text)
