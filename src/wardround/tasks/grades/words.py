"""Names and words of a question for a grade."""

from wardround.tasks.protocol import Words

BETWEEN = "between"


def keys_of(names: tuple[str, ...], *, between: bool) -> tuple[str, ...]:
    """Keys of the counts, grade by grade, and of records whose label leaves it open."""
    return (*(f"grade_{position}" for position in range(1, len(names) + 1)), *((BETWEEN,) if between else ()))


def words_of(names: tuple[str, ...], *, between: bool) -> Words:
    """names: of the grades, from the least on. between: whether a label may leave the grade open."""
    keys = keys_of(names, between=between)
    heads = (*(f"Grade {name}" for name in names), *(("Between grades",) if between else ()))
    behind = (*(f"of grade {name}" for name in names), *(("between grades",) if between else ()))
    return Words(
        names={
            "log_loss": "Log-loss",
            "kappa": "Quadratic kappa of the rounded mean",
            "kappa_likeliest": "Quadratic kappa of the likeliest",
            "mean_auc": "Mean AUC of the cuts",
            "accuracy": "Accuracy of the rounded mean",
            "within_one": "Within one grade",
            "distance": "Grades off, on average",
            "rps": "Ranked probability score",
        },
        in_text={"log_loss": "log-loss", "kappa": "quadratic kappa", "mean_auc": "mean AUC of the cuts"},
        headline="a log-loss",
        tiles=("log_loss", "kappa", "mean_auc", "within_one"),
        judged=("within_one", "distance"),
        compared=("log_loss", "kappa"),
        counted=dict(zip(keys, heads, strict=True)),
        counted_in_text=dict(zip(keys, behind, strict=True)),
        decision=None,
        outputs=names,
        output_words=f"A probability of each grade: {', '.join(names)}. The answer is their mean, rounded.",
        task_type="ordinal-classification",
        measures=(
            "Log-loss in nats; quadratic kappa of the rounded mean grade, which is the answer, and of the likeliest one; mean "
            "AUC over the cuts between grades; accuracy of the answer, share within one grade, mean distance in grades; ranked "
            "probability score.",
            "Intervals are two-sided 95 %: by the variance of the losses; Wilson for proportions; DeLong cut by cut for the "
            "mean AUC; bootstrap of the table of answers for kappa and distance."
            + (
                " Records whose label leaves the grade open count in the loss and in the cuts that they decide."
                if between
                else ""
            ),
        ),
    )
