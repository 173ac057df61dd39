"""A hospital's own task: the question that its last layer answers, in a study with `network.private = "head"`.

    task.toml --load_own_task--> OwnTask --at_home(study, task)--> the study at home: the same, with this hospital's question

The file stays at the hospital. The study that all agree on says nothing of it, and nothing that leaves is shaped by it: hub,
orders and sums follow from that study, and only what is worked out here and kept here follows from the study at home.
"""

from pathlib import Path

from pydantic import Field, model_validator

from wardround.study.declaration import Study
from wardround.study.label import LABEL_KINDS, UNDISCLOSED, LabelContract
from wardround.study.sections.section import Section
from wardround.study.task_table import as_written, with_task_below_label
from wardround.study.toml_reading import KeyPath, read_as, read_text, toml_value
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.errors import StudyError

CHOOSE_AT_HOME = "local"
"""The rule by which a hospital that keeps its question chooses a threshold: from its own validation records."""


class OwnTraining(Section):
    """How the hospital's own loss is made. Left out: as the defaults of the study's [training] say."""

    class_balance: bool | None = Field(
        default=None,
        description="Whether each class is weighed by the inverse of its count at the hospital; false in a private study.",
    )
    label_smoothing: float | None = Field(
        default=None, ge=0.0, lt=0.5, description="How far a target is drawn towards one half, 0 to below 0.5."
    )


class OwnTask(Section):
    """What one hospital asks of the network that it learns with others.

    Parameters
    ----------
    label
        Which columns hold the answer and what their values mean: `[label]`, and `[task]` for another kind than yes or no.
    training
        Settings of the hospital's own loss.

    Raises
    ------
    pydantic.ValidationError
        Where a setting is unknown or out of range. `load_own_task` raises StudyError in its place, with the line.
    """

    label: LabelContract = Field(description="Which columns hold the answer, and what their values mean.")
    training: OwnTraining = Field(default=OwnTraining(), description="How the hospital's own loss is made.")

    @model_validator(mode="after")
    def _something_is_asked(self) -> "OwnTask":
        if self.label.kind == UNDISCLOSED:
            raise ValueError("a hospital's own task names its question: write kind under [task], or leave it out for a yes or no")
        return self

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON: of what the file says, whatever its comments. It stays at the hospital."""
        return sha256_hex(canonical_json(self.model_dump(mode="json")))


def load_own_task(path: str | Path) -> OwnTask:
    """The task in a hospital's file.

    Parameters
    ----------
    path
        The file (TOML, UTF-8, at most 1 MiB).

    Returns
    -------
    OwnTask
        Checked, with every default filled in.

    Raises
    ------
    StudyError
        Where the file is missing or not sound, with every problem's line and its mend.
    """
    return parse_own_task(read_text(Path(path), "task", "write one: wardround study new FILE --kind task"), str(path))


def parse_own_task(text: str, name: str = "task.toml") -> OwnTask:
    """The task that `text` declares. StudyError as `load_own_task`."""
    value = toml_value(text, name)
    asked = "task" in value
    stated = {key: section for key, section in value.items() if key not in ("label", "task")}
    below = with_task_below_label({key: value[key] for key in ("task",) if asked} | {"data": _label_in(value)}, name)
    if "label" in below.get("data", {}):
        stated["label"] = below["data"]["label"]
    return read_as(OwnTask, text, name, value=stated, declared=lambda path: _declared(path, asked))


def _label_in(value: dict[str, object]) -> dict[str, object]:
    return {"label": value["label"]} if "label" in value else {}


def _declared(path: KeyPath, asked: bool) -> KeyPath:
    """Where a setting stands in the file."""
    if path[:1] != ("label",):
        return path
    written = as_written(("data", *path), asked)
    return written[1:] if written[:1] == ("data",) else written


def at_home(study: Study, task: OwnTask) -> Study:
    """The study as one hospital carries it out: the shared one, with this hospital's question and a whole network.

    Parameters
    ----------
    study
        A study that keeps heads.
    task
        The hospital's own.

    Returns
    -------
    Study
        It is nobody else's. Its hash is in no message.

    Raises
    ------
    StudyError
        Where the task does not fit the study, with every reason: a label that is one of the inputs, for example.
    """
    if not study.keeps_heads:
        raise StudyError(
            "The study names its question, and a task file is for a study that leaves it to each hospital",
            expected='network.private = "head"',
            hint="leave the task file out",
        )
    reads = LABEL_KINDS[task.label.kind].uses
    training = {name: one for name, one in task.training.model_dump(mode="json").items() if one is not None}
    evaluation = {"threshold": CHOOSE_AT_HOME} if "evaluation.threshold" in reads else {}
    try:
        return study.revised(
            data={"label": task.label.model_dump(mode="json")},
            network={"private": "at_home"},
            evaluation=evaluation,
            training=training,
        )
    except StudyError as error:
        raise StudyError(
            "The task file does not fit the study",
            found=error.found,
            hint="correct the task file, or the study with all partners",
        ) from error


def require_own_task(study: Study, task: OwnTask | None, site: str) -> Study:
    """The study as this hospital carries it out. StudyError where it needs a task and has none, or has one that nobody reads."""
    if task is not None:
        return at_home(study, task)
    if study.keeps_heads:
        raise StudyError(
            f"The study leaves the question to each hospital, and {site} names none",
            expected="a task file of the hospital's own",
            hint="write one (wardround study new FILE --kind task), then name it: --task NAME=FILE in a simulation, --task FILE "
            "of `wardround data check` and of `wardround site data add NAME PATH`",
        )
    return study
