"""One page for whoever decides about a study: what is asked, by whom, what is read, what leaves, what it costs, what stays open.

    offered study (+ examination of a data set) --> Review: titled sentences --> the terminal, or a page to print

Every sentence follows from the study, its offer, this hospital's policy or its data; none is the hub's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from wardround.algorithms.personal import candidate_named
from wardround.analysis.protocol import Analysis
from wardround.plan.plan import Plan
from wardround.plan.releases import ANALYSIS, EVALUATION, OPENING, TRAINING, Release, releases
from wardround.site.daemon.examination import Examination
from wardround.site.daemon.offers import OfferedStudy
from wardround.site.daemon.policy import Policy, not_pre_approved
from wardround.study.contract import DataContract
from wardround.study.declaration import Study
from wardround.study.protection import protection

ALARM = "!"
"""A sentence that begins so is shown in red."""


@dataclass(frozen=True)
class Section:
    """title, and sentences; one that begins with ALARM is a warning."""

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Review:
    """The page. title: of the study. hash: what an approval is bound to. state: where the study stands here, in words."""

    title: str
    hash: str
    state: str
    sections: tuple[Section, ...]


def review_of(offered: OfferedStudy, state: str, policy: Policy, examination: Examination | None, own: str = "") -> Review:
    """examination: of the data set that would be used; None where none was named. own: this hospital's name."""
    study = offered.study
    plan = Plan(study)
    sections = (
        Section("What is asked", tuple(_question(study))),
        Section("Who takes part", tuple(_participants(offered))),
        Section("What is read at this hospital", tuple(_fields(study, examination))),
        Section("What is computed", tuple(_computed(plan))),
        Section("What leaves this hospital", tuple(_leaving(plan))),
        Section("What protects it, and what does not", tuple(_protection(study))),
        Section("What it costs these patients", tuple(_cost(study, examination))),
        Section("This hospital's policy", tuple(_policy_words(study, policy, examination, own))),
        *((Section(f"The data set {examination.data_set}", tuple(_data_words(examination))),) if examination else ()),
    )
    return Review(study.question.title, study.hash, state, tuple(section for section in sections if section.sentences))


def _question(study: Study) -> Iterator[str]:
    question = study.question
    if study.keeps_heads:
        yield (
            "The hospitals learn what records look like together. What is asked of them each hospital decides for itself: the "
            "study names no task, and no hospital learns which tasks another has, nor how many."
        )
    for name, text in (("", question.description), ("Intended use: ", question.intended_use), ("Contact: ", question.contact)):
        if text:
            yield f"{name}{text.strip()}"


def _participants(offered: OfferedStudy) -> Iterator[str]:
    names = offered.study.sites.names
    yield f"{len(names)} hospitals. Compare with what you agreed on; their keys are what makes the sum safe:"
    for card in sorted(offered.offer.sites, key=lambda card: card.name):
        yield f"{card.name}: key {_in_groups(card.identity)}"
    if offered.offer.lead:
        yield f"The hub says that it is led by {offered.offer.lead}."


def _in_groups(key: str) -> str:
    """The first 80 bits of a key, which nobody can choose, as two people read them to each other."""
    return " ".join(key[start : start + 4] for start in range(0, 20, 4))


def _fields(study: Study, examination: Examination | None) -> Iterator[str]:
    contract = study.data
    if contract.kind == "image":
        height, width = contract.image.size
        yield f"Images, seen at {width} x {height} pixels, {contract.image.channels} channel(s)."
    elif contract.kind == "molecule":
        rules = contract.molecule_rules
        yield f"Molecules, from the column {rules.column}: {rules.length} numbers of each. No SMILES leaves."
    else:
        yield f"{len(contract.feature_names)} numbers of each row, from: {', '.join(column.name for column in contract.columns)}."
    yield from _own_task(examination) if study.keeps_heads else (_label(contract),)
    if contract.kind == "molecule":
        yield "The compound, by its structure, is the unit that is divided, counted and protected. It never leaves."
        return
    yield f"The patient of each record: {contract.patient.column}. It is used to divide and to count, and never leaves."


def _label(contract: DataContract) -> str:
    return f"The label: {contract.label.column} (a question of the kind {contract.label.kind})."


def _own_task(examination: Examination | None) -> Iterator[str]:
    """What this hospital asks, as its own task file says it: on this page alone."""
    if examination is None or examination.task is None:
        yield "The label: as this hospital's own task says, which is looked at with a data set: --data NAME."
        return
    label = examination.task.label
    columns = ", ".join(label.columns)
    yield f"The label, by this hospital's own task {examination.task.hash[:12]}: {columns} (a question of the kind {label.kind})."
    yield "The task is bound to the approval, and stays here: nothing of it is sent."


def _computed(plan: Plan) -> Iterator[str]:
    study = plan.study
    if plan.analysis is not None:
        yield from _analysed(plan, plan.analysis)
        return
    size = sum(_size(shape) for shape in plan.model_shapes.values())
    if study.evaluates_only:
        yield f"Evaluation only of a finished model: {study.learned.title}, {size:,} numbers. Nothing is trained."
        yield f"The model's hash: {study.evaluation.model}. An order with another model is refused."
        at = study.evaluation.model_threshold
        chosen = "a threshold that is chosen on the validation patients"
        if at is not None:
            chosen = f"its thresholds: {plan.task.words.shown_decision(at)}" if isinstance(at, tuple) else f"its threshold {at:g}"
        yield f"It is judged on this hospital's test patients, at {chosen}."
    else:
        shared = "below the last layer, which each hospital keeps" if study.keeps_heads else ""
        yield f"{study.learned.title}, {size:,} numbers {shared}".rstrip() + (
            f"; {study.algorithm.name}, {study.algorithm.rounds} rounds."
        )
    if study.keeps_heads:
        yield "After the last round this hospital's own last layer is refitted here. The whole model and its figures stay here."
    if study.personal.candidates:
        names = ", ".join(study.personal.candidates)
        yield f"At the end models for this hospital alone are made here ({names}), and the best for its patients is kept."
        yield "They are trained without noise, and stay in this hospital's folder: nothing of them leaves."
        if remembering := [name for name in study.personal.candidates if candidate_named(name).remembers]:
            yield (
                f"{ALARM}The model kept here may hold values of single patients ({', '.join(remembering)}: a row for each "
                "training record). Its files must never leave this hospital."
            )
    yield "Only Wardround's own code runs here. Nothing that the hub sends is a program."


def _analysed(plan: Plan, analysis: Analysis) -> Iterator[str]:
    """What is made public, of which columns, and from how small counts."""
    section = plan.study.analysis
    assert section is not None
    yield f"An analysis ({section.kind}): tables and figures of all hospitals together. No model is made."
    yield f"It reads the columns: {', '.join(analysis.columns)}."
    yield f"Its tables will be public: counts below {section.smallest_cell} are withheld in them, and what would give them away."
    if section.survival is not None and section.survival.strata_baselines:
        strata = section.survival.strata
        yield (
            f"{ALARM}For each value of {strata} the hazard by time becomes public, of {section.smallest_cell} patients or more. "
            f"Where {strata} says whose patients they are, that is a figure of this hospital alone."
        )
    if plan.private is None:
        yield (
            "The hub reads every total before these rules, also a total of few patients; of this hospital alone it reads nothing."
        )
    else:
        yield "The hub reads totals with noise; of this hospital alone it reads nothing. Of each patient the first row counts."
    yield "Only Wardround's own code runs here. Nothing that the hub sends is a program."


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


def _leaving(plan: Plan) -> Iterator[str]:
    listed = releases(plan)
    total = sum(release.sums for release in listed)
    form = "laid under masks that only the total of all hospitals is free of" if plan.masked else "READABLE by the hub"
    yield f"At most {total} shares of sums, each once, each {form}:" if plan.masked else f"{ALARM}At most {total} shares, {form}:"
    for release in listed:
        yield _release_words(release, plan)
    yield "Besides: one word where an order is refused, that this hospital answered and when, and the sizes above."
    yield f"No record, no {'picture' if plan.study.data.kind == 'image' else 'row'}, no name, no figure of this hospital alone."


def _release_words(release: Release, plan: Plan) -> str:
    numbers = []
    if release.step == ANALYSIS and plan.private is not None:
        times = "once" if release.sums == 1 else f"at most {release.sums} times"
        steps = plan.private.events_of(release.labels[0])
        return (
            f"{release.labels[0]}, {times}: {release.model_words:,} numbers with noise as words of {release.bits} bits, "
            f"{release.bytes_each:,} bytes each, charged as {steps} step{'s' * (steps != 1)}."
        )
    if release.step == ANALYSIS:
        real = f" and {release.model_words // 2:,} sums of real numbers" if release.model_words else ""
        times = "once" if release.sums == 1 else f"at most {release.sums} times"
        return f"{release.labels[0]}, {times}: {release.counts:,} counts{real}, {release.bytes_each:,} bytes each."
    if release.model_words:
        noised = "with noise " if plan.private is not None and plan.private.distributed else ""
        numbers.append(f"{release.model_words:,} numbers of the model {noised}as words of {release.bits} bits")
    if release.counts:
        numbers.append(f"{release.counts:,} whole numbers ({_meaning(release.step, plan)})")
    times = f"{release.sums} sum{'s' * (release.sums != 1)}"
    labels = f", of the models {', '.join(release.labels)}" if release.labels and not plan.study.evaluates_only else ""
    return f"{release.step}: {times} of {' and '.join(numbers)}, {release.bytes_each:,} bytes each{labels}."


def _meaning(step: str, plan: Plan) -> str:
    splits = "validation and test" if plan.study.evaluates_only else "training, validation and test"
    if plan.study.keeps_heads and step in _OF_OWN_QUESTIONS:
        return _OF_OWN_QUESTIONS[step].format(records="images" if plan.study.data.kind == "image" else "rows", splits=splits)
    return _MEANING[step].format(records="images" if plan.study.data.kind == "image" else "rows", splits=splits)


_MEANING = {
    OPENING: "how many patients, {records} and labels there are for {splits}",
    TRAINING: "weight, clipped updates, training loss, scores of the incoming model on validation patients",
    EVALUATION: "how often the model's answers fall where, on validation and test patients",
}


_OF_OWN_QUESTIONS = {
    OPENING: "how many patients and {records} there are for {splits}; no count of labels",
    TRAINING: "weight, clipped updates; neither loss nor score",
}
"""The same where each hospital has a question of its own."""


def _protection(study: Study) -> Iterator[str]:
    yield from protection(study)
    if not study.privacy.private:
        of_models, of_orders = "docs/security.md says what a crafted model", "docs/analysis.md says what crafted orders"
        page = of_models if study.analysis is None else of_orders
        yield f"{ALARM}privacy.mode is none: {page} could make the totals show of patients."


def _cost(study: Study, examination: Examination | None) -> Iterator[str]:
    cost = None if examination is None else examination.cost
    if cost is None:
        return
    yield f"The study: epsilon {cost.epsilon:.4g} at delta {study.privacy.delta:g}, for one {study.privacy.unit}."
    yield f"Their ledger: epsilon {cost.spent:.4g} spent, {cost.after:.4g} with this study, at delta {cost.delta:g}."
    budget = "no budget is set" if cost.budget is None else f"its budget is epsilon {cost.budget:g}"
    yield f"{ALARM if cost.budget is None or cost.after > cost.budget else ''}{budget[0].upper()}{budget[1:]}."


def _policy_words(study: Study, policy: Policy, examination: Examination | None, own: str) -> Iterator[str]:
    if study.evaluates_only and policy.pre_approve == "evaluation-only":
        reasons = "; ".join(not_pre_approved(policy, study, own))
        yield (
            f"Not approved beforehand: {reasons}."
            if reasons
            else (
                f"It may be approved beforehand, without a person, on {', '.join(policy.pre_approve_data)}, if it is among the "
                f"{policy.pre_approve_studies} studies that pre_approve_studies allows in all."
            )
        )
    if policy.from_hour != policy.until_hour:
        yield f"Work is done from {policy.from_hour} to {policy.until_hour} only."
    if examination is None:
        yield "Whether the study keeps to it is looked at with a data set: --data NAME."
        return
    for sentence in examination.broken:
        yield f"{ALARM}{sentence[0].upper()}{sentence[1:]}."
    if not examination.broken:
        yield "The study keeps to every rule of it."


def _data_words(examination: Examination) -> Iterator[str]:
    readiness = examination.readiness
    yield "It is ready." if readiness.ready() else f"{ALARM}It is not ready. Run `wardround data check` to see where."
    for count in readiness.counts:
        yield f"{count.name}: {count.exact or count.value}"
    for finding in readiness.findings:
        yield f"{ALARM if finding.level == 'error' else ''}{finding.level}: {finding.exact or finding.text}"
    if examination.mapping:
        yield f"Read through the mapping {examination.mapping[:12]}."
