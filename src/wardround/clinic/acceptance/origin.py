"""What can be told of a model's origin at its acceptance: of its run's record, else of any run of its study that is known here.

    record of the run ---------------------\\
    else a run of the same study (hash) -----+--> OriginRecord, into the acceptance record
    (a hospital's own record, a simulation) /

A hospital that took part over a network has its own record alone: it names all hospitals and the study's promise, and counts this
hospital's patients. Those are not the study's, and are not taken for them.
"""

from pathlib import Path

from wardround.clinic.acceptance.card import run_record
from wardround.clinic.place.origin_record import OriginRecord
from wardround.evidence.run_facts import study_of
from wardround.evidence.sample import sample_of
from wardround.study.declaration import Study
from wardround.study.record.model_statement import ModelStatement
from wardround.study.record.run_record import RunRecord
from wardround.values.errors import RegistryError
from wardround.values.home import default_home


def model_origin(model: str, registry: str | Path | None, statement: ModelStatement) -> OriginRecord | None:
    """None where no run of the study is known here. RegistryError where a registry was named and cannot be read."""
    if (record := run_record(model, registry, statement)) is not None:
        return origin_of(record, counts=True)
    other = _run_of_study(statement.study_hash, registry)
    return None if other is None else origin_of(other, counts=False)


def origin_of(record: RunRecord, *, counts: bool) -> OriginRecord:
    """counts: whether its counts are those of the model's own run. Another run of the study may have had other patients."""
    study = study_of(record)
    sample = sample_of(record) if counts and record.privacy_mode == "none" else None
    cost = record.privacy
    unit, epsilon, delta = (None, None, None) if cost is None else (cost.unit, cost.epsilon, cost.delta)
    if cost is None and study is not None and study.privacy.private:  # a record of before, which kept the mode alone
        stated = study.privacy
        unit, epsilon, delta = stated.unit, None if stated.noise_multiplier == 0 else stated.epsilon, stated.delta
    return OriginRecord(
        hospitals=record.took_part if counts or study is None else tuple(study.sites.names),
        patients=None if sample is None else sample.patients,
        records=None if sample is None else sample.records,
        public_patients=None if study is None else _public_patients(study),
        privacy_mode=record.privacy_mode,
        summation_mode=record.summation_mode,
        unit=unit,
        epsilon=epsilon,
        delta=delta,
    )


def _public_patients(study: Study) -> int | None:
    """Together; None where the study states one number for each and does not say for whom."""
    stated = study.privacy.public_patients
    if isinstance(stated, dict):
        return sum(stated.values())
    return stated * len(study.sites.names) if stated is not None and study.sites.names else None


def _run_of_study(study_hash: str, registry: str | Path | None) -> RunRecord | None:
    """The newest finished one. A registry of this user that is not there is not made, and one that cannot be read is none."""
    from wardround.registry import open_registry

    if registry is None and not (default_home() / "registry.db").is_file():
        return None
    try:
        with open_registry(registry) as opened:
            runs = [run for run in opened.runs(study_hash=study_hash) if run.finished]
            return opened.record(runs[0].id) if runs else None
    except RegistryError:
        if registry is not None:
            raise
        return None
