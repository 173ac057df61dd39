"""An acceptance record in at most 80 columns, for a terminal."""

import textwrap
from collections.abc import Iterator

from wardround.clinic.acceptance.judging import Judgement
from wardround.clinic.acceptance.question_words import (
    figures_of_record,
    headline_of,
    measured_of,
    of_groups,
    promise_words,
    tuned_words,
)
from wardround.clinic.place.acceptance_record import AcceptanceRecord, CandidateRecord, TunedRecord
from wardround.study.record.evaluation_record import Evaluation
from wardround.values.printable import printable

COLUMNS = 80


def summary(record: AcceptanceRecord, judged: tuple[Judgement, ...]) -> str:
    """The whole of it, lines of at most COLUMNS signs."""
    return "\n".join(line for part in _parts(record, judged) for line in _wrapped(part))


def _wrapped(line: str) -> list[str]:
    """Tables keep their blanks; only what is too long is broken."""
    line = printable(line)
    if len(line) <= COLUMNS:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, COLUMNS, subsequent_indent=indent, drop_whitespace=True) or [""]


def _parts(record: AcceptanceRecord, judged: tuple[Judgement, ...]) -> Iterator[str]:
    cases = record.cases
    finding = record.statement.data.label.name
    yield f"Acceptance {record.id} at {record.hospital}, {record.created[:10]}"
    yield f"Model      {record.model[:12]} ({record.statement.study_title})"
    of_each = f"{cases.positives} with {finding}, " if record.tuned is None else ""
    yield f"Cases      {cases.cases} of {cases.patients} patients, {of_each}from {cases.source}"
    if cases.counted:
        yield f"           {', '.join(f'{name}: {count}' for name, count in cases.counted.items())}"
    dropped = {"without a label": cases.unlabelled, "left out by the contract": cases.left_out, "repeated": cases.repeated}
    if any(dropped.values()):
        yield f"Not used   {', '.join(f'{count} {why}' for why, count in dropped.items() if count)}"
    yield ""
    yield from _figures(record)
    yield ""
    yield from _tuned_to_yes_or_no(record, finding) if record.tuned is None else _tuned(record, record.tuned)
    yield from _others(record)
    yield from _groups(record)
    yield from _judged(judged)


def _figures(record: AcceptanceRecord) -> Iterator[str]:
    """A name too long for its column stands on a line of its own."""
    yield f"{'':<20}{'as it came':>28}{'after local calibration':>32}"
    raw, local = record.asked.raw, record.asked.local
    for key, name in figures_of_record(record).items():
        if len(name) > 20:
            yield name
        yield f"{name if len(name) <= 20 else '':<20}{_shown(raw, key):>28}{_shown(local, key):>32}"


def _tuned(record: AcceptanceRecord, tuned: TunedRecord) -> Iterator[str]:
    yield f"Calibration: {tuned_words(tuned)}."
    yield promise_words(tuned)
    for key, words in measured_of(record).items():
        if tuned.measured.value(key) is not None:
            yield f"{words}: {_percent(tuned.measured, key)}."
    if record.unusual is None:
        yield "Too few cases to say later what does not look like them."


def _tuned_to_yes_or_no(record: AcceptanceRecord, finding: str) -> Iterator[str]:
    tuned, local = record.yes_or_no, record.asked.local
    share = "as among these cases" if record.prevalence is None else f"where {100 * record.prevalence:.3g} % have {finding}"
    yield f"A yes and a no are right as often as shown {share}."
    chosen = tuned.calibration.chosen
    numbers = f", slope {chosen.slope:.2f}, offset {chosen.offset:+.2f}" if chosen.name in ("temperature", "platt") else ""
    yield f"Calibration: {chosen.name}{numbers}. Threshold: {tuned.threshold:.3f} ({tuned.threshold_rule})."
    chance = local.value("ece_by_chance")
    if chance is not None:
        yield f"Probabilities that are true would show a calibration error of {chance:.3f} on so few cases."
    yield from _cannot_tell(record)


def _cannot_tell(record: AcceptanceRecord) -> Iterator[str]:
    limits, seen = record.yes_or_no.conformal.limits, record.measured
    yield (
        f"Answers with `cannot tell` hold the truth for {_percent(seen, 'coverage_positive')} of those with the finding and "
        f"{_percent(seen, 'coverage_negative')} of those without; promised were {100 * limits.promise:.0f} %. "
        f"`Cannot tell` is said of {_percent(seen, 'cannot_tell')}."
    )
    for name, count, limit in (
        ("with", limits.positives, limits.positive_from),
        ("without", limits.negatives, limits.negative_to),
    ):
        if limit is None:
            yield f"There are too few patients {name} the finding ({count}) to rule it {'out' if name == 'with' else 'in'}."
    if record.unusual is None:
        yield "Too few cases to say later what does not look like them."


def _percent(seen: Evaluation, key: str) -> str:
    value, ends = seen.value(key), seen.interval(key)
    if value is None:
        return "an unknown share"
    return f"{100 * value:.0f} %" + (f" ({100 * ends[0]:.0f} to {100 * ends[1]:.0f})" if ends else "")


def _others(record: AcceptanceRecord) -> Iterator[str]:
    if len(record.candidates) < 2:
        return
    yield ""
    key, name = headline_of(record)
    yield f"{'other models':<26}{name[:23]:>24}{'less the asked one':>30}"
    for other in record.candidates[1:]:
        yield f"{_short(other):<26}{_shown(other.local, key):>24}{_difference(other, key):>30}"


def _short(candidate: CandidateRecord) -> str:
    name = candidate.name.rstrip("/").rpartition("/")[2] if candidate.role != "in service" else candidate.role
    return printable(name)[:25]


def _difference(candidate: CandidateRecord, key: str) -> str:
    one = candidate.less_asked.get(key)
    if one is None or one.difference is None:
        return "–"
    ends = f" ({one.interval[0]:+.3f} to {one.interval[1]:+.3f})" if one.interval else ""
    return f"{one.difference:+.3f}{ends}"


def _groups(record: AcceptanceRecord) -> Iterator[str]:
    if not record.subgroups:
        return
    yield ""
    first, second = list(of_groups(record).items())[:2]
    yield f"{'group':<28}{'cases':>6}{first[1][:21]:>22}{second[1][:21]:>22}"
    for group in record.subgroups:
        name = printable(f"{group.column}: {group.group}")[:27]
        if group.local is None:
            yield f"{name:<28}{group.cases:>6}{'too few to say':>22}"
        else:
            yield f"{name:<28}{group.cases:>6}{_shown(group.local, first[0], 2):>22}{_shown(group.local, second[0], 2):>22}"


def _judged(judged: tuple[Judgement, ...]) -> Iterator[str]:
    yield ""
    yield "This hospital's minimums (wardround clinic criteria):"
    for one in judged:
        yield f"  {'kept    ' if one.met else 'NOT KEPT'} {one.sentence}"


def _shown(evaluation: Evaluation, key: str, digits: int = 3) -> str:
    value, ends = evaluation.value(key), evaluation.interval(key)
    if value is None:
        return "–"
    return f"{value:.{digits}f}" + (f" ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})" if ends else "")
