"""Names and words of a question for several findings."""

from wardround.tasks.protocol import Words


def keys_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """Keys of the counts, finding by finding: names may be any text."""
    return tuple(f"finding_{position}" for position in range(1, len(names) + 1))


def threshold_keys(names: tuple[str, ...]) -> tuple[str, ...]:
    """Keys of the thresholds, finding by finding."""
    return tuple(f"threshold_{position}" for position in range(1, len(names) + 1))


def words_of(names: tuple[str, ...]) -> Words:
    """names: of the findings, in order."""
    keys = keys_of(names)
    return Words(
        names={
            "macro_auc": "Mean AUC",
            "judged": "Findings with both sides",
            "macro_auprc": "Mean average precision",
            "micro_auc": "AUC of all findings together",
            "macro_balanced_accuracy": "Mean balanced accuracy",
            "macro_sensitivity": "Mean sensitivity",
            "macro_specificity": "Mean specificity",
            "accuracy_at_half": "Accuracy at 0.5",
            "log_loss": "Log-loss",
            "brier": "Brier score",
            "ece": "Calibration error",
        },
        in_text={"macro_auc": "mean AUC", "log_loss": "log-loss"},
        headline="a mean AUC",
        tiles=("macro_auc", "macro_auprc", "log_loss", "judged"),
        judged=("judged", "macro_sensitivity", "macro_specificity", "ece"),
        compared=("macro_auc", "log_loss"),
        counted={key: f"With {name}" for key, name in zip(keys, names, strict=True)},
        counted_in_text={key: f"with {name}" for key, name in zip(keys, names, strict=True)},
        decision=None,
        decisions=tuple((key, f"Threshold of {name}", name) for key, name in zip(threshold_keys(names), names, strict=True)),
        outputs=names,
        output_words=f"A probability of each finding by itself: {', '.join(names)}.".replace("{", "{{").replace("}", "}}"),
        task_type="multi-label-classification",
        measures=(
            "Mean AUC and mean average precision over the findings that have records of both sides, and how many those are; "
            "AUC of all findings together; balanced accuracy, sensitivity and specificity at each finding's own threshold, "
            "means over the findings that have such records{decision}; accuracy at one half, log-loss in nats, Brier score "
            "and calibration error (15 bins) over all findings that are known. A blank counts nowhere.",
            "Intervals are two-sided 95 %: DeLong for the AUC and bootstrap of the score histogram for average precision, "
            "finding by finding; that of a mean is as wide as the single ones are on average.",
        ),
    )
