"""What depends on the question that a study asks: sums of an evaluation, figures from them, and the threshold."""
