"""One data set of the hospital, read for one study: what a person wants to know before she decides.

data set, study --read once--> readiness, fingerprint, patients --ledger, policy--> what the study breaks
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wardround.plan.plan import SCORED_AT_THE_END
from wardround.site.analysis_work import fingerprint_of_rows, question_of
from wardround.site.config import labels_of
from wardround.site.daemon.approvals import Facts
from wardround.site.daemon.data_sets import DataSet
from wardround.site.daemon.policy import Policy, broken_rules
from wardround.site.question_register import QuestionRegister
from wardround.site.work import fingerprint
from wardround.study.declaration import Study
from wardround.study.own_task import OwnTask, load_own_task, require_own_task
from wardround.values.canonical import sha256_hex
from wardround.values.errors import DataError, WardroundError
from wardround.values.home import default_home
from wardround.values.records import Records

if TYPE_CHECKING:
    from wardround.privacy.ledger.ledger import Ledger
    from wardround.sources.readiness.report import Readiness


@dataclass(frozen=True)
class Cost:
    """What a private study costs these patients. epsilon: of the study. spent, after: of their ledger, before and with it, at
    `delta`. budget: epsilon; None where none is set."""

    epsilon: float
    delta: float
    spent: float
    after: float
    budget: float | None


@dataclass(frozen=True)
class Examination:
    """readiness: the report on the data. fingerprint: of the records, "" where they cannot be read. patients: that the study
    would train on; of one that evaluates only, fewest of the splits that it looks at. mapping: hash of the mapping, "" without.
    cost: None of a study that is not private. broken: the rules of the policy that the study breaks, in words. tested: a hash of
    which patients an evaluation looks at, see `tested_patients`; "" of a study that trains. task: of a study that leaves the
    question to each hospital, this one's; None of any other."""

    data_set: str
    ledger: str
    readiness: "Readiness"
    fingerprint: str
    patients: int
    mapping: str
    cost: Cost | None
    broken: tuple[str, ...]
    tested: str = ""
    task: OwnTask | None = None

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why the study cannot be approved with this data set; empty where it can."""
        unread = () if self.readiness.ready() and self.fingerprint else ("the data are not ready: see `wardround data check`",)
        return (*unread, *self.broken)

    @property
    def facts(self) -> Facts:
        """What an approval is bound to."""
        task = "" if self.task is None else self.task.hash
        return Facts(data_set=self.data_set, fingerprint=self.fingerprint, mapping=self.mapping, ledger=self.ledger, task=task)


def examine(study: Study, name: str, data_set: DataSet, policy: Policy, ledgers: Path) -> Examination:
    """Reads the whole data set: for many images that takes minutes. Writes nothing."""
    from wardround.sources import open_source
    from wardround.sources.excluded_patients import ExcludedPatients
    from wardround.sources.made_records import to_records, to_rows
    from wardround.sources.mapping.sections import load_mapping

    task = load_own_task(data_set.task) if study.keeps_heads and data_set.task is not None else None
    agreed, study = study, require_own_task(study, task, name)
    mapping = None if data_set.mapping is None else load_mapping(data_set.mapping)
    excluded = ExcludedPatients.of_user()
    source = open_source(data_set.data, study.data, private=study.privacy.private, mapping=mapping, excluded=excluded)
    records, mark, patients = None, "", 0
    asked_before: list[str] = []
    if study.analysis is not None:
        readiness, read_result = source.look(labels_of(study), "measured")
        if read_result is not None and readiness.ready():
            rows = to_rows(read_result, study.data, name)
            mark, patients = fingerprint_of_rows(rows), rows.patient_count
            if not study.privacy.private:
                register = QuestionRegister(default_home() / "questions")
                asked_before = list(register.broken(question_of(register, study, rows)))
    else:
        readiness, read_result = source.look()
        if read_result is not None and readiness.ready():
            records = to_records(read_result, study.data, study.data.splits)
            mark, patients = fingerprint(records), _patients(study, records)
    cost = cost_of(agreed, ledger_path(ledgers, data_set.ledger)) if study.privacy.private else None
    broken = list(
        broken_rules(
            policy,
            study,
            patients=patients,
            epsilon=None if cost is None else cost.epsilon,
            epsilon_in_all=None if cost is None else cost.after,
        )
    )
    broken += [*_over_budget(cost), *asked_before]
    return Examination(
        name,
        data_set.ledger if study.privacy.private else "",
        readiness,
        mark,
        patients,
        "" if mapping is None else mapping.sha256,
        cost,
        tuple(broken),
        "" if records is None or not study.evaluates_only else tested_patients(records),
        task,
    )


def _patients(study: Study, records: Records) -> int:
    """Whose number the policy has a smallest of."""
    if not study.evaluates_only:
        return len(np.unique(records.patients[records.splits == "train"]))
    numbers = {split: len(np.unique(records.patients[records.splits == split])) for split in SCORED_AT_THE_END}
    return min((number for split, number in numbers.items() if number or split == "test"), default=0)


def tested_patients(records: Records) -> str:
    """A hash of which patients an evaluation looks at, in which split and with which outcomes. What a network reads of them plays
    no part, and neither does the order of the records. It stays at the hospital."""
    kept = np.flatnonzero(np.isin(records.splits, SCORED_AT_THE_END))
    rows = sorted(f"{records.splits[row]}\0{records.patients[row]}\0{records.labels[row]}" for row in kept)
    return sha256_hex("\n".join(rows).encode())


def ledger_path(ledgers: Path, name: str) -> Path:
    return ledgers / f"{name}.sqlite"


def cost_of(study: Study, path: Path) -> Cost:
    """What the study costs, alone and with all that the ledger knows. DataError where there is no ledger with a budget yet."""
    from wardround.plan.pricing import price_of, private_plan_of
    from wardround.privacy import accounting

    ledger = _opened(path)
    unit = study.privacy.unit
    balance, price, plan = ledger.balance(unit), price_of(study), private_plan_of(study)
    spent = dict(ledger.spent(unit))
    after = {**spent, plan.event: spent.get(plan.event, 0) + plan.events}
    return Cost(
        price.epsilon,
        balance.delta,
        balance.spent,
        accounting.epsilon(after, balance.delta),
        None if balance.budget is None else balance.budget.epsilon,
    )


def _opened(path: Path) -> "Ledger":
    from wardround.privacy.ledger.file import witness_of
    from wardround.privacy.ledger.ledger import Ledger

    try:
        return Ledger(path, begin=False, witness=witness_of(path))
    except WardroundError as error:
        if path.exists():
            raise
        raise DataError(
            f"These patients have no privacy ledger yet ({path})",
            expected="a ledger with a budget, which the data manager sets once for all studies",
            hint=f"wardround site ledger {path} --epsilon E --delta D",
        ) from error


def _over_budget(cost: Cost | None) -> tuple[str, ...]:
    if cost is None:
        return ()
    if cost.budget is None:
        return ("the patients' ledger has no budget: wardround site ledger NAME --epsilon E --delta D",)
    if cost.after > cost.budget:
        return (f"with it the ledger would stand at epsilon {cost.after:.4g}, and its budget is {cost.budget:g}",)
    return ()
