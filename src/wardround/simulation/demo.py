"""The embedded default: the demo's study and its synthetic hospitals."""

from importlib.resources import files
from pathlib import Path

from wardround.simulation.left_out import ALL, Watch, leave_out
from wardround.simulation.run import Run
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.study.run_settings import RunSettings

ROUNDS = 10


def demo_study(seed: int, rounds: int = ROUNDS) -> Study:
    """seed: of the pictures and of training. rounds: as few as show what there is to show in a minute."""
    study = parse_study((files("wardround.simulation") / "demo.toml").read_text("utf-8"), "demo.toml")
    return study.revised(training={"seed": seed}, algorithm={"rounds": rounds})


def run_demo(seed: int, rounds: int = ROUNDS, *, out: Path, resume: bool, workers: int | None, watch: Watch) -> Run:
    """The demo's study over its hospitals, and then without each of them in turn. watch: gives a listener of the run without a
    hospital, by its name; of the first run by none."""
    from wardround.sources.synthetic.hospitals import demo_hospitals

    study, hospitals = demo_study(seed, rounds), demo_hospitals(seed)
    with watch("") as hears:
        run = simulate(study, hospitals, out=out, resume=resume, workers=workers, synthetic=True, listener=hears, progress=False)
    return leave_out(run, [ALL], RunSettings().with_run(workers=workers), watch)


def demo_model(out: Path, seed: int = 1) -> None:
    """The demo's federated model alone, in a run folder: for whoever wants a model to use. It is not entered in the registry."""
    from wardround.sources.synthetic.hospitals import demo_hospitals

    study, hospitals = demo_study(seed), demo_hospitals(seed)
    simulate(study, hospitals, out=out, synthetic=True, register=False, progress=False)
