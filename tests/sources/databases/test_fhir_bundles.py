"""FHIR resources as the entries of Bundles: what a server answers, and what programs hand over for one patient."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from wardround.sources.databases.fhir import lines
from wardround.sources.opening import open_source
from wardround.sources.readiness.report import Readiness
from wardround.values.errors import DataError

from .cases import condition, contract, encounter, fhir_resources, observation, patient
from .databases import bundle, write_fhir, zipped


def records_of(path: Path) -> list[list[float]]:
    source = open_source(path, contract())
    assert source.kind == "fhir"
    records = source.load()
    return [*records.inputs.tolist(), *records.labels.tolist(), *records.patients.tolist()]


def report_of(folder: Path, *bundles: dict[str, Any]) -> Readiness:
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(bundles):
        (folder / f"{number}.json").write_text(json.dumps(content))
    return open_source(folder, contract()).check()


@pytest.mark.parametrize("kind", ["collection", "searchset", "transaction", "batch"])
@pytest.mark.parametrize("form", ["file", "folder", "lines", "packed", "zip"])
def test_bundles_read_as_their_entries(tmp_path: Path, form: str, kind: str) -> None:
    """Most hospitals have no bulk export; what they have is a Bundle from an interface or a search."""
    expected = records_of(write_fhir(tmp_path / "export", fhir_resources()))
    folder = tmp_path / "bundles"
    folder.mkdir()
    whole = bundle(fhir_resources(), kind)
    if form == "lines":
        (folder / "all.ndjson").write_text("".join(json.dumps(bundle([r], kind)) + "\n" for r in fhir_resources()))
    elif form == "packed":
        (folder / "all.json.gz").write_bytes(gzip.compress(json.dumps(whole).encode()))
    else:
        (folder / "all.json").write_text(json.dumps(whole, indent=1))
    path = zipped(folder, tmp_path / "a.zip") if form == "zip" else next(folder.iterdir()) if form == "file" else folder
    assert records_of(path) == expected


@pytest.mark.parametrize(("room", "parses"), [(2**20, 1), (0, 3)])
def test_a_bundle_is_parsed_once_where_there_is_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, parses: int
) -> None:
    """Kinds, patients and events were a parse of every Bundle each; what has no room is parsed again, to the same records."""
    expected = records_of(write_fhir(tmp_path / "export", fhir_resources()))
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "all.json").write_text(json.dumps(bundle(fhir_resources(), "collection")))
    parsed, parse = [], lines.resource_in
    monkeypatch.setattr(lines, "resource_in", lambda content: parsed.append(len(content)) or parse(content))
    monkeypatch.setattr(lines, "KEPT_BYTES", room)
    assert records_of(tmp_path / "bundles") == expected
    assert len(parsed) == parses


def test_bundles_beside_an_export_are_read_with_it(tmp_path: Path) -> None:
    """What was handed over later lies beside the rest; a copy in both is the same resource once."""
    everything = fhir_resources()
    expected = records_of(write_fhir(tmp_path / "export", everything))
    folder = write_fhir(tmp_path / "both", [r for r in everything if r["resourceType"] != "Observation"])
    (folder / "later.json").write_text(json.dumps(bundle([r for r in everything if r["resourceType"] == "Observation"])))
    (folder / "manifest.json").write_text(json.dumps({"transactionTime": "2020-01-01", "output": []}))
    assert records_of(folder) == expected


@pytest.mark.parametrize("has_ids", [False, True])
def test_a_transaction_refers_by_the_addresses_of_its_entries(tmp_path: Path, has_ids: bool) -> None:
    """What is only being created has no id, or another one than its address: every event would be without a person."""
    entries = []
    for number, resource in enumerate(fhir_resources()):
        resource = resource if has_ids else {key: value for key, value in resource.items() if key != "id"}
        if "subject" in resource:
            resource = {**resource, "subject": {"reference": "urn:uuid:0"}}
        entries.append({"fullUrl": f"urn:uuid:{number}", "resource": resource, "request": {"method": "POST"}})
    assert fhir_resources()[0]["resourceType"] == "Patient"
    (tmp_path / "t.json").write_text(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}))
    *values, name = records_of(tmp_path / "t.json")
    *expected, _ = records_of(write_fhir(tmp_path / "export", fhir_resources()))
    assert values == expected and name == ("p1" if has_ids else "0")


def test_a_page_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A search gives its first hundred; saved alone they look like the whole hospital."""
    first, second = fhir_resources()[:2], fhir_resources()[2:]
    page = [{"relation": "self", "url": "https://h/1"}, {"relation": "next", "url": "https://h/2"}]
    pages = (
        bundle(first, "searchset", link=page),
        bundle(second, "searchset", link=[{"relation": "self", "url": "https://h/2"}]),
    )
    assert "absent-pages" not in {finding.code for finding in report_of(tmp_path / "a", *pages).findings}
    everything = bundle(fhir_resources(), "searchset", link=page)
    (finding,) = [f for f in report_of(tmp_path / "b", everything).findings if f.code == "absent-pages"]
    assert finding.level == "warning" and [spot.file for spot in finding.places] == ["0.json"]


def test_an_entry_without_a_resource_is_an_error_with_its_place(tmp_path: Path) -> None:
    """It may be what was deleted, or what the export forgot: nobody can tell."""
    broken = bundle(fhir_resources())
    broken["entry"].insert(2, {"fullUrl": "https://h/Observation/7", "request": {"method": "DELETE"}})
    report = report_of(tmp_path, broken)
    finding = next(f for f in report.findings if f.code == "not-a-resource")
    assert not report.ready() and [spot.file for spot in finding.places] == ["0.json, entry 3"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps(bundle(fhir_resources(), "history")), "type that is not read.*Found: history"),
        (json.dumps(bundle(fhir_resources(), "Mustermann")), "type that is not read.*Found: another one, or none"),
        (json.dumps(bundle(fhir_resources()))[:-20], "A file of the export is damaged or cut short"),
        (json.dumps(bundle([patient(), encounter("2020-05-10"), condition("2020-05-12")])), "has no Observation"),
        (json.dumps(bundle([*fhir_resources(), observation("2020-05-01")])) + " " * 4000, "too large to be read at once"),
    ],
)
def test_a_bundle_that_cannot_be_read_is_refused_by_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    """A history holds what was struck out, and half a document half of a hospital."""
    if text.endswith(" "):
        monkeypatch.setattr("wardround.sources.databases.fhir.lines.LARGEST_BUNDLE", 4000)
    (tmp_path / "a.json").write_text(text)
    source = open_source(tmp_path, contract())
    with pytest.raises(DataError, match=words) as caught:
        source.load()
    assert caught.value.hint and not source.check().ready()


def test_json_that_is_no_bundle_is_no_export(tmp_path: Path) -> None:
    """Image collections have a JSON file beside each picture."""
    (tmp_path / "a.json").write_text('{"boxes": []}')
    with pytest.raises(DataError, match="cannot be read as one source"):
        open_source(tmp_path, contract())
