"""Names and words of a question with several classes."""

from wardround.tasks.protocol import Words


def keys_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """Keys of the counts, class by class: names may be any text."""
    return tuple(f"class_{position}" for position in range(1, len(names) + 1))


def words_of(names: tuple[str, ...]) -> Words:
    """names: of the classes, in order."""
    keys = keys_of(names)
    return Words(
        names={
            "macro_auc": "Mean AUC",
            "accuracy": "Accuracy",
            "balanced_accuracy": "Balanced accuracy",
            "top_2": "Among the two likeliest",
            "kappa": "Kappa",
            "log_loss": "Log-loss",
            "brier": "Brier score",
            "ece": "Calibration error",
        },
        in_text={"macro_auc": "mean AUC", "accuracy": "accuracy"},
        headline="a mean AUC",
        tiles=("macro_auc", "accuracy", "balanced_accuracy", "log_loss"),
        judged=("balanced_accuracy", "ece"),
        compared=("macro_auc", "accuracy"),
        counted=dict(zip(keys, names, strict=True)),
        counted_in_text={key: f"of {name}" for key, name in zip(keys, names, strict=True)},
        decision=None,
        outputs=names,
        output_words=f"A probability of each class: {', '.join(names)}. The likeliest one is the answer.",
        task_type="multi-class-classification",
        measures=(
            "Mean AUC (each class against the rest, mean over the classes that have records), accuracy of the likeliest "
            "class, balanced accuracy, share whose class is among the two likeliest, Cohen's kappa, log-loss in nats, Brier "
            "score (summed over the classes) and calibration error of the likeliest class (15 bins).",
            "Intervals are two-sided 95 %: Wilson for proportions, DeLong class by class for the mean AUC, bootstrap of the "
            "table of answers for the others.",
        ),
    )
