"""`wardround study privacy --try`: what accuracy an epsilon leaves, on data that cost nobody anything."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_cli import wardround
from tests.study.test_privacy import BASE

DIVISION = """
[simulation]
by = "iid"
hospitals = [{ name = "north" }, { name = "south" }, { name = "west" }]
"""


@pytest.mark.slow
def test_the_recipe_is_tried_at_every_epsilon_on_public_data_and_nothing_is_kept(tmp_path: Path) -> None:
    """A study lead chooses by it. The runs have ledgers of their own: one that stayed would look like patients who have paid."""
    (tmp_path / "study.toml").write_text(BASE)
    (tmp_path / "study.run.toml").write_text(DIVISION)
    values = np.random.default_rng(4).normal(0, 1, 240).clip(-4, 4)
    rows = [f"{number},{value:.3f},{int(value > 0)}" for number, value in enumerate(values)]
    (tmp_path / "public.csv").write_text("\n".join(["patient,a,label", *rows]))
    before = {path.name for path in tmp_path.iterdir()}
    done = wardround("study", "privacy", "study.toml", "--try", "--data", "public.csv", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    points = json.loads(done.stdout)["tried"]
    assert [point["epsilon"] for point in points] == [None, 8, 4, 2, 1, 0.5]
    noise = [point["noise_multiplier"] for point in points]
    assert noise[0] == 0 and noise == sorted(noise)
    assert all(0 <= point["figures"]["AUC"] <= 1 for point in points) and points[0]["figures"]["AUC"] > 0.9
    assert {path.name for path in tmp_path.iterdir()} - before <= {"matplotlib"}
