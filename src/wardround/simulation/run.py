"""A finished run, as Python and a notebook see it."""

import html
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardround.plan.evaluated_model import EVALUATED
from wardround.study.record.evaluation_record import Evaluation
from wardround.study.record.run_record import RunRecord
from wardround.tasks.registry import task_of_record
from wardround.values.tensor_file import read_tensors
from wardround.values.tree import Tree


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run. In a notebook it shows what each hospital gains.

    Parameters
    ----------
    folder
        Where model, record, report and model card lie.
    record
        Everything that is known of the run.
    metrics
        What `wardround simulate --json` prints.
    """

    folder: Path
    record: RunRecord
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def own_records(self) -> dict[str, RunRecord]:
        """The hospitals' own records by name, where each keeps a question of its own; empty elsewhere.

        Only a simulation has them: in a deployment each stays at its hospital.
        """
        if self.record.sites or self.record.evaluated is not None:
            return {}
        paths = {name: self.folder / "sites" / name / "record.json" for name in self.record.took_part}
        return {name: RunRecord.from_json(path.read_bytes(), name=str(path)) for name, path in paths.items() if path.is_file()}

    @property
    def model(self) -> Tree:
        """The federated model's arrays, float32, by name; of a run that evaluated one, that model's."""
        return read_tensors(self.folder / ("model.safetensors" if self.record.evaluated is None else EVALUATED))[0]

    def __repr__(self) -> str:
        task = task_of_record(self.record.study_toml)
        shared = None if self.record.pooled is None else self.record.pooled.federated
        figure = f", {task.words.in_text[task.headline]} {_figure(shared, task.headline)}" if shared else ""
        work = f"{len(self.record.rounds)} rounds" if self.record.evaluated is None else "evaluation only"
        return f"<Run {self.folder}: {len(self.record.sites)} hospitals, {work}{figure}>"

    def _repr_html_(self) -> str:
        """A small table without scripts or links; every text is escaped."""
        task = task_of_record(self.record.study_toml)
        name = html.escape(task.words.names[task.headline])
        whose = "federated" if self.record.evaluated is None else "evaluated model"
        rows = "".join(
            f"<tr><th>{html.escape(site)}</th><td>{entry.patients}</td>"
            f"<td>{_figure(entry.own, task.headline)}</td><td>{_figure(entry.federated, task.headline)}</td></tr>"
            for site, entry in self.record.sites.items()
        )
        note = "<p>Synthetic data, of no patient.</p>" if self.record.synthetic else ""
        return (
            f"<p>{html.escape(repr(self))}</p>{note}<table><thead><tr><th>hospital</th><th>patients</th><th>{name}, own</th>"
            f"<th>{name}, {whose}</th></tr></thead><tbody>{rows}</tbody></table>"
        )


def _figure(evaluation: Evaluation | None, metric: str) -> str:
    value = None if evaluation is None else evaluation.value(metric)
    return "–" if value is None else f"{value:.3f}"
