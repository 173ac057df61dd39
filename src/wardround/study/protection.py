"""What the sum of a study protects, in words for whoever approves it."""

import math
from collections.abc import Iterator

from wardround.crypto.quorum import Quorum, smallest_threshold
from wardround.study.declaration import Study
from wardround.study.rules.private import units_together
from wardround.study.sections.analysis.analysis import AnalysisSection


def protection(study: Study) -> tuple[str, ...]:
    """One sentence a line. Where the study names no hospitals yet, the smallest numbers that its settings allow."""
    summed = _masked(study) if study.summation.mode == "masked" else _plain(study)
    if study.evaluates_only:
        return (*summed, *_of_an_evaluation(study))
    if study.analysis is not None:
        return (*summed, *_of_an_analysis(study, study.analysis))
    kept = _own_questions() if study.keeps_heads else ()
    return (*summed, *kept, *(promised_privacy(study) if study.privacy.private else _unprotected(study)))


def promised_privacy(study: Study) -> tuple[str, ...]:
    """What differential privacy the study promises, to whom and against whom; nothing where it promises none."""
    return tuple(_promised(study)) if study.privacy.private else ()


def right_guesses(epsilon: float, delta: float) -> float:
    """How often, at most, somebody who sees all that leaves is right about whether one patient took part, where a coin is right
    half the time: (e^epsilon + delta) / (e^epsilon + 1), from Kairouz, Oh and Viswanath, ICML 2015, theorem 2.1.

    >>> round(right_guesses(2.0, 1e-5), 3), right_guesses(0.0, 0.0)
    (0.881, 0.5)
    """
    shown = 1.0 / (1.0 + math.exp(-epsilon))
    return min(1.0, shown + delta * (1.0 - shown))


def guessing_words(epsilon: float, delta: float) -> str:
    """What an epsilon means, in one sentence that follows from it."""
    percent = right_guesses(epsilon, delta) * 100
    if percent >= 99.0:
        return "At this epsilon, whether one took part may show almost surely: the promise is hardly a limit."
    return (
        f"Whoever guesses whether one took part, from all that leaves, is right at most {math.ceil(percent)} times in 100; a "
        "coin is right 50 times."
    )


def _promised(study: Study) -> Iterator[str]:
    privacy = study.privacy
    if privacy.noise_multiplier == 0:
        yield "privacy.noise_multiplier = 0: no noise, and so no guarantee. Only to compare with."
        return
    cost = "its noise multiplier decides" if privacy.epsilon is None else f"epsilon at most {privacy.epsilon:g}"
    whom = "one hospital" if privacy.unit == "site" else "one patient, with all of the patient's records at one hospital,"
    yield f"Differentially private for {whom} added or removed: {cost}, at delta {privacy.delta:g}, over the whole study."
    if privacy.epsilon is not None and privacy.delta is not None:
        yield guessing_words(privacy.epsilon, privacy.delta)
    if privacy.of_patients and privacy.delta is not None and privacy.delta * units_together(study) > 0.1:
        yield (
            f"Delta is more than a tenth of 1 / patients ({units_together(study)} in all hospitals together): a delta near it "
            "would let one whole record out. Choose it ten to a hundred times smaller."
        )
    if privacy.mode == "patient-local":
        yield "Each hospital adds its own noise: this holds against everybody else together."
    else:
        collusion = study.summation.collusion
        helping = f" together with {_hospitals(collusion)}" if collusion else " alone, if no hospital helps it"
        yield f"The hospitals make the noise together, under the masked sum: this holds against the coordinator{helping}."
    if privacy.of_patients:
        yield "A patient who is known to two hospitals is protected half as well: the costs at both add up."
    yield "Losses, scores and counts stay at each hospital. Draws and noise are secret: no run can be repeated exactly."


def _own_questions() -> tuple[str, ...]:
    return (
        "Each hospital keeps its last layer and its question: no message names them, and none is longer or shorter for them. "
        "What the shared layers themselves say of what they were learned for is not hidden: docs/security.md.",
    )


def _plain(study: Study) -> Iterator[str]:
    each = "sum" if study.evaluates_only else "round"
    yield f"The sum is plain: whoever runs the coordinator reads each hospital's contribution in every {each}."


def _masked(study: Study) -> Iterator[str]:
    collusion = study.summation.collusion
    helpers = f", also if {_hospitals(collusion)} helps it" if collusion == 1 else f", also if {_hospitals(collusion)} help it"
    yield f"The sum is masked: the coordinator cannot read one hospital's contribution{helpers if collusion else ''}."
    if collusion == 0:
        yield "summation.collusion = 0: every hospital trusts every other not to help the coordinator. All must agree to that."
    yield _changes(study)
    if study.sites.names and study.analysis is not None:
        yield f"Every sum takes all {len(study.sites.names)} hospitals; {study.quorum.threshold} of them help to open it."
    elif study.sites.names:
        yield _counted(study.quorum, "sum" if study.evaluates_only else "round")
    else:
        needed = next(n for n in range(2, 251) if smallest_threshold(n, collusion) <= n)
        yield f"It takes at least {needed} hospitals. The study names none yet; the threshold follows from how many there are."


def _of_an_evaluation(study: Study) -> Iterator[str]:
    yield f"Nothing is trained: the finished model {study.evaluation.model} is evaluated, once."
    yield (
        "No patient is protected by noise: the sums say exactly how many patients there are and how many of their scores fall "
        "where, and a model that was crafted for it makes where a score falls the answer to any question about a record."
    )


def _of_an_analysis(study: Study, analysis: AnalysisSection) -> Iterator[str]:
    yield "Nothing is trained: tables and figures are made of sums over all hospitals. If one is missing, the run waits for it."
    if study.privacy.private:
        yield from _promised(study)
        yield "Every sum has noise, and nothing else leaves. Of a patient with several rows the first one counts."
        return
    yield (
        f"No patient is protected by noise: counts below {analysis.smallest_cell} are not shown, but whoever runs the "
        "coordinator reads every total, and may ask in between for whatever the orders let it ask."
    )


def _unprotected(study: Study) -> Iterator[str]:
    step = study.summation.weight_step
    rounded = "" if step == 1 else f" in steps of {step}"
    yield f"A hospital that misses a round shows how many training records it has{rounded}: by the difference of two totals."
    yield "No patient is protected by noise: a coordinator that crafts models could read records out of the totals."


def _changes(study: Study) -> str:
    stated = study.summation.max_set_changes
    changes = "as often as there are hospitals" if stated is None else f"{stated} times" if stated != 1 else "once"
    return f"The set of hospitals in a sum may change {changes}: each change is a chance to compare two sums."


def _counted(quorum: Quorum, each: str) -> str:
    n, t = len(quorum.sites), quorum.threshold
    without = "none of them may be missing" if t == n else f"{_hospitals(n - t)} may be missing from a {each}"
    first = f" The first sum takes {quorum.witnesses}." if quorum.witnesses > t else ""
    return f"{t} of {n} hospitals must contribute to each {each} and help to open its sum: {without}.{first}"


def _hospitals(count: int) -> str:
    return "no hospital" if count == 0 else "one hospital" if count == 1 else f"{count} hospitals"
