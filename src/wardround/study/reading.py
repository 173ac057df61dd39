"""A study file (TOML) to a Study."""

from pathlib import Path

from wardround.study.declaration import Study
from wardround.study.kind_defaults import with_defaults_of_kind
from wardround.study.moved_settings import refuse_moved_settings
from wardround.study.shared_rules import as_declared, written_out
from wardround.study.task_table import as_written, with_task_below_label, with_undisclosed_question
from wardround.study.toml_reading import KeyPath, read_as, read_text, toml_value
from wardround.values.errors import StudyError

RENAMED: dict[KeyPath, str] = {
    ("summation", "longest"): "max_update_norm",
    ("summation", "largest_drop"): "max_auc_drop",
    ("privacy", "patients"): "public_patients",
    ("network", "backbone", "centre"): "feature_mean",
}
"""Settings of earlier development versions, and what they are called now."""


def load_study(path: str | Path) -> Study:
    """The study in a study file.

    Parameters
    ----------
    path
        The file (TOML, UTF-8, at most 1 MiB).

    Returns
    -------
    Study
        Checked, with every default filled in.

    Raises
    ------
    StudyError
        Where the file is missing or not sound, with every problem's line, what was found, and what to do.
    """
    study_path = Path(path)
    study = parse_study(read_text(study_path, "study", "make one with: wardround study new study.toml"), name=str(study_path))
    if study.network is not None and study.network.private == "at_home":
        raise StudyError(
            f"{study_path} is a study as one hospital carried it out, with a question that is its own",
            expected='network.private = "head", and neither [task] nor [data.label]',
            hint="take the study that all hospitals agreed on",
        )
    return study


def parse_study(text: str, name: str = "study.toml") -> Study:
    """The study that `text` declares."""
    value = toml_value(text, name)
    refuse_moved_settings(value, text, Path(name))
    study, origins = written_out(with_undisclosed_question(with_task_below_label(value, name)))
    study = with_defaults_of_kind(study)
    asked = "task" in value
    return read_as(Study, text, name, RENAMED, study, lambda path: as_written(as_declared(path, origins), asked))
