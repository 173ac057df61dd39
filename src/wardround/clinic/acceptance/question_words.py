"""Names of an acceptance's figures, by its question: of a yes or no the clinic's own, of another those of its task."""

from wardround.clinic.kinds.limits import ClassLimits, FindingLimits, GradeLimits, Reach, TimeLimits
from wardround.clinic.place.acceptance_record import AcceptanceRecord, TunedRecord
from wardround.tasks.registry import task_of_label

FIGURES = {
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "a yes is right",
    "npv": "a no is right",
    "accuracy": "accuracy",
    "ece": "calibration error",
    "brier": "Brier score",
    "slope": "calibration slope",
    "offset": "calibration offset",
}
"""Of a yes or no, in the order of tables."""
_MEASURED = {
    "coverage": "Answers that hold the truth",
    "coverage_positive": "Of those with a finding, the answer holds the truth",
    "coverage_negative": "Of those without, the answer holds the truth",
    "cannot_tell": "Share of cannot tell",
    "wrong": "Told, and wrong",
}
"""Of another question, shares of cases."""
_AGREES = "Mean answers of groups that lie in what the group had"


def figures_of_record(record: AcceptanceRecord) -> dict[str, str]:
    """Key -> name, the one by which such models are judged among the first."""
    if record.tuned is None:
        return FIGURES
    words = task_of_label(record.statement.data.label).words
    return {**words.names, "gain": "Loss saved against knowing only how common each answer is"}


def headline_of(record: AcceptanceRecord) -> tuple[str, str]:
    """Key and name of the figure by which models are compared."""
    key = "auc" if record.tuned is None else task_of_label(record.statement.data.label).headline
    return key, figures_of_record(record)[key]


def second_of(record: AcceptanceRecord) -> tuple[str, str]:
    """Of another figure beside it."""
    names, (headline, _) = figures_of_record(record), headline_of(record)
    compared = task_of_label(record.statement.data.label).words.compared
    key = "accuracy" if record.tuned is None else next(name for name in (*compared, *names) if name != headline)
    return key, names[key]


def measured_of(record: AcceptanceRecord) -> dict[str, str]:
    """Of another question: name -> words of the shares that show whether answers keep their promise."""
    if record.tuned is None:
        return _MEASURED
    classes = [one.name for one in record.statement.data.label.asked.classes]
    match record.tuned.limits:
        case TimeLimits():
            return {**_MEASURED, "coverage": _AGREES}
        case ClassLimits():
            return _with_each(classes)
        case GradeLimits():
            return _with_each([f"grade {name}" for name in classes])
        case _:
            return _MEASURED


def _with_each(names: list[str]) -> dict[str, str]:
    """A rare class or grade may be held less often than all cases together: whoever reads the figures must see it."""
    each = {f"coverage_{number}": f"Of those of {name}, the answer holds the truth" for number, name in enumerate(names, 1)}
    return {"coverage": _MEASURED["coverage"], **each, **_MEASURED}


def coverage_words(record: AcceptanceRecord) -> str:
    """What a minimum of the coverage asks for, behind "share of"."""
    time = record.tuned is not None and isinstance(record.tuned.limits, TimeLimits)
    return "cases whose group's mean answer lies in what the group had" if time else "cases whose answer holds the truth"


def of_groups(record: AcceptanceRecord) -> dict[str, str]:
    """Figures that are shown of groups of cases."""
    names = figures_of_record(record)
    two = (headline_of(record)[0], second_of(record)[0])
    keys = ("auc", "sensitivity", "specificity", "ece") if record.tuned is None else two
    return {key: names[key] for key in keys}


def tuned_words(tuned: TunedRecord) -> str:
    """The local correction."""
    one = tuned.correction
    if one.maps:
        return f"a map for each of {len(one.maps)} findings"
    offsets = ", ".join(f"{offset:+.2f}" for offset in one.offsets)
    return f"slope {one.slope:.2f}, offset{'s' if len(one.offsets) > 1 else ''} {offsets or '+0.00'}"


def promise_words(tuned: TunedRecord) -> str:
    """What was promised of answers, and of how many cases."""
    limits = tuned.limits
    match limits:
        case TimeLimits():
            sizes = ", ".join(str(group.cases) for group in limits.groups)
            return (
                f"Beside an answer stands what like patients had: {len(limits.groups)} groups of {sizes} cases. An answer that "
                "holds the truth lies, in the mean of its group, within the group's 95 % interval."
            )
        case ClassLimits():
            few = [k + 1 for k, floor in enumerate(limits.floors) if floor is None]
            more = f" Too few cases ever to rule out: class {', '.join(map(str, few))}." if few else ""
            return f"Promised: {100 * limits.promise:.0f} % of each class are held.{more}"
        case FindingLimits():
            return f"Promised: {100 * limits.promise:.0f} % of those with each finding, and of those without, are held."
        case GradeLimits() | Reach():
            few_cases = limits.floor is None if isinstance(limits, GradeLimits) else limits.reach is None
            more = " There are too few cases to rule anything out." if few_cases else ""
            return f"Promised: {100 * limits.promise:.0f} % of cases lie within what is held.{more}"
