"""Which kinds of question there are, and the task of a study."""

import json
import tomllib
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from wardround.study.declaration import Study
from wardround.study.label import LabelContract, LabelKind, register_label_kind
from wardround.tasks.protocol import Task
from wardround.values.errors import StudyError

_TASKS: dict[str, Callable[[LabelContract], Task]] = {}


def register(label_kind: LabelKind, task: Callable[[LabelContract], Task]) -> None:
    """Make a kind of question known to studies, readers and everything that asks its task.

    Parameters
    ----------
    label_kind
        Its name, which targets its labels become, and which settings it reads.
    task
        Makes the task of a study from the study's label section.

    Raises
    ------
    ValueError
        Where another kind has that name.
    """
    register_label_kind(label_kind)
    _TASKS[label_kind.name] = task


def task_of(study: Study) -> Task:
    """The task of a study."""
    return task_of_label(study.data.label)


def task_of_label(label: LabelContract) -> Task:
    """The task of a study's label section. StudyError where its kind has a label section and no task."""
    if label.kind not in _TASKS:
        raise StudyError(
            f'No task answers data.label.kind = "{label.kind}"',
            expected=f"one of {', '.join(sorted(_TASKS))}",
            hint="register the kind with its task: wardround.tasks.registry.register",
        )
    return _TASKS[label.kind](label)


def task_of_record(study_toml: str) -> Task:
    """The task of a run record, by the label section of its study; yes or no where the record has none that can be read."""
    return task_of_label(label_of_record(study_toml))


def label_of_record(study_toml: str) -> LabelContract:
    """The label section of a run record's study; the default one where it has none that can be read.

    The rest of the file is not looked at: a record of an earlier release keeps its report.
    """
    try:
        data: Any = tomllib.loads(study_toml).get("data")
        return LabelContract.model_validate_json(json.dumps(data["label"])) if "label" in data else LabelContract()
    except (tomllib.TOMLDecodeError, ValidationError, TypeError):
        return LabelContract()
