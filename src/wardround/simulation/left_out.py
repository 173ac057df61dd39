"""Leave one hospital out: what would it get if it joined late? The others train without it; their model is tested at it.

    run folder --hospitals but one, same study--> model in RUN/left_out/NAME --test patients of that one--> left_out.json

The hospital's test patients are scored once: what left_out.json holds is not done again. The same sum is added in the open, since
with a hospital less a masked one may have nobody to hide among; in a simulation all folders are on one machine, and both ways of
adding give the same bits.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.algorithms import statement_of
from wardround.hub.artifacts import LEFT_OUT, MODEL
from wardround.hub.notices import Listener, silent
from wardround.hub.outcome import left_out_json
from wardround.plan.network_view import outputs_for
from wardround.plan.plan import Plan, own_label
from wardround.simulation.comparing import own_decision
from wardround.simulation.hospitals import Hospitals, Place, kept_hospitals
from wardround.simulation.run import Run
from wardround.simulation.simulate import simulate_at, write_evidence
from wardround.site.comparison import outputs_file
from wardround.site.config import load_records
from wardround.site.work import fingerprint
from wardround.study.declaration import Study
from wardround.study.reading import load_study
from wardround.study.record.left_out_record import LeftOutRecord, left_outs_at
from wardround.study.record.run_record import PairedRecord
from wardround.study.run_settings import RunSettings
from wardround.study.sections.evaluation import Decision
from wardround.study.sections.personal import PersonalSection
from wardround.study.sections.summation import SummationSection
from wardround.tasks.evaluation import evaluation_of
from wardround.tasks.protocol import PairedDifference
from wardround.tasks.registry import task_of_record
from wardround.values.durable import write_atomic
from wardround.values.errors import StudyError
from wardround.values.ids import SiteId
from wardround.values.records import Records
from wardround.values.tensor_file import read_tensors

ALL = "all"
Watch = Callable[[str], AbstractContextManager[Listener]]


def unwatched(_: str) -> AbstractContextManager[Listener]:
    """Nobody hears of anything."""
    return nullcontext(silent)


_OF_MASKS = ("threshold", "max_set_changes")


def leave_out(run: Run, names: Sequence[str], settings: RunSettings, watch: Watch = unwatched) -> Run:
    """Leaves each of these hospitals out of a finished run's study in turn, and judges the others' model at it.

    Parameters
    ----------
    run
        A finished simulation; its folder says where the hospitals' data are.
    names
        Hospitals of the run, or `all` for each of them. Those that were left out before are not again.
    settings
        Of this machine: workers, device and deadline.
    watch
        Gives a listener of the run without a hospital, by that hospital's name.

    Returns
    -------
    Run
        The run with what left_out.json holds now; its report and model card are written anew.

    Raises
    ------
    StudyError
        A private study; a name that no hospital of the run has; or fewer than three hospitals.
    """
    began = time.monotonic()
    study, hospitals = load_study(run.folder / "study.toml"), kept_hospitals(run.folder)
    require_leaving_out(study, names, tuple(map(str, hospitals)))
    kept = left_outs_at(run.folder / LEFT_OUT, run.record.run_id)
    asked = hospitals if ALL in names else map(SiteId, names)
    turns = sorted(set(asked) - set(kept.sites))
    for name in turns:
        with watch(name) as listener:
            kept = kept.with_site(name, _turn(run, study, hospitals, name, settings, listener))
        write_atomic(run.folder / LEFT_OUT, kept.to_json())
    if turns:
        write_evidence(run.record, run.folder)
    seconds = round(run.metrics.get("seconds", 0.0) + time.monotonic() - began, 3)
    return Run(run.folder, run.record, {**run.metrics, "seconds": seconds, **left_out_json(kept.sites, run.record)})


def require_leaving_out(study: Study, names: Sequence[str], hospitals: Sequence[str] | None) -> None:
    """StudyError where these hospitals cannot be left out. hospitals: of the run; None where they are not known yet."""
    if study.evaluates_only:
        raise StudyError("The study trains nothing, so no hospital can be left out of training", hint="leave --left-out away")
    if not statement_of(study.algorithm.name).one_model:
        raise StudyError(
            f"A hospital that did not train has no model with {study.algorithm.name}: part of each stays where it was learnt",
            hint="leave --left-out away, or choose another algorithm",
        )
    if study.keeps_heads:
        raise StudyError(
            'A hospital that did not train has no last layer where network.private = "head", and the others ask other things',
            hint="leave --left-out away",
        )
    if study.privacy.private:
        raise StudyError(
            "A private study is not trained again without a hospital: every such run would cost the others' patients once more",
            found=f'privacy.mode = "{study.privacy.mode}"',
            hint="leave --left-out away",
        )
    if hospitals is None:
        return
    if strangers := sorted(set(names) - {*hospitals, ALL}):
        raise StudyError(
            f"--left-out names a hospital that is not there: {', '.join(strangers)}",
            expected=f"{', '.join(sorted(hospitals))}, or {ALL}",
            hint=f"--left-out {sorted(hospitals)[0]}",
        )
    if len(hospitals) < 3:
        raise StudyError(
            "Without one of two hospitals nobody is left to train together",
            expected="three hospitals or more",
            found=str(len(hospitals)),
            hint="leave --left-out away",
        )


def without_one(study: Study, name: str) -> Study:
    """The study of the other hospitals: the same training; the sum in the open; no personal models where these can be left away;
    judged nowhere but at the one left out."""
    names = tuple(site for site in study.sites.names if site != name)
    fewest = min(study.sites.minimum, len(names)) if names else min(study.sites.minimum, 2)
    sums = {key: SummationSection.model_fields[key].default for key in _OF_MASKS}
    local_steps = statement_of(study.algorithm.name).local_steps  # else personal models alone read [training]
    personal = PersonalSection() if local_steps else study.personal
    return study.revised(
        sites={"names": names, "keys": {}, "minimum": fewest},
        summation={**sums, "mode": "plain"},
        evaluation={"own_baseline": False, "external": None},
        personal=personal.model_dump(mode="json"),
    )


def _turn(run: Run, study: Study, hospitals: Hospitals, name: SiteId, settings: RunSettings, listener: Listener) -> LeftOutRecord:
    others = {site: hospital for site, hospital in hospitals.items() if site != name}
    folder = run.folder / "left_out" / name
    alone = RunSettings(run=settings.run)
    trained = simulate_at(without_one(study, name), others, alone, folder, synthetic=run.record.synthetic, listener=listener)
    seen, model = judged(trained, hospitals[name], settings.run.device), trained.record.model
    assert model is not None
    task = Plan(study).task
    return LeftOutRecord(
        hospitals=tuple(map(str, sorted(others))),
        model=model.sha256,
        evaluation=evaluation_of(task, task.sums(seen.outputs, seen.labels), seen.decision),
        paired={key: PairedRecord(**asdict(one)) for key, one in _against_own(run, name, seen)},
    )


@dataclass(frozen=True, eq=False)
class Judged:
    """What the others' model says of a hospital's test patients. decision: by which it is judged there. fingerprint: of all the
    hospital's records."""

    outputs: NDArray[np.float32]
    labels: NDArray[Any]
    decision: Decision
    fingerprint: str


def judged(trained: Run, hospital: Place, device: str) -> Judged:
    """The others' model at the hospital that was left out, at its threshold. Where the study leaves that to each hospital, a
    newcomer chooses as those did that trained: on its own validation patients."""
    study = load_study(trained.folder / "study.toml")
    plan = Plan(study)
    records = load_records(study, hospital.path, prepared=hospital.prepared, mapping=hospital.mapping)
    model = read_tensors(trained.folder / MODEL)[0]
    outputs, test = outputs_for(model, records.where("test"), plan, device)
    decision = None if trained.record.model is None else trained.record.model.threshold
    if study.evaluation.threshold == "local":
        decision = _home_decision(plan, *outputs_for(model, records.where("validation"), plan, device))
    return Judged(outputs, test.labels, decision, fingerprint(records))


def _home_decision(plan: Plan, outputs: NDArray[np.float32], validation: Records) -> Decision:
    sums = plan.task.sums(outputs, validation.labels)
    return plan.task.decide(plan.study.evaluation.home_rule, {"validation": sums})


def _against_own(run: Run, name: str, seen: Judged) -> list[tuple[str, PairedDifference]]:
    """Less the hospital's own model, by figure; none where the run kept no own outputs of these very records."""
    path = run.folder / "sites" / name / f"{outputs_file(own_label(name))}.safetensors"
    if not path.is_file():
        return []
    own = read_tensors(path)[0]
    if "records" not in own or own["records"].tobytes().hex() != seen.fingerprint:
        return []
    task = task_of_record(run.record.study_toml)
    decisions = own_decision(run.record, name), seen.decision
    return list(task.paired((own["outputs"], seen.outputs), seen.labels, decisions).items())
