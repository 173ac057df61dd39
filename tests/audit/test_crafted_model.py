"""The audit's malicious coordinator: below the bill as the code is, above it with a library's product."""

import numpy as np
import pytest
import torch.nn.functional as F

from wardround.audit.crafted_model import CraftedModel
from wardround.audit.privacy_audit import AuditRun, run
from wardround.study.sections.privacy import PrivacySection

from .test_privacy_audit import ACCUSES, HOLDS, event_of, noise_grid

pytestmark = pytest.mark.permission
PRIVACY = PrivacySection(
    mode="patient-local", delta=1e-5, noise_multiplier=4.0, clip_norm=0.3, sampling_rate=1.0, steps=1, public_patients=600
)


def audited(crafted: CraftedModel) -> AuditRun:
    grid = noise_grid(4.0, crafted.size, 1, PRIVACY.clip_norm)
    return run(crafted.views(grid), 2000, event_of(grid, 1.0), 1)


def test_a_crafted_model_shows_no_more_than_the_bill() -> None:
    """The coordinator chooses the model: a bound that holds for trained ones only is none."""
    crafted = CraftedModel(PRIVACY)
    assert 0.9 < crafted.moved <= 1.0
    seen = audited(crafted)
    assert not seen.as_gaussian(1e-5, HOLDS).refuted
    assert not any(comparison.refuted for comparison in seen.as_trials(HOLDS))


def test_the_same_attack_refutes_a_library_s_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attack that could never succeed would prove nothing."""
    monkeypatch.setattr("wardround.training.per_patient.layers.product", F.linear)
    crafted = CraftedModel(PRIVACY)
    assert crafted.moved > 3.0
    seen = audited(crafted).as_gaussian(1e-5, ACCUSES)
    assert seen.refuted and np.isfinite(seen.stated)
