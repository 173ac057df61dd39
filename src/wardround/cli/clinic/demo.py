"""wardround clinic demo: from nothing to a doctor's page, on drawn pictures."""

import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.values.errors import RunError

if TYPE_CHECKING:
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.web.state import ClinicState

_LEARN = "import sys, pathlib, wardround.simulation.demo as demo; demo.demo_model(pathlib.Path(sys.argv[1]))"
_PATIENTS, _FILMS = 160, 6


def demo(
    folder: Annotated[Path, typer.Option(help="Where everything is made; what is there is used again.")] = Path("clinic-demo"),
    listen: Annotated[str, typer.Option(help="HOST:PORT of the pages.")] = "127.0.0.1:8479",
) -> None:
    """Three made-up hospitals learn a model, a fourth tests it on its own cases, and its doctor's page is served."""
    from wardround.clinic.web.login_pages import DEMO_DOCTOR
    from wardround.clinic.web.server import serve
    from wardround.sources.synthetic.folders import make_cases, make_films
    from wardround.sources.synthetic.hospitals import SYNTHETIC_NOTICE

    typer.echo(SYNTHETIC_NOTICE)
    if not (folder / "run" / "model.onnx").is_file():
        typer.echo("Three hospitals learn one model (half a minute) ...")
        _learned(folder / "run")
    if not (folder / "cases").is_dir():
        make_cases(folder / "cases", seed=4, patients=_PATIENTS)
    if not (folder / "films").is_dir():
        make_films(folder / "films", seed=5, count=20)
    clinic = _accepted(folder)

    def begin(state: "ClinicState", address: str) -> None:
        if all(row["name"] != DEMO_DOCTOR for row in state.people.listed()):
            state.people.add(DEMO_DOCTOR, "doctor", secrets.token_urlsafe(24), actor="demo")
            _answered(state, folder / "films")
        state.entry = secrets.token_urlsafe(16)
        typer.echo(f"Open as a doctor, good once: {address}/enter/{state.entry}")
        typer.echo(f"Films to drop there: {folder / 'films'}. Ctrl-C ends the demo.")

    serve(clinic, typer.echo, listen=listen, begin=begin)


def _learned(run: Path) -> None:
    """In a process of its own: the clinic's has no torch."""
    done = subprocess.run([sys.executable, "-c", _LEARN, str(run)], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise RunError("The demo's model could not be made", found=last[:200], hint=f"remove {run}, and try again")


def _accepted(folder: Path) -> "ClinicPlace":
    """A clinic with the model in service. The demo's criteria are none, and its card stays blank: it is for nobody."""
    from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
    from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
    from wardround.clinic.place.service import activate, service_of

    clinic = ClinicPlace.begin(folder / "clinic", ClinicSettings(hospital="The demo", contact="The demo has nobody to ask."))
    if service_of(clinic).answering is None:
        typer.echo(f"A fourth hospital tests it on {_PATIENTS} patients of its own ...")
        record = accept(clinic, candidates_of(clinic, str(folder / "run")), str(folder / "cases"), AcceptanceSettings())
        activate(clinic, record.id, record.model, by="the demo", text="The demo's model answers, for drawn pictures.")
    return clinic


def _answered(state: "ClinicState", films: Path) -> None:
    """A few films, so that the worklist is not empty."""
    from wardround.clinic.intake.desk import Sender

    for path in sorted(films.glob("*.png"))[:_FILMS]:
        state.desk.submit(path, Sender("demo", "demo", shown=True))
