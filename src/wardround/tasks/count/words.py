"""Names and words of a question for a count."""

from wardround.tasks.protocol import Words


def words_of(counted: str) -> Words:
    """counted: the unit."""
    unit = f" ({counted})" if counted else ""
    return Words(
        names={
            "deviance": "Poisson deviance, half",
            "mae": f"Mean error, without sign{unit}",
            "rmse": f"Root mean square error{unit}",
            "bias": f"Bias{unit}",
            "r2": "R squared",
        },
        in_text={"deviance": "Poisson deviance", "mae": f"mean error{unit}"},
        headline="a Poisson deviance",
        tiles=("deviance", "mae", "bias", "r2"),
        judged=("bias", "r2"),
        compared=("deviance", "mae"),
        counted={"known": "With an answer"},
        counted_in_text={"known": "with an answer"},
        decision=None,
        outputs=("count",),
        output_words=f"The expected count{unit}.",
        task_type="tabular-regression",
        measures=(
            "Half the Poisson deviance in nats (0 where the rate is the count), mean error without sign, root mean square error, "
            "bias (said less true) and R squared against the mean of these records.",
            "Intervals are two-sided 95 %, by the variance of the errors; that of R squared holds the spread of the truth fixed.",
        ),
    )
