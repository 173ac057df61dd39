"""What a private run promised and cost, in sentences for a privacy officer."""

from collections.abc import Iterator

from wardround.study.protection import guessing_words
from wardround.study.record.run_record import PrivacyRecord, RunRecord


def promised(record: RunRecord, cost: PrivacyRecord) -> Iterator[str]:
    """Guarantee, noise, ledgers, and what the guarantee leaves out."""
    if cost.epsilon is None:
        yield f"Privacy mode “{record.privacy_mode}” without noise: no patient is protected by a mathematical guarantee."
        return
    whom = "one hospital" if cost.unit == "site" else "one patient, with all of the patient's records at one hospital,"
    yield (
        f"Privacy mode “{record.privacy_mode}”: differentially private with epsilon {cost.epsilon:.3g} at delta {cost.delta:g} "
        f"for {whom} added or removed, over all {cost.events} charged steps of the study, against {_against(cost)}."
    )
    yield guessing_words(cost.epsilon, cost.delta)
    yield (
        f"Noise multiplier {cost.noise_multiplier:g}, clip norm {cost.clip_norm:g}, sampling rate {cost.sampling_rate:g} "
        "(Poisson). Noise and draws come from the operating system's generator: the run cannot be repeated exactly."
    )
    if cost.spent:
        yield f"Each hospital's ledger stood after this run at: {_ledgers(cost)}."
    if cost.ledger_entries:
        yield (
            f"There it is the study {cost.ledger_study[:12]} of the run {record.run_id}: "
            f"{', '.join(f'entry {number} at {site}' for site, number in sorted(cost.ledger_entries.items()))}."
        )
    elif record.engine == "network":
        yield f"What it cost stands in each hospital's own ledger, as the study {cost.ledger_study[:12]}."
    if cost.unit == "patient":
        yield "A patient who is known to two hospitals is protected by the sum of both costs."
    if record.engine == "in_process":
        yield (
            "This run was a simulation on one machine. Losses, scores and counts were read from the hospitals' own folders, "
            "without noise; in a deployment they stay there. So this report itself is not differentially private."
        )


def _against(cost: PrivacyRecord) -> str:
    if cost.collusion is None:
        return "everybody else together"
    helpers = f" together with up to {cost.collusion} of the hospitals" if cost.collusion else ", if no hospital helps"
    return f"whoever runs the coordinator{helpers}"


def _ledgers(cost: PrivacyRecord) -> str:
    return ", ".join(
        f"{site} {'without bound' if value is None else format(value, '.3g')}" for site, value in sorted(cost.spent.items())
    )
