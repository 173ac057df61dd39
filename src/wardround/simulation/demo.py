"""The embedded default: the demo's study and its synthetic hospitals."""

from importlib.resources import files
from pathlib import Path

from wardround.hub.notices import Listener
from wardround.simulation.run import Run
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.reading import parse_study


def demo_study(seed: int) -> Study:
    """seed: of the pictures and of training."""
    study = parse_study((files("wardround.simulation") / "demo.toml").read_text("utf-8"), "demo.toml")
    return study.revised(training={"seed": seed})


def run_demo(seed: int, *, out: Path, resume: bool, workers: int | None, listener: Listener) -> Run:
    """The demo's study over its hospitals; whoever calls draws progress from what the listener hears."""
    from wardround.sources.synthetic.hospitals import demo_hospitals

    study, hospitals = demo_study(seed), demo_hospitals(seed)
    return simulate(study, hospitals, out=out, resume=resume, workers=workers, synthetic=True, listener=listener, progress=False)
