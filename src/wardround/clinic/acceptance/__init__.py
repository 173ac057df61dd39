"""A hospital's own test of a model before it answers for a patient: figures, calibration, limits, the signed record."""
