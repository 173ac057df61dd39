"""The work a site does for the sums of an analysis, on its own rows.

    order --arrays float64--> analysis.contribution(rows, ask) --bounded, counted--> words of 64 bits

As under training, whether there is an answer, and how long it is, follows from the order and the study alone. What goes wrong
with numbers counts as 0, and how many did is one count of the sum (`analysis/carrying.py`); the hospital's own log says what
happened. Under privacy no count leaves:

    order --analysis.of_each(rows, ask)--> one vector for each patient --bounded, summed--> noise share --> words
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from traceback import format_exception
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.carrying import CLIPPED, bounded, bounded_rows, exchange_of
from wardround.analysis.protocol import Ask, OwnCounts, OwnTables, OwnTablesOfSums, PrivateAnalysis
from wardround.analysis.registry import analysis_of
from wardround.plan.permission import ORDER
from wardround.plan.plan import Plan
from wardround.privacy.bounded_arrays import Arrays
from wardround.privacy.noised_arrays import NoisedArrayWords
from wardround.site.question_register import Question, QuestionRegister
from wardround.site.store import SiteState, SiteStore
from wardround.study.declaration import Study
from wardround.summation.masked.layout import content_of
from wardround.summation.masked.memory import ended
from wardround.values.errors import DataError, RefusedError
from wardround.values.ids import SiteId
from wardround.values.randomness import rounding_key
from wardround.values.rows import Rows
from wardround.values.tree import Tree
from wardround.wire.envelope import unpack_bundle
from wardround.wire.messages import Order


class AnalysisWork:
    """Opening and summing. Holds the rows in memory; writes only to the site's store."""

    def __init__(
        self,
        name: SiteId,
        plan: Plan,
        load: Callable[[], Rows],
        store: SiteStore,
        *,
        synthetic: bool = False,
        questions: QuestionRegister | None = None,
    ) -> None:
        """questions: this hospital's register of what it has answered; none in a simulation."""
        assert plan.analysis is not None
        self.questions = questions
        self.name, self.plan, self.store, self.synthetic = name, plan, store, synthetic
        self.analysis, self._load = plan.analysis, load

    @cached_property
    def _rows(self) -> Rows:
        rows = self._load()
        section = self.plan.study.analysis
        assert section is not None
        # Under privacy no bound follows from it, and a refusal would tell of one patient more.
        if len(rows) > section.largest_hospital and not self.plan.study.privacy.private:
            raise DataError(
                "The hospital has more rows than the study's bounds allow for",
                expected=f"at most {section.largest_hospital} (analysis.largest_hospital)",
                hint="agree on a study with a larger number",
            )
        return rows

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint_of_rows(self._rows)

    def words(self, order: Order, state: SiteState) -> tuple[Tree, SiteState]:
        """The words of an order's contribution, before any mask, and the state that goes with them."""
        with np.errstate(all="ignore"):  # a warning under `python -W error` would tell of the rows
            match order.header.step:
                case "open":
                    return self._open(order, state)
                case "evaluate":
                    return self._summed(order, state), state
                case "close":
                    return {}, replace(state, masked=ended(state.masked), closed=True, asks={}, said={})
                case step:
                    raise RefusedError("An analysis has no such step", found=step, code="not-in-study")

    def require_same_records(self, state: SiteState) -> None:
        """RefusedError where the rows are not those that the study was opened with."""
        if self._fingerprint != state.records:
            raise RefusedError(
                "The rows of this site are not those it opened the study with",
                hint="bring back the earlier files, or start a new run",
                code="data-changed",
            )

    def _open(self, order: Order, before: SiteState) -> tuple[Tree, SiteState]:
        """Reads the rows; nothing is summed. The hospital's own report has its counts."""
        self._register()
        counts = {"rows": len(self._rows), "patients": self._rows.patient_count}
        self.store.add_to_report("dataset_counts", "counts", counts)
        if isinstance(self.analysis, OwnCounts):
            self.store.add_to_report("dataset_counts", "own", dict(self.analysis.own_counts(self._rows)))
        if isinstance(self.analysis, OwnTables):
            self._describe_to_itself("tables", self.analysis.own_tables)
        header = order.header
        state = replace(before, study=header.study, records=self._fingerprint, memory={}, pending=None)
        return {}, replace(state, opening=0, opened=content_of(order), opened_with=tuple(map(SiteId, header.cohort)))

    def _describe_to_itself(self, key: str, tables_of: Callable[[Rows], Mapping[str, Any]]) -> None:
        """The hospital's own tables, in its own report. What goes wrong with them is told in the log, and changes no answer."""
        try:
            if tables := tables_of(self._rows):
                self.store.add_to_report("dataset_counts", key, tables)
        except Exception as error:  # noqa: BLE001  the rows may have caused it, and a refusal would tell
            self.store.log("tables", f"This hospital's own tables were not made: {''.join(format_exception(error))}")

    def _register(self) -> None:
        """Records the question, where it keeps its distance from every earlier one. DataError where it does not: the word that
        leaves is that of records which cannot be used, and a person looks. A private study keeps no distance: each patient's part
        in it is hidden by noise, whatever else was asked, and is on the ledger's bill."""
        if self.questions is None or self.plan.study.privacy.private:
            return
        question = question_of(self.questions, self.plan.study, self._rows)
        if broken := list(self.questions.broken(question)):
            raise DataError(
                "The study asks nearly what another did",
                found="; ".join(broken),
                hint="agree on a study over rows that are the same, or that differ by more",
            )
        self.questions.add(question)

    def _summed(self, order: Order, state: SiteState) -> Tree:
        self.require_same_records(state)
        header, sites = order.header, self.plan.grid_sites(len(order.header.cohort))
        exchange = exchange_of(self.analysis, header.label)
        ask = Ask(header.label, unpack_bundle(order.arrays).get(ORDER, {}), header.round)
        words = self.plan.analysis_words(header.label, len(header.cohort))
        if isinstance(words, NoisedArrayWords):
            return words.encode(self._bounded_sum(ask, words))
        kept = bounded(self._contribution(ask), exchange, sites)
        if isinstance(self.analysis, OwnTablesOfSums):
            self._describe_to_itself("fitted", partial(self.analysis.own_tables_of, ask=ask))
        if kept[CLIPPED]:
            self.store.log(
                "bounds", f"In sum {header.round}, {header.label}, {int(kept[CLIPPED])} numbers lay beyond their bounds."
            )
        return words.encode(kept, lambda part: rounding_key(0, self.name, header.label, header.round, part))

    def _bounded_sum(self, ask: Ask, words: NoisedArrayWords) -> NDArray[np.float64]:
        """The sum over patients, each bounded; nothing where it cannot be computed."""
        assert isinstance(self.analysis, PrivateAnalysis)
        try:
            return bounded_rows(self.analysis, self._rows, ask, words)
        except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:  # a refusal would tell of the rows
            self.store.log("arithmetic", f"A sum could not be computed: {''.join(format_exception(error))}")
            return np.zeros(words.size)

    def _contribution(self, ask: Ask) -> Arrays:
        """The arrays of this site's rows; NaN, which counts as 0, where they cannot be computed."""
        try:
            return self.analysis.contribution(self._rows, ask)
        except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:  # a refusal would tell of the rows
            self.store.log("arithmetic", f"A sum could not be computed: {''.join(format_exception(error))}")
            exchange = exchange_of(self.analysis, ask.label)
            return {name: np.full(quantity.shape, np.nan) for name, quantity in exchange.quantities.items()}


def question_of(register: QuestionRegister, study: Study, rows: Rows) -> Question:
    """What a study asks of a hospital's rows, as its register keeps it."""
    assert study.analysis is not None
    columns = analysis_of(study).columns
    return register.question(study.hash, study.question.title, columns, study.analysis.smallest_cell, rows)


def fingerprint_of_rows(rows: Rows) -> str:
    """A hash of every byte that an analysis reads. It stays at the site."""
    digest = hashlib.sha256()
    for name, array in (*sorted(rows.columns.items()), ("", rows.patients), ("", rows.splits)):
        digest.update(f"{name}\0{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
