"""Names and words of a question for a number."""

from wardround.study.sections.task import TaskSection
from wardround.tasks.protocol import Words

OUTPUTS = ("value", "low", "high")


def words_of(asked: TaskSection) -> Words:
    """asked: unit, scale and coverage."""
    unit = f" ({asked.unit})" if asked.unit else ""
    log = {"rmse_log": "Root mean square error of the logarithm"} if asked.scale == "log" else {}
    headline = "rmse_log" if log else "rmse"
    in_text = {"rmse": f"root mean square error{unit}", "mae": f"mean error{unit}"}
    if log:
        in_text["rmse_log"] = "root mean square error of the logarithm"
    return Words(
        names={
            **log,
            "rmse": f"Root mean square error{unit}",
            "mae": f"Mean error, without sign{unit}",
            "bias": f"Bias{unit}",
            "r2": "R squared",
            "coverage": f"Within the range that is given ({asked.coverage:.0%} meant)",
            "width": f"Width of that range{unit}",
        },
        in_text=in_text,
        headline=f"a {in_text[headline]}",
        tiles=(headline, "mae", "r2", "coverage"),
        judged=("bias", "coverage"),
        compared=(headline, "mae"),
        counted={"known": "With an answer"},
        counted_in_text={"known": "with an answer"},
        decision=None,
        outputs=OUTPUTS,
        output_words=f"A number{unit}, and the range that is to hold {100 * asked.coverage:.0f} of 100 true ones.",
        task_type="tabular-regression",
        measures=(
            "Root mean square error"
            + (", also of log(1 + number)" if log else "")
            + ", mean error without sign, bias (said less true), R squared against the mean of these records, share of true "
            "numbers within the range that is given, and its mean width.",
            "Intervals are two-sided 95 %: by the variance of the errors; that of R squared holds the spread of the truth fixed; "
            "Wilson for the share.",
        ),
    )
