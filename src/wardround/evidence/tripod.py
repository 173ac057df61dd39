"""The items of TRIPOD+AI as rows of the model card: what the run record can say, and blanks for the rest.

G. S. Collins et al., TRIPOD+AI statement, BMJ 2024;385:e078378, checklist of 27 items. The names of the items are ours, short.
"""

from collections.abc import Callable

from wardround.evidence.fit_words import fit_items
from wardround.evidence.input_facts import fingerprint_words
from wardround.evidence.sample import covers_all, sample_of
from wardround.evidence.text import blank, whole, with_interval
from wardround.study.declaration import Study
from wardround.study.label import LABEL_KINDS
from wardround.study.record.run_record import Evaluation, RunRecord, SiteRecord
from wardround.tasks.protocol import Words
from wardround.tasks.registry import task_of_record

_AUTHORS, _CLINIC, _HOSPITALS = "the authors", "the clinical lead", "each hospital"


def items(record: RunRecord, study: Study | None) -> tuple[tuple[str, str, str], ...]:
    """(number, name, text) in the order of the checklist. study: the run's, where it can be read."""
    said = {number: text for number, say in _KNOWN.items() if (text := say(record))}
    said |= {number: text for number, say in _STATED.items() if study is not None and (text := say(study))}
    if record.fit is not None:
        said |= fit_items(record, record.fit, study)
    return tuple((number, name, said.get(number) or blank(person)) for number, name, person in _ITEMS)


def checklist() -> tuple[tuple[str, str, str], ...]:
    """(number, name, who fills it in) of every item, in the order of the checklist."""
    return _ITEMS


_ITEMS = (
    ("1", "Title", _AUTHORS),
    ("2", "Abstract", _AUTHORS),
    ("3a", "Healthcare context and rationale", _CLINIC),
    ("3b", "Target population and intended users", _CLINIC),
    ("3c", "Known health inequalities", _CLINIC),
    ("4", "Objectives", _AUTHORS),
    ("5a", "Sources of data", _HOSPITALS),
    ("5b", "Dates of the data", _HOSPITALS),
    ("6a", "Setting and number of centres", _HOSPITALS),
    ("6b", "Who was eligible", _HOSPITALS),
    ("6c", "Treatments received", _HOSPITALS),
    ("7", "Preparation of the data", _HOSPITALS),
    ("8", "Outcome and how it was assessed", _CLINIC),
    ("9", "Predictors", _AUTHORS),
    ("10", "Sample size", _AUTHORS),
    ("11", "Missing data", _HOSPITALS),
    ("12a", "How the data were used and divided", _AUTHORS),
    ("12c", "Type of model and how it was built", _AUTHORS),
    ("12d", "Differences between centres", _AUTHORS),
    ("12e", "Measures of performance", _AUTHORS),
    ("12f", "Model updating", _AUTHORS),
    ("13", "Class imbalance", _AUTHORS),
    ("14", "Fairness", _CLINIC),
    ("15", "Output of the model", _AUTHORS),
    ("16", "Training and evaluation data compared", _AUTHORS),
    ("17", "Ethical approval", "the ethics lead"),
    ("18", "Funding, conflicts, protocol, registration, sharing", _AUTHORS),
    ("19", "Patient and public involvement", _AUTHORS),
    ("20", "Participants and their characteristics", _HOSPITALS),
    ("21", "Participants and events in each analysis", _AUTHORS),
    ("22", "Full model specification", _AUTHORS),
    ("23a", "Performance with confidence intervals", _AUTHORS),
    ("23b", "Performance by centre", _AUTHORS),
    ("24", "Results of model updating", _AUTHORS),
    ("25", "Interpretation", _AUTHORS),
    ("26", "Limitations", _AUTHORS),
    ("27", "Use in practice", _CLINIC),
)


def _sources(record: RunRecord) -> str:
    return "Synthetic data made by a program; no patients." if record.synthetic else ""


def _centres(record: RunRecord) -> str:
    if not record.took_part:
        return ""
    return f"{len(record.took_part)} hospitals in the record. Level of care and location: {blank(_HOSPITALS)}"


def _sample(record: RunRecord) -> str:
    sample = sample_of(record)
    if sample is not None:
        return f"{whole(sample.patients)} patients, {whole(sample.records)} records. Whether that was enough: {blank(_AUTHORS)}"
    return f"This record counts {_some(record)} alone. All hospitals together: {blank(_AUTHORS)}" if record.sites else ""


def _division(record: RunRecord) -> str:
    if record.totals is not None:
        divided = [record.totals.split_images]
    else:
        divided = [entry.split_images for entry in record.sites.values()] if covers_all(record) else []
    parts = {split: sum(images.get(split, 0) for images in divided) for split in _SPLITS}
    if not any(parts.values()):
        return ""
    shares = ", ".join(f"{whole(count)} {split}" for split, count in parts.items())
    outside = f" External test sets: {', '.join(record.external)}." if record.external else ""
    return f"Records divided at each hospital: {shares}.{outside}"


def _some(record: RunRecord) -> str:
    """The hospitals that the record has figures of, and of how many."""
    return f"{', '.join(record.sites)}, {len(record.sites)} of {len(record.took_part)} hospitals,"


_SPLITS = ("train", "validation", "test")


def _building(record: RunRecord) -> str:
    return (
        f"{record.network.name} ({whole(record.network.parameters)} trained numbers), {record.algorithm}, "
        f"{len(record.rounds)} rounds, seed {record.seed}; all settings in the study file (SHA-256 {record.study_hash})."
    )


def _measures(_: RunRecord) -> str:
    return "Discrimination, calibration and counts at the threshold, with 95 % intervals: see Metrics."


def _output(record: RunRecord) -> str:
    if record.model is None:
        return ""
    return _words(record).output_of(record.model.threshold)


def _events(record: RunRecord) -> str:
    words = _words(record)
    rows = [
        ", ".join((f"{site}: {whole(entry.patients)} patients", *_labels(entry, words))) for site, entry in record.sites.items()
    ]
    totals = record.totals
    if rows and not covers_all(record):
        rows.append(f"of the other hospitals: {blank(_AUTHORS)}")
    if not rows and totals is not None:
        counted = (f"{whole(totals.labels.get(key))} {text}" for key, text in words.counted_in_text.items())
        rows = [", ".join((f"all hospitals together: {whole(totals.patients)} patients", *counted))]
    return "; ".join(rows)


def _specification(record: RunRecord) -> str:
    return f"Weights with SHA-256 {record.model.sha256}." if record.model else ""


def _performance(record: RunRecord) -> str:
    return f"{_headline(record, record.pooled.federated)}; see Evaluation data and results." if record.pooled else ""


def _by_centre(record: RunRecord) -> str:
    rows = [f"{site}: {_headline(record, entry.federated)}" for site, entry in record.sites.items() if entry.federated]
    return "; ".join(rows)


def _objectives(study: Study) -> str:
    return " ".join(part for part in (study.question.title, study.question.description) if part)


def _preparation(study: Study) -> str:
    if study.data.kind == "image":
        height, width = study.data.image.size
        return f"Images brought to {height} by {width} pixels ({study.data.image.fit}); the contract is in the study file."
    if study.data.kind == "molecule":
        return "Salts and charges taken off, stereo and isotopes left out; then a fingerprint, as the study file says."
    return "Numbers scaled by the public constants of the contract, codes made indicators; the contract is in the study file."


def _predictors(study: Study) -> str:
    if study.data.kind == "image":
        return "The pixels of one image."
    if study.data.kind == "molecule":
        return f"Of one molecule {fingerprint_words(study.data.molecule_rules)}."
    return ", ".join(f"{column.name} ({column.unit})" if column.unit else column.name for column in study.data.columns)


def _missing(study: Study) -> str:
    allowed = [f"{column.name} up to {column.max_missing:.0%}" for column in study.data.columns if column.max_missing > 0]
    if study.data.kind != "table":
        return ""
    return f"Missing values get an indicator; allowed at a hospital: {', '.join(allowed)}." if allowed else "None are allowed."


def _imbalance(study: Study) -> str:
    if "training.class_balance" not in LABEL_KINDS[study.data.label.kind].uses:
        return ""
    if study.training.class_balance:
        return "Each hospital weighs classes by the inverse of their counts (training.class_balance)."
    return "Classes are not weighed."


_STATED: dict[str, Callable[[Study], str]] = {
    "3b": lambda study: study.question.intended_use,
    "4": _objectives,
    "7": _preparation,
    "8": lambda study: f"{study.data.label.name}. How it was assessed: {blank(_CLINIC)}",
    "9": _predictors,
    "11": _missing,
    "13": _imbalance,
}
"""What the study itself states."""


def _words(record: RunRecord) -> Words:
    return task_of_record(record.study_toml).words


def _labels(entry: SiteRecord, words: Words) -> tuple[str, ...]:
    return tuple(f"{whole(entry.label_counts.get(key))} records {text}" for key, text in words.counted_in_text.items())


def _headline(record: RunRecord, evaluation: Evaluation) -> str:
    task = task_of_record(record.study_toml)
    return f"{task.words.names[task.headline]} {with_interval(evaluation, task.headline)}"


_KNOWN: dict[str, Callable[[RunRecord], str]] = {
    "5a": _sources,
    "6a": _centres,
    "10": _sample,
    "12a": _division,
    "12c": _building,
    "12d": lambda record: "Each model is tested at each hospital; see the report." if record.cross else "",
    "12e": _measures,
    "12f": lambda record: f"Training started from the model {record.parent_model}." if record.parent_model else "",
    "15": _output,
    "21": _events,
    "22": _specification,
    "23a": _performance,
    "23b": _by_centre,
}
