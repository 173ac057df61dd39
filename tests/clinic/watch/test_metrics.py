"""Numbers for Prometheus: they add up, they name nobody, and nobody else may read them."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.clinic.dicom_files import NUMBER, dicom, film_pixels
from tests.clinic.made_clinics import film_clinic
from wardround.clinic.intake.desk import Desk, Sender
from wardround.clinic.place.clinic_place import ClinicSettings
from wardround.clinic.place.service import roll_back
from wardround.clinic.place.watch_settings import WatchSection
from wardround.clinic.store.database import Store, sqlite_url
from wardround.clinic.watch.metrics import Metrics
from wardround.clinic.watch.metrics_page import may_read
from wardround.values.errors import WardroundError

FILM = dicom(film_pixels(), BitsStored=12)


def values(metrics: Metrics) -> dict[str, float]:
    text = metrics.text().decode()
    return {
        " ".join([sample.name, *(f"{name}={word}" for name, word in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_numbers_of_some_cases(tmp_path: Path) -> None:
    """Answers by verdict and door, errors by kind, seconds, what waits, what is in service."""
    clinic = film_clinic(tmp_path / "clinic")
    with Store(sqlite_url(clinic.path / "clinic.db")) as store, Desk(clinic, store, processes=1) as desk:
        metrics = Metrics(desk)
        cases = [desk.submit(FILM, Sender(door, "Dr Mustermann", "1" * 32)) for door in ("page", "rest", "rest")]
        with pytest.raises(WardroundError):
            desk.submit(b"no film", Sender("rest", "pacs"))
        found, model = values(metrics), desk.model
        verdict = cases[0].answer.verdict
        assert found[f"wardround_clinic_answers_total door=rest verdict={verdict}"] == 2
        assert found[f"wardround_clinic_answers_total door=page verdict={verdict}"] == 1
        assert found["wardround_clinic_errors_total kind=data"] == 1
        assert found["wardround_clinic_answer_seconds_count"] == found["wardround_clinic_answer_seconds_bucket le=+Inf"] == 3
        assert found["wardround_clinic_answer_seconds_sum"] > 0
        assert found["wardround_clinic_waiting"] == found["wardround_clinic_alerts"] == 0
        assert f"wardround_clinic_model_info acceptance={model.acceptance_id} model={model.acceptance.model[:12]}" in found
        text = metrics.text().decode()
        assert not [word for word in (NUMBER, "Mustermann", cases[0].id, cases[0].patient, "1" * 32, "pacs") if word in text]
        assert set(re.findall(r"[{,](\w+)=", text)) == {"verdict", "door", "kind", "le", "model", "acceptance"}
        roll_back(clinic, by="Dr Li")
        found = values(metrics)
        assert found["wardround_clinic_model_in_service"] == 0 and not any("model_info" in name for name in found)


@pytest.mark.parametrize(
    ("settings", "address", "authorization", "opens"),
    [
        ({}, "127.0.0.1", "", True),
        ({}, "::1", "", True),
        ({}, "10.0.0.7", "", False),
        ({}, "", "", False),
        ({}, "localhost.example", "", False),
        ({"behind_tls": True}, "127.0.0.1", "", False),
        ({"hosts": ("clinic.example.org",)}, "127.0.0.1", "", False),
        ({"watch": WatchSection(metrics_token="s3cret")}, "127.0.0.1", "", False),
        ({"watch": WatchSection(metrics_token="s3cret")}, "10.0.0.7", "Bearer s3cret", True),
        ({"watch": WatchSection(metrics_token="s3cret")}, "10.0.0.7", "Bearer s3cre", False),
        ({"watch": WatchSection(metrics_token="s3cret")}, "10.0.0.7", "Bearer é", False),
    ],
)
def test_who_may_read_them(settings: dict, address: str, authorization: str, opens: bool) -> None:
    """Behind a proxy everybody comes from this machine: that is no proof then."""
    assert may_read(ClinicSettings(hospital="St Anna", **settings), address, authorization) is opens
