"""A clinic's evidence: true as it was written, and every kind of change to it is named."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.clinic.dicom_files import NUMBER, dicom, film_pixels
from tests.clinic.made_clinics import film_clinic, serve_model
from tests.clinic.made_models import FILMS, film_model
from tests.clinic.watch.made_weeks import accepted_record, add_cases
from wardround.cli.main import app
from wardround.clinic.intake.desk import Desk, Sender
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.service import roll_back
from wardround.clinic.store.cases import note_view, say_opinion, withdraw
from wardround.clinic.store.database import Store, sqlite_url
from wardround.clinic.watch.evidence import SIGNED, check_evidence, write_evidence
from wardround.crypto.identity import Identity
from wardround.evidence.pack import MANIFEST, SIGNATURE, write_signed
from wardround.evidence.pack_check import check_pack
from wardround.values.errors import RunError


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> ClinicPlace:
    """With answers of two models, one taken back; views, an opinion, a withdrawal."""
    place = film_clinic(tmp_path_factory.mktemp("evidence") / "clinic")
    with Store(sqlite_url(place.path / "clinic.db")) as store, Desk(place, store, processes=1) as desk:
        film = dicom(film_pixels(), BitsStored=12)
        first = desk.submit(film, Sender("page", "anna", "1" * 32))
        serve_model(place, film_model(bias=3.0), FILMS)
        desk.submit(film, Sender("rest", "pacs"))
        roll_back(place, by="Dr Li", reason="too bright")
        desk.submit(film, Sender("rest", "pacs"))
        note_view(store, first.id, "1" * 32, "anna")
        say_opinion(store, first.id, "1" * 32, "anna", "agree", "Frau Mustermann hustet")
        withdraw(store, "f" * 24, actor="data")
    return place


@pytest.fixture(scope="module")
def pack(clinic: ClinicPlace) -> Path:
    path = clinic.path.parent / "evidence.zip"
    with Store(sqlite_url(clinic.path / "clinic.db")) as store:
        assert write_evidence(clinic, store, path) == 3
    return path


def files_in(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    path.write_bytes(buffer.getvalue())
    return path


def signed_anew(path: Path, files: dict[str, bytes], identity: Identity) -> Path:
    """As the owner of the key could write it."""
    kept = {
        name: content for name, content in files.items() if name not in (MANIFEST, SIGNATURE, "versions.json", "sbom.cdx.json")
    }
    write_signed(path, {"hospital": "St Anna"}, kept, identity, SIGNED)
    return path


@pytest.mark.slow
def test_what_was_written_is_true_and_names_nobody(clinic: ClinicPlace, pack: Path) -> None:
    """Six sentences, and nothing in it of a patient or a comment."""
    check = check_evidence(pack)
    assert len(check.confirmed) == 6 and not check.problems
    assert check.hospital == "St Anna" and check.identity == clinic.identity.public
    files = files_in(pack)
    assert not [word for word in (NUMBER, "Mustermann", "hustet") if any(word.encode() in one for one in files.values())]
    assert not [name for name in files if name.endswith((".key", ".toml", ".npz", ".onnx"))] and pack.stat().st_mode & 0o077 == 0
    assert json.loads(files["withdrawals.json"])[0]["patient"] == "f" * 24


def last_line_cut(files: dict[str, bytes], name: str) -> bytes:
    return b"".join(files[name].splitlines(keepends=True)[1:])


CHANGES: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "not as they were signed: register.csv": lambda files: {"register.csv": files["register.csv"].replace(b"page", b"rest")},
    "not as they were signed: more.txt": lambda _: {"more.txt": b"x"},
    "not signed by the key": lambda files: {MANIFEST: files[MANIFEST].replace(b"St Anna", b"St Otto")},
}


@pytest.mark.parametrize("problem", CHANGES)
def test_a_changed_zip_is_told(tmp_path: Path, pack: Path, problem: str) -> None:
    """By whoever carries it."""
    files = files_in(pack)
    check = check_evidence(zipped(tmp_path / "changed.zip", files | CHANGES[problem](files)))
    assert any(problem in one for one in check.problems)


OWNER: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "audit is broken at line": lambda files: {"audit.ndjson": files["audit.ndjson"].replace(b'"anna"', b'"nobody"')},
    "audit is broken at line 1": lambda files: {"audit.ndjson": last_line_cut(files, "audit.ndjson")},
    "what is in service is broken": lambda files: {
        "service/current.ndjson": files["service/current.ndjson"].replace(b"Dr Li", b"Dr No", 1)
    },
    "model that was not in service": lambda files: {
        "register.csv": files["register.csv"].replace(files["register.csv"].split(b",")[20], b"0" * 64)
    },
    "register.csv cannot be read": lambda _: {"register.csv": b"case,given\r\nx,never\r\n"},
}  # fmt: skip


@pytest.mark.parametrize("problem", OWNER)
def test_what_the_owner_of_the_key_changed_is_told(tmp_path: Path, clinic: ClinicPlace, pack: Path, problem: str) -> None:
    """The chains and the acceptances bind her too."""
    files = files_in(pack)
    changed = files | OWNER[problem](files)
    assert changed != files
    check = check_evidence(signed_anew(tmp_path / "changed.zip", changed, clinic.identity))
    assert any(problem in one for one in check.problems), check.problems


def test_an_acceptance_of_another_key_is_told(tmp_path: Path, pack: Path) -> None:
    """Who signs the whole must have signed the parts."""
    check = check_evidence(signed_anew(tmp_path / "other.zip", files_in(pack), Identity.new()))
    assert any("acceptances/" in one for one in check.problems)


def test_evidence_of_a_site_and_of_a_clinic_are_not_each_other(tmp_path: Path, pack: Path) -> None:
    """Each has its own mark under the signature."""
    with pytest.raises(RunError, match="no evidence"):
        check_pack(pack)
    (tmp_path / "no.zip").write_bytes(b"PK no zip")
    with pytest.raises(RunError, match="no evidence"):
        check_evidence(tmp_path / "no.zip")


def test_an_answer_beside_every_log_is_told(tmp_path: Path, clinic: ClinicPlace) -> None:
    """A row that was put into the database by hand: no model of that acceptance was ever in service."""
    with Store(sqlite_url(clinic.path / "clinic.db")) as store:
        (case_id,) = add_cases(store, accepted_record(), 1)
        write_evidence(clinic, store, tmp_path / "evidence.zip")
        from sqlalchemy import delete

        from wardround.clinic.store.tables import answers, cases, figures

        for table, column in ((answers, "case_id"), (figures, "case_id"), (cases, "id")):
            store.write(
                lambda one, table=table, column=column: one.execute(delete(table).where(table.c[column] == case_id)).rowcount
            )
    assert any("not in service" in one for one in check_evidence(tmp_path / "evidence.zip").problems)


def test_the_commands(tmp_path: Path, clinic: ClinicPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an auditor and a data manager type them; each line fits a terminal."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    runner, where = CliRunner(), ["--clinic", str(clinic.path)]

    def run(*words: str, ends: int = 0) -> str:
        result = runner.invoke(app, ["clinic", *words])
        assert result.exit_code == ends, (result.output, result.exception)
        shown = [line for line in result.output.splitlines() if str(tmp_path) not in line and not line.startswith("{")]
        assert max(map(len, shown), default=0) <= 80
        return result.output

    zip_path = str(tmp_path / "evidence.zip")
    assert "with 3 answers" in run("evidence", "--out", zip_path, *where) and "yes  the manifest" in run("verify", zip_path)
    assert "no reference" not in run("watch", *where) and json.loads(run("watch", "--json", *where))["alerts"] == []
    assert len(json.loads(run("register", "--json", *where))["answers"]) == 3
    assert len(json.loads(run("register", "--patient", NUMBER, "--json", *where))["answers"]) == 3
    run("register", "--csv", str(tmp_path / "register.csv"), *where)
    assert (tmp_path / "register.csv").read_text("utf-8-sig").count("\n") == 4
    assert "0 lines" in run("retention", *where) or "Everything is kept" in run("retention", *where)
    assert json.loads(run("labels", "--out", str(tmp_path / "labels.csv"), "--json", *where))["cases"] in (0, 1)
    told = json.loads(run("withdraw", NUMBER, "--by", "Dr Li", "--json", *where))
    assert len({one["case"] for one in told["cases"]}) == 3 and told["learnt"] == [] and not told["again"]
    assert "on the list already" in run("withdraw", NUMBER, "--by", "Dr Li", *where)
    run("register", "--since", "yesterday", *where, ends=1)
