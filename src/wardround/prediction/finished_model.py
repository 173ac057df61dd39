"""A finished model by the name that a person gives it: a run folder, a model.safetensors, or a model or run in the registry.

name --> bytes of model.safetensors --> EvaluatedModel          and, where it is known, the study that it is of
"""

from pathlib import Path

from wardround.plan.evaluated_model import EVALUATED, EvaluatedModel, evaluated_in, require_model_of
from wardround.study.declaration import Study
from wardround.study.reading import load_study, parse_study
from wardround.study.run_settings import RunSettings
from wardround.values.errors import RegistryError, RunError, StudyError

FILE = "model.safetensors"


def finished_model(name: str, registry: str | Path | None = None) -> tuple[EvaluatedModel, bytes]:
    """The model of that name, and its file as it is.

    Parameters
    ----------
    name
        A run folder, a model.safetensors, or a model in the registry (its hash's first letters, or its run).
    registry
        The registry: a folder or a database URL; by default this user's.

    Raises
    ------
    RunError, RegistryError
        Where there is no model of that name, or one that must not leave its hospital.
    """
    path = Path(name)
    if path.is_dir():
        file = next((path / kind for kind in (FILE, EVALUATED) if (path / kind).is_file()), None)
        if file is None:
            hint = "finish it with the same command and --resume, or check the path"
            raise RunError(f"{path} holds no finished run", expected=FILE, hint=hint)
        path = file
    content, named = (_content(path), str(path)) if path.exists() else (_registered(name, registry), f"the model {name}")
    return evaluated_in(content, named), content


def require_model_or_none(study: Study, settings: RunSettings) -> None:
    """StudyError where a finished model is given to a study that trains one."""
    if settings.model is not None and not study.evaluates_only:
        raise StudyError(
            "The study trains a model of its own, and a finished one was named",
            found=settings.model.path,
            hint="leave --model and [model] away, or write a study that evaluates it: wardround study new --evaluate MODEL",
        )


def evaluated_content(study: Study, settings: RunSettings, registry: str | Path | None = None) -> bytes:
    """The file of the model that a study evaluates, from where the run settings say that it lies. StudyError where nobody said,
    or where it is another one."""
    if settings.model is None:
        raise StudyError(
            "The study evaluates a finished model, and nobody said where it lies",
            expected=f"a model with the hash {study.evaluation.model}",
            hint="name it with --model, or write [model] with path into the run file",
        )
    model, content = finished_model(settings.model.path, registry)
    require_model_of(study, model)
    return content


def study_of_model(name: str, registry: str | Path | None = None) -> Study:
    """The study that a finished model was learned in. RunError where only a file without its run is named."""
    path = Path(name)
    folder = path if path.is_dir() else path.parent
    if path.exists():
        if not (folder / "study.toml").is_file():
            raise RunError(
                f"{path} lies in no run folder, so nobody knows the network that it is of",
                expected="a run folder, with its study.toml",
                hint="name the run folder, or the model in the registry: wardround models list",
            )
        return load_study(folder / "study.toml")
    from wardround.registry import open_registry

    with open_registry(registry) as opened:
        run = opened.model(name).lineage[0].run
        return parse_study(opened.record(run).study_toml, f"the study of run {run}")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read", found=error.strerror or "", hint="check the path") from error


def _registered(name: str, registry: str | Path | None) -> bytes:
    from wardround.registry import open_registry

    try:
        with open_registry(registry) as opened:
            return opened.read_model(name)
    except RegistryError as error:
        raise RegistryError(
            f"There is no file or folder {name}, and no model of that name: {error.what}",
            expected=error.expected,
            found=error.found,
            hint="name a run folder, a model.safetensors, or a model of: wardround models list",
        ) from error
