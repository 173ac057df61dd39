"""What the pages tell a reader to write can be written."""

import json
import tomllib
from pathlib import Path

import pytest

import wardround.tasks  # noqa: F401  so that a study of any kind of question is understood
from wardround.clinic.place.clinic_place import ClinicSettings
from wardround.study.contract import DataContract
from wardround.study.own_task import at_home, load_own_task, parse_own_task
from wardround.study.reading import load_study, parse_study
from wardround.study.run_settings import SUFFIX, load_run, run_file_of
from wardround.study.sections.personal import PersonalSection
from wardround.study.sections.section import Section
from wardround.study.toml_reading import read_as

from .pages import ROOT, Block, blocks

SECTIONS: dict[str, type[Section]] = {"data": DataContract, "personal": PersonalSection}
STUDIES = [block for block in blocks("toml") if block.text.startswith("format = 1")]
EXAMPLES = [path for path in sorted((ROOT / "examples").glob("*.toml")) if not path.name.endswith(SUFFIX)]
CLINICS = [block for block in blocks("toml") if block.text.startswith("hospital = ")]
TASKS = [block for block in blocks("toml") if block.text.startswith("[label]")]
PARTS = [
    block for block in blocks("toml") if not block.text.startswith(("format = 1", "# mapping.toml", "hospital = ", "[label]"))
]


@pytest.mark.parametrize("block", STUDIES, ids=str)
def test_every_study_in_the_pages_is_sound(block: Block) -> None:
    """Readers copy what they see."""
    parse_study(block.text, str(block))


@pytest.mark.parametrize("block", PARTS, ids=str)
def test_every_section_in_the_pages_is_sound(block: Block) -> None:
    """A part of a study is copied as well."""
    value = tomllib.loads(block.text)
    assert value.keys() in ({"data"}, {"personal"}), "show a whole study (format = 1), a [data] or a [personal] section"
    for name, section in value.items():
        SECTIONS[name].model_validate_json(json.dumps(section))


@pytest.mark.parametrize("block", CLINICS, ids=str)
def test_every_clinic_in_the_pages_is_sound(block: Block) -> None:
    """A hospital's computer department copies its settings."""
    read_as(ClinicSettings, block.text, str(block))


@pytest.mark.parametrize("block", TASKS, ids=str)
def test_every_task_of_a_partner_in_the_pages_is_sound(block: Block) -> None:
    """It is the one file that nobody else can look at for its writer."""
    parse_own_task(block.text, str(block))


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "assay_partners").glob("*.toml")), ids=lambda path: path.name)
def test_every_partners_task_fits_the_example(path: Path) -> None:
    """And the run file names each."""
    at_home(load_study(ROOT / "examples" / "assay_partners.toml"), load_own_task(path))
    simulation = load_run(ROOT / "examples" / "assay_partners.run.toml").simulation
    assert simulation is not None and simulation.tasks[path.stem] == str(path)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_sound_study_with_a_run_file_that_fits(path: Path) -> None:
    """The examples are the first thing that people run, by the study's name alone; one is for a hub, by its script."""
    study, settings = load_study(path), load_run(run_file_of(path))
    assert (settings.simulation is None) == path.with_suffix(".sh").exists()
    assert (study.evaluation.external is None) == (settings.external is None)


HASHES = {
    "acute_care_again.toml": "f9fe8c7a8147",
    "assay_partners.toml": "14903ddd5795",
    "breast_cancer_private.toml": "0236c94776a0",
    "breast_cancer_survival.toml": "a6636bb6e091",
    "breast_cancer_time.toml": "0c6117bef0d0",
    "chest_xray.toml": "92c2485be7ca",
    "chest_xray_efficientnet.toml": "e61068958a55",
    "chest_xray_features.toml": "e3908435a0c2",
    "chest_xray_private.toml": "2493bee05ef7",
    "credit_counts.toml": "03e1f6910c9a",
    "credit_risk.toml": "a509f9c25ead",
    "heart_disease.toml": "922d495d82f3",
    "heart_disease_private.toml": "bc96843b402e",
    "heart_risk_factors.toml": "47f57f1a820e",
    "heart_risk_private.toml": "877da99693a5",
    "heart_severity.toml": "adbdae2454aa",
    "hiv_trial.toml": "1b6e2e868c1c",
    "hiv_trial_private.toml": "34c1d5963784",
    "icu_stay.toml": "06d38167d290",
    "intensive_care_patients.toml": "7f958d844c09",
    "intensive_care_private.toml": "c28f2090d0e6",
    "pneumonia_kind.toml": "884715a41909",
    "solubility.toml": "b0265faafc53",
    "three_hospitals.toml": "a2a6f7419890",
    "three_institutions.toml": "2a3df78a4a00",
    "toxicity.toml": "ea182b4db5e5",
}
"""How the hash of each example begins. A line changes with the example's own file, and with nothing else."""


def test_a_new_setting_leaves_the_hash_of_every_example() -> None:
    """Hospitals approved a study by its hash, and a release may not make another of it. Mend: `declaration.LATER_SETTINGS`."""
    assert {path.name: load_study(path).hash[:12] for path in EXAMPLES} == HASHES


def test_there_are_studies_to_check() -> None:
    """A pattern that matches nothing would let every study through."""
    assert STUDIES and PARTS and EXAMPLES and CLINICS


@pytest.mark.parametrize("block", list(blocks("python")), ids=str)
def test_every_python_block_compiles(block: Block) -> None:
    """Code that does not parse teaches nothing."""
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", list(blocks("json")), ids=str)
def test_every_json_block_is_json(block: Block) -> None:
    """Scripts are written after it."""
    json.loads(block.text)
