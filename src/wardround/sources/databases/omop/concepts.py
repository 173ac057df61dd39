"""The concept sets of a cohort as OMOP's concept numbers, by the vocabulary that a hospital holds itself.

    "SNOMED|59621000" --concept--> 320128 --concept_ancestor, where the set asks for descendants--> all below it

An event belongs to a set where its standard concept or its source concept is one of these numbers. No code is translated into
another vocabulary, since several codes often share one translation.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from wardround.sources.databases.events import Tally
from wardround.sources.databases.tables import RowFilter, Tables, integers, words
from wardround.sources.progress import counting_rows
from wardround.study.code_systems import OMOP, Code
from wardround.study.sections.cohort import CohortSection, ConceptSet
from wardround.values.errors import DataError


@dataclass(frozen=True)
class ConceptNumbers:
    """The numbers of one set; None where every event of its kind belongs to it."""

    concept_set: ConceptSet
    numbers: frozenset[int] | None


def concept_numbers(cohort: CohortSection, vocabulary: Tables, tally: Tally) -> tuple[ConceptNumbers, ...]:
    """Every set of the cohort, in order. DataError where a set cannot be told at this hospital."""
    codes = {code for concept_set in cohort.concepts for code in concept_set.parsed_codes}
    by_code = _looked_up(codes, vocabulary)
    return tuple(_numbers(concept_set, by_code, vocabulary, tally) for concept_set in cohort.concepts)


def _numbers(concept_set: ConceptSet, by_code: dict[Code, frozenset[int]], vocabulary: Tables, tally: Tally) -> ConceptNumbers:
    if not concept_set.codes:
        return ConceptNumbers(concept_set, None)
    if all(code.vocabulary is None for code in concept_set.parsed_codes):
        raise DataError(
            f"OMOP can hold none of the codes of the concept set {concept_set.name!r}",
            expected="a code of a vocabulary, or a concept as OMOP|320128",
            hint="add one to the study, for all hospitals",
        )
    numbers = frozenset().union(*(by_code.get(code, frozenset()) for code in concept_set.parsed_codes))
    if not numbers:
        tally.add(
            "warning", f"concepts-unknown:{concept_set.name}",
            f"The table concept holds no code of the concept set {concept_set.name!r}",
            "load the vocabularies that the study names, if this hospital uses them",
        )  # fmt: skip
    if concept_set.descendants:
        numbers = _with_descendants(concept_set, numbers, vocabulary)
    return ConceptNumbers(concept_set, numbers)


_CONCEPT = ("concept_id", "vocabulary_id", "concept_code")


def _looked_up(codes: Iterable[Code], vocabulary: Tables) -> dict[Code, frozenset[int]]:
    """The concept numbers of each code. OMOP's own numbers need no table."""
    numbers_of = {code: {int(code.code)} for code in codes if code.system == OMOP}
    named = [code for code in codes if code.system != OMOP and code.vocabulary is not None]
    if named:
        require_columns(vocabulary, "concept", _CONCEPT, "codes are looked up in it")
    exact = {(code.vocabulary, code.code): code for code in named if code.prefix is None}
    if exact:
        for number, system, text in _concepts(vocabulary, "concept_code", {code for _, code in exact}):
            if (code := exact.get((system, text))) is not None:
                numbers_of.setdefault(code, set()).add(number)
    begun = [code for code in named if code.prefix is not None]
    if begun:
        for number, system, text in _concepts(vocabulary, "vocabulary_id", {str(code.vocabulary) for code in begun}):
            for code in begun:
                if system == code.vocabulary and text.startswith(str(code.prefix)):
                    numbers_of.setdefault(code, set()).add(number)
    return {code: frozenset(numbers) for code, numbers in numbers_of.items()}


def _concepts(vocabulary: Tables, column: str, values: set[str]) -> Iterator[tuple[int, str, str]]:
    """Number, vocabulary and code of every concept that has one of the values in a column."""
    met: dict[int, tuple[str, str]] = {}
    for batch in counting_rows("concept", vocabulary.batches("concept", _CONCEPT, RowFilter((column,), frozenset(values)))):
        rows = integers(words(batch, "vocabulary_id", "concept_code"), "concept_id")
        for number, system, code in rows.filter(pl.col(column).is_in(sorted(values))).drop_nulls("concept_id").iter_rows():
            if met.setdefault(number, (system, code)) != (system, code):
                text = "The table concept gives one concept_id two codes, so that it is not clear which is meant"
                raise DataError(text, found=f"{number}: {met[number]} and {(system, code)}", hint="load the vocabularies anew")
            yield number, system, code


def _with_descendants(concept_set: ConceptSet, numbers: frozenset[int], vocabulary: Tables) -> frozenset[int]:
    """The numbers and all below them. The table lists every pair, however far apart: no chain is followed, so none can turn."""
    columns = ("ancestor_concept_id", "descendant_concept_id")
    below: set[int] = set()
    if vocabulary.columns("concept_ancestor") is not None:
        require_columns(vocabulary, "concept_ancestor", columns, "descendants are looked up in it")
        pair_batches = vocabulary.batches("concept_ancestor", columns, RowFilter(columns[:1], numbers))
        for batch in counting_rows("concept_ancestor", pair_batches):
            pairs = integers(batch, *columns)
            below.update(pairs.filter(pl.col(columns[0]).is_in(sorted(numbers)))[columns[1]].drop_nulls().to_list())
    if numbers and not below:
        raise DataError(
            f"The concept set {concept_set.name!r} asks for descendants, and the table concept_ancestor has none of its concepts",
            expected="concept_ancestor of the vocabularies that the study names",
            hint="load it; or list every code under codes and leave descendants out, for all hospitals",
        )
    return numbers | below


def unit_spellings(vocabulary: Tables) -> dict[int, str]:
    """The UCUM code of each unit concept, as far as the vocabulary holds it."""
    have = vocabulary.columns("concept")
    if have is None or not have.issuperset(_CONCEPT):
        return {}
    return {number: code for number, _, code in _concepts(vocabulary, "vocabulary_id", {"UCUM"})}


_TABLE_HINT = "add it, with its header alone where it really holds nothing; in PostgreSQL name its schema with ?schema=NAME"


def require_columns(tables: Tables, table: str, columns: tuple[str, ...], reason: str) -> None:
    """DataError where the source lacks a table or one of its columns."""
    have = tables.columns(table)
    if have is None:
        raise DataError(f"The source has no table {table}", expected=f"the table {table}: {reason}", hint=_TABLE_HINT)
    if absent := [name for name in columns if name not in have]:
        raise DataError(
            f"The table {table} lacks {', '.join(absent)}", expected="the columns of OMOP CDM 5.4", hint="export the whole table"
        )
