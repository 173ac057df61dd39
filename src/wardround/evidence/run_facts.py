"""What the report and the model card both state of a run, as rows."""

from importlib.resources import files

from wardround.evidence import text as wording
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.study.record.run_record import EvaluatedRecord, Evaluation, RunRecord
from wardround.values.errors import StudyError


def facts(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """Name and value of what was run, with what, by what."""
    versions, model = record.versions, record.model
    rows = [
        ("Run", record.run_id),
        ("Study", f"{record.study_title} (SHA-256 {record.study_hash})"),
        *(_how_it_learned(record) if record.evaluated is None else _evaluated(record, record.evaluated)),
        ("Privacy mode", record.privacy_mode),
        ("Summation", record.summation_mode),
        ("Engine", _engine(record)),
        ("Started", record.created),
        ("Finished", record.finished or "not finished"),
        (
            "Versions",
            f"Wardround {versions.wardround}, PyTorch {versions.torch}, NumPy {versions.numpy}, Python {versions.python}",
        ),
        ("Platform", versions.platform),
    ]
    if record.parent_model is not None:
        rows.append(("Started from the model", record.parent_model))
    if model is not None:
        rows.append(("Model", f"{wording.whole(model.parameters)} numbers, SHA-256 {model.sha256}"))
        rows.append(("Files", ", ".join(f"{name} ({kind})" for kind, name in sorted(model.files.items())) or wording.NONE))
        rows.append(("ONNX against PyTorch", f"largest difference in probability {_scientific(model.onnx_max_difference)}"))
    return tuple(rows)


def _how_it_learned(record: RunRecord) -> tuple[tuple[str, str], ...]:
    return (
        ("Algorithm", record.algorithm),
        ("Network", f"{record.network.name}, {wording.whole(record.network.parameters)} trained numbers"),
        ("Rounds", str(len(record.rounds))),
        ("Seed", str(record.seed)),
    )


def _evaluated(record: RunRecord, model: EvaluatedRecord) -> tuple[tuple[str, str], ...]:
    made = f", made by the run {', '.join(model.runs)}" if model.runs else ""
    started = f", which started from the model {', '.join(model.parents)}" if model.parents else ""
    data = " Synthetic data had a part in it." if model.synthetic else ""
    return (
        ("Evaluated model", f"SHA-256 {model.sha256}{made}{started}. Its arrays: SHA-256 {model.content}.{data}"),
        ("It is of the study", f"{model.study_title} (SHA-256 {model.study_hash})"),
        ("Network", f"{record.network.name}, {wording.whole(record.network.parameters)} numbers"),
    )


def _engine(record: RunRecord) -> str:
    if record.engine == "network":
        return f"network, {len(record.took_part)} hospitals, each at a machine of its own"
    return f"{record.engine}, up to {record.workers} hospitals at a time, {record.machine.cores} processor cores"


def tested(record: RunRecord) -> dict[str, Evaluation]:
    """The federated model's evaluations by the name of the test set: pooled, then external."""
    pooled = {"all hospitals' test patients": record.pooled.federated} if record.pooled else {}
    return pooled | {f"external: {name}": evaluation for name, evaluation in record.external.items()}


def threshold_at_home(record: RunRecord) -> str:
    """What a reader of the hospitals' figures must know of their thresholds; empty where all have one."""
    study = study_of(record)
    if study is None or study.evaluation.threshold != "local":
        return ""
    return (
        "Each hospital is judged at a threshold of its own, chosen on its own validation patients; all hospitals together and "
        "external test sets at the model's."
    )


def study_of(record: RunRecord) -> Study | None:
    """The study that the run was of; None where this release cannot read it any more, and the figures are all there is."""
    try:
        return parse_study(record.study_toml, "the study of the run")
    except StudyError:
        return None


def page_text(name: str) -> str:
    """A template or style sheet that lies beside this module."""
    return files("wardround.evidence").joinpath(name).read_text(encoding="utf-8")


def _scientific(value: float | None) -> str:
    return "not recorded" if value is None else f"{value:.1e}"
