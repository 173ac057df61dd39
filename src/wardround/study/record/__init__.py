"""What one run was and gave: the value that reports, model cards and the registry read."""
