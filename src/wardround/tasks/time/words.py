"""Names and words of a question for a time."""

from wardround.tasks.protocol import Words


def words_of(event: str, horizons: tuple[str, ...]) -> Words:
    """event: as the study calls it. horizons: in words, such as 1095 days."""
    by_horizon: dict[str, str] = {}
    for position, horizon in enumerate(horizons, 1):
        by_horizon |= {
            f"brier_{position}": f"Brier score at {horizon}",
            f"said_{position}": f"Mean chance of the event by {horizon}",
            f"observed_{position}": f"Share with the event by {horizon} (Kaplan-Meier)",
        }
    last = len(horizons)
    return Words(
        names={"c_index": "C-index", "log_loss": "Log-loss", **by_horizon},
        in_text={"c_index": "C-index", "log_loss": "log-loss"},
        headline="a C-index",
        tiles=("c_index", f"brier_{last}", f"said_{last}", f"observed_{last}"),
        judged=(f"said_{last}", f"observed_{last}"),
        compared=("c_index", "log_loss"),
        counted={"events": f"With the event ({event})"},
        counted_in_text={"events": "with the event"},
        decision=None,
        outputs=tuple(f"survival at {horizon}" for horizon in horizons),
        output_words=f"The chance of no {event} by {', '.join(horizons)}.",
        task_type="survival-analysis",
        measures=(
            "C-index of the hazard summed over the grid (pairs within one tick of the grid are not compared); log-loss of the "
            "intervals in nats; Brier score at each horizon, weighted for those who were lost; the mean chance that the model "
            "gives, beside the Kaplan-Meier share.",
            "Intervals are two-sided 95 %: of C by what each record adds to the pairs; of the loss by its variance; Greenwood's, "
            "on the scale of log(-log), for the Kaplan-Meier share.",
        ),
    )
