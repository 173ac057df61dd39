"""`wardround audit`: it passes a study whose code is whole, and accuses the same study once the code is broken."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from wardround.audit.study_audit import FALSE_ALARM, audit_study
from wardround.cli.main import app
from wardround.plan.pricing import with_noise
from wardround.privacy import noise_grid as noise_grid_module
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.training.per_patient import gradients as gradients_module
from wardround.values.errors import AuditError, StudyError

from .test_privacy_audit import STUDY

FEW = 20_000
STRONG = STUDY.replace("noise_multiplier = 5.0", "noise_multiplier = 2.0").replace("rounds = 12", "rounds = 2")


@pytest.fixture
def halved_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    draw: Callable[[int], np.ndarray] = noise_grid_module.draw  # type: ignore[attr-defined]
    monkeypatch.setattr(noise_grid_module, "draw", lambda size: draw(size) // 2)


def local(study: str) -> str:
    """patient-local, two sampled steps a round."""
    changes = [("patient-distributed", "patient-local"), ('name = "fedsgd"', 'name = "fedavg"'), ("[summation]", "")]
    for old, new in [*changes, ("collusion = 1\n", ""), ("clip_norm = 0.3", "clip_norm = 0.3\nsampling_rate = 0.3\nsteps = 2")]:
        study = study.replace(old, new)
    return study


@pytest.fixture(params=["distributed", "local"])
def study(request: pytest.FixtureRequest) -> Study:
    return with_noise(parse_study(STRONG if request.param == "distributed" else local(STRONG)))


@pytest.mark.slow
def test_a_whole_study_stays_below_what_it_states(study: Study) -> None:
    """An audit that accuses sound code would be switched off."""
    seen = audit_study(study, FEW)
    assert not seen.refuting
    assert seen.verdict.startswith("No attack shows more")
    assert {attack.name for attack in seen.attacks} == {"noised sums", "training"}
    assert all(np.isfinite(attack.comparison.stated) for attack in seen.attacks)


@pytest.mark.slow
def test_most_of_a_gaussian_s_epsilon_is_shown() -> None:
    """A bound of 0 would never accuse anybody."""
    seen = audit_study(with_noise(parse_study(STRONG)), 50_000)
    assert 0.75 * seen.epsilon < seen.shown <= seen.epsilon


@pytest.mark.slow
@pytest.mark.usefixtures("halved_noise")
def test_half_the_noise_is_caught(study: Study) -> None:
    """The kind of defect that no accuracy shows: the study states one noise and makes another."""
    seen = audit_study(study, FEW)
    assert "noised sums" in {attack.name for attack in seen.refuting}
    assert seen.verdict.startswith("The study states too little")


@pytest.mark.slow
def test_training_without_clipping_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums are whole then: only the attack on training can see it."""
    monkeypatch.setattr(gradients_module, "scales", lambda norms, _losses, _clip_norm: torch.ones_like(norms))
    seen = audit_study(with_noise(parse_study(STRONG)), FEW)
    assert {attack.name for attack in seen.refuting} == {"training"}


@pytest.mark.slow
def test_the_bounds_share_one_chance_of_a_false_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine bounds at 1e-4 each would accuse nine times as often as the page says."""
    chances: list[float] = []
    for name in ("gaussian_multiplier", "one_run_bound", "trials_bound"):
        bound = getattr(__import__("wardround.audit.privacy_audit", fromlist=[name]), name)

        def noted(*values: object, bound: Callable[..., float] = bound) -> float:
            chances.append(float(values[-1]))  # type: ignore[arg-type]
            return bound(*values)

        monkeypatch.setattr(f"wardround.audit.privacy_audit.{name}", noted)
    audit_study(with_noise(parse_study(STRONG)), 1000)
    assert len(chances) == 9
    assert sum(chances) == pytest.approx(FALSE_ALARM)


NO_PRIVACY = STRONG[: STRONG.index("[privacy]")]
NO_NOISE = STRONG.replace("noise_multiplier = 2.0", "noise_multiplier = 0.0")


@pytest.mark.parametrize(("text", "words"), [(NO_PRIVACY, "no differential privacy"), (NO_NOISE, "no noise")])
def test_a_study_that_states_no_epsilon_is_refused(text: str, words: str) -> None:
    """An audit of nothing must not end with a verdict."""
    with pytest.raises(StudyError, match=words) as error:
        audit_study(parse_study(text), 1000)
    assert error.value.hint


@pytest.mark.slow
@pytest.mark.usefixtures("halved_noise")
def test_the_command_prints_one_object_and_ends_with_the_audit_s_error(tmp_path: Path) -> None:
    """A script that asks whether to go on reads the exit code; a person reads why."""
    path = tmp_path / "study.toml"
    path.write_text(STRONG)
    done = CliRunner().invoke(app, ["audit", str(path), "--trials", str(FEW), "--json"])
    assert isinstance(done.exception, AuditError)
    assert done.exception.exit_code == 10
    facts = json.loads(done.stdout)
    assert facts["refuted"] and facts["shown"] > facts["epsilon"]
    assert len(facts["attacks"]) == 9
    assert facts["verdict"] in str(done.exception)


@pytest.mark.slow
def test_the_command_passes_a_whole_study_with_a_line_for_each_bound(tmp_path: Path) -> None:
    """Exit code 0, and the figures to judge it by."""
    path = tmp_path / "study.toml"
    path.write_text(STRONG)
    done = CliRunner().invoke(app, ["audit", str(path), "--trials", str(FEW)])
    assert done.exit_code == 0
    assert done.stdout.count(", below") == 10
    assert "malicious model, 6 pairs of worlds" in done.stdout
    assert "No attack shows more" in done.stdout
