"""Names and words of a yes-or-no question."""

from dataclasses import replace

from wardround.tasks.protocol import Words


def words_of(finding: str) -> Words:
    """The words of a question. finding: what a yes means, as the study calls it."""
    counted = {"positives": f"With {finding}"}
    return replace(WORDS, counted=counted, counted_in_text={"positives": f"with {finding}"})


WORDS = Words(
    names={
        "accuracy": "Accuracy",
        "balanced_accuracy": "Balanced accuracy",
        "auc": "AUC",
        "auprc": "Average precision",
        "brier": "Brier score",
        "ece": "Calibration error",
        "sensitivity": "Sensitivity",
        "specificity": "Specificity",
        "accuracy_at_half": "Accuracy at 0.5",
        "sensitivity_at_95_specificity": "Sensitivity at 95 % specificity",
    },
    in_text={"auc": "AUC", "accuracy": "accuracy"},
    headline="an AUC",
    tiles=("auc", "accuracy", "sensitivity", "specificity"),
    judged=("sensitivity", "specificity", "ece"),
    compared=("auc", "accuracy"),
    counted={"positives": "With the finding"},
    counted_in_text={"positives": "with the finding"},
    decision=("threshold", "Threshold"),
    outputs=("probability",),
    output_words="A probability; called positive at {decision} and above.",
    task_type="binary-classification",
    measures=(
        "AUC, average precision, Brier score, calibration error (15 bins), and accuracy, balanced accuracy, sensitivity and "
        "specificity at the threshold{decision}.",
        "Intervals are two-sided 95 %: Wilson for proportions, DeLong for the AUC, bootstrap of the score histogram for the "
        "others.",
    ),
)
