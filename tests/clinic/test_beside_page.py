"""What docs/clinic.md says of PACS and record system is what the clinic does: its settings load, its bundle is answered."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.docs.pages import read
from wardround.clinic.dicom.listener import STORAGE_CLASSES, TRANSFER_SYNTAXES
from wardround.clinic.fhir.reading import patient_row, require_fit
from wardround.clinic.place.clinic_place import ClinicSettings
from wardround.sources import prepare
from wardround.study.toml_reading import read_as

from .made_clinics import HEART

PAGE = read("docs/clinic.md").partition("## Beside the PACS")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_settings_of_the_page_load(block: str) -> None:
    """A hospital's IT copies them."""
    settings = read_as(ClinicSettings, block, "clinic.toml")
    assert settings.dicom or settings.fhir


def test_the_bundle_of_the_page_fills_the_columns_by_the_mapping_of_the_page() -> None:
    """And becomes a record that the model of its columns can read."""
    settings = next(one for block in BLOCKS if (one := read_as(ClinicSettings, block, "clinic.toml")).fhir)
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    content = json.loads(example.replace("NOW", datetime.now(UTC).isoformat(timespec="seconds")))
    row = patient_row(require_fit(settings.fhir, HEART), content).values
    assert row["sex"] == "f" and row["smoker"] == 1 and row["pressure"] == pytest.approx(150.76, abs=0.01)
    assert prepare(HEART, row) is not None


def test_the_conformance_statement_names_as_many_classes_and_syntaxes_as_there_are() -> None:
    """One that was added to the listener and not to the page, or the other way."""
    from pydicom.uid import UID

    names = [UID(uid).name for uid in STORAGE_CLASSES]
    assert not [name for name in names if not UID_WORDS[name] or UID_WORDS[name] not in PAGE]
    assert len(TRANSFER_SYNTAXES) == 12 and not any(UID(uid).is_deflated for uid in TRANSFER_SYNTAXES)


UID_WORDS = {
    "Computed Radiography Image Storage": "Computed Radiography",
    "Digital X-Ray Image Storage - For Presentation": "Digital X-Ray (for presentation",
    "Digital X-Ray Image Storage - For Processing": "for processing)",
    "Digital Mammography X-Ray Image Storage - For Presentation": "Digital Mammography (for presentation)",
    "CT Image Storage": "CT,",
    "MR Image Storage": "MR,",
    "Ultrasound Image Storage": "Ultrasound",
    "Secondary Capture Image Storage": "Secondary Capture",
    "X-Ray Angiographic Image Storage": "X-Ray Angiographic",
    "X-Ray Radiofluoroscopic Image Storage": "X-Ray Radiofluoroscopic",
    "VL Photographic Image Storage": "VL Photographic",
    "Ophthalmic Photography 8 Bit Image Storage": "Ophthalmic Photography 8 Bit",
}


def test_the_command_says_what_waits(tmp_path: Path) -> None:
    """On the screen of whoever runs the clinic, with what to do."""
    from typer.testing import CliRunner

    from wardround.cli.main import app
    from wardround.clinic.dicom.outbox import Outbox, outbox_path
    from wardround.clinic.dicom.results import ResultFile

    from .made_clinics import film_clinic

    clinic = film_clinic(tmp_path / "clinic")
    words = ["clinic", "outbox", "--clinic", str(clinic.path)]
    assert CliRunner().invoke(app, words).output == "No result waits.\n"
    outbox = Outbox(outbox_path(clinic.path))
    outbox.put("pacs", "case", [ResultFile("1.2", f"1.2.{number}", b"content") for number in range(3)])
    assert "pacs: 3 results since" in CliRunner().invoke(app, words).output
    outbox.failed("pacs", "1.2.1", "the node refused with status A700")
    outbox.close()
    assert "tried once: the node refused with status A700" in CliRunner().invoke(app, [*words, "--again"]).output
    (told,) = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)["waiting"]
    assert (told["node"], told["objects"], told["attempts"]) == ("pacs", 3, 1)
