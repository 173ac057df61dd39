"""The sum of per-patient clipped gradients: exact, on a few processor cores, in little memory.

rows of patients --cut into pieces--> forward, backward to the layers' outputs (layers), per patient: norm (contributions)
    --> scales min(1, C / norm) (clipping) --> weighted sums --added in order, float64--> clipped sum (gradients)
"""

from wardround.training.per_patient.gradients import ClippedSum, PatientGradients

__all__ = ["ClippedSum", "PatientGradients"]
