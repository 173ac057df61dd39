"""Evidence for an auditor: what was signed is found true without a network, and every change is found."""

import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wardround.cli.evidence import _files
from wardround.cli.main import app
from wardround.crypto.identity import Identity
from wardround.evidence.pack import DECISION, MANIFEST, SBOM, SIGNATURE, STUDY, bill_of_materials, write_pack
from wardround.evidence.pack_check import check_pack, lines_in_common, split_views
from wardround.hub.coordinator import Coordinator
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.errors import RunError

from ..federation.tiny_federation import MARKER, NAMES
from ..site.daemon.hospitals import DeskEngine, Hospitals

NORTH = "north"


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The evidence of three hospitals after a whole study."""
    folder = tmp_path_factory.mktemp("evidence")
    hospitals = Hospitals(folder / "hospitals")
    for name in NAMES:
        hospitals.offered(name)
        hospitals.approve(name)
    coordinator = Coordinator(hospitals.study, DeskEngine(hospitals), folder / "run")
    coordinator.run()
    coordinator.close()
    for name in NAMES:
        home = hospitals.homes[name]
        write_pack(folder / f"{name}.zip", name, hospitals.study.hash, _files(home, hospitals.study.hash), home.identity)
    hospitals.close()
    yield {name: folder / f"{name}.zip" for name in NAMES}


def changed(pack: Path, path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(pack) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.slow
def test_evidence_of_a_whole_study_is_found_true(packs: dict[str, Path]) -> None:
    """Study, decision, log and files, each with a sentence; and no patient in it."""
    check = check_pack(packs[NORTH])
    assert not check.problems and len(check.confirmed) == 7 and check.site == NORTH
    with zipfile.ZipFile(packs[NORTH]) as archive:
        assert MARKER.encode() not in b"".join(archive.read(name) for name in archive.namelist())
        components = json.loads(archive.read(SBOM))["components"]
    assert {"numpy", "cryptography"} <= {one["name"] for one in components}


def test_what_was_found_stands_in_80_columns(packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An auditor prints it, or reads it on a small terminal."""
    monkeypatch.chdir(packs[NORTH].parent)
    names = [path.name for path in packs.values()]
    told = CliRunner().invoke(app, ["evidence", "verify", *names])
    assert told.exit_code == 0 and max(map(len, told.output.splitlines())) <= 80
    assert told.output.splitlines()[0] == f"{names[0]}:" and "\\n" not in told.output
    changed(packs[NORTH], tmp_path / "x.zip", lambda files: files.pop(DECISION))
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["evidence", "verify", "x.zip"])
    assert told.exception and "NO " in told.output and max(map(len, told.output.splitlines())) <= 80


@pytest.mark.parametrize("name", [STUDY, DECISION, SBOM, "log/current.ndjson"])
def test_a_file_that_was_changed_is_named(packs: dict[str, Path], tmp_path: Path, name: str) -> None:
    """One byte is enough."""

    def flip(files: dict[str, bytes]) -> None:
        files[name] = files[name].replace(b"1", b"2", 1)

    assert any(name in problem for problem in check_pack(changed(packs[NORTH], tmp_path / "x.zip", flip)).problems)


def test_a_file_that_was_left_out_or_put_in_is_named(packs: dict[str, Path], tmp_path: Path) -> None:
    """The manifest lists them all."""
    assert check_pack(changed(packs[NORTH], tmp_path / "a.zip", lambda files: files.pop(DECISION))).problems
    assert check_pack(changed(packs[NORTH], tmp_path / "b.zip", lambda files: files.update(more=b""))).problems


def test_who_signs_anew_is_another_hospital(packs: dict[str, Path], tmp_path: Path) -> None:
    """A forger can sign everything with a key of his own: then the decision is not signed by it, and the key is another."""
    forger = Identity.new()

    def forged(files: dict[str, bytes]) -> None:
        manifest = json.loads(files[MANIFEST]) | {"identity": forger.public}
        files[MANIFEST] = canonical_json(manifest)
        files[SIGNATURE] = forger.sign(b"wardround evidence 1\0" + files[MANIFEST]).encode()

    check = check_pack(changed(packs[NORTH], tmp_path / "x.zip", forged))
    assert check.identity == forger.public and any("decision" in problem for problem in check.problems)


def test_a_line_taken_out_of_the_log_is_found_even_by_who_signs_it(packs: dict[str, Path], tmp_path: Path) -> None:
    """The chain does not depend on the manifest."""

    def cut(files: dict[str, bytes]) -> None:
        lines = files["log/current.ndjson"].splitlines(keepends=True)
        files["log/current.ndjson"] = b"".join(lines[:3] + lines[4:])
        manifest = json.loads(files[MANIFEST])
        manifest["files"]["log/current.ndjson"] = sha256_hex(files["log/current.ndjson"])
        files[MANIFEST] = canonical_json(manifest)

    assert any("log is broken" in problem for problem in check_pack(changed(packs[NORTH], tmp_path / "x.zip", cut)).problems)


def test_two_hospitals_that_heard_one_story_agree(packs: dict[str, Path]) -> None:
    """And where one heard another head of the hub's log for a line, the hub told two."""
    checks = tuple(check_pack(path) for path in packs.values())
    assert split_views(checks) == () and lines_in_common(checks) == 3
    assert lines_in_common(checks[:1]) == 0
    number = next(iter(checks[0].hub_heads))
    other = type(checks[1])(**{**vars(checks[1]), "hub_heads": {**checks[1].hub_heads, number: "e" * 64}})
    assert len(split_views((checks[0], other))) == 1


def signed_anew(files: dict[str, bytes], signer: Identity, **manifest: object) -> None:
    """Everything that is there, under a signature that is true."""
    stated = json.loads(files[MANIFEST]) | {"identity": signer.public} | manifest
    stated["files"] = {name: sha256_hex(content) for name, content in files.items() if name not in (MANIFEST, SIGNATURE)}
    files[MANIFEST] = canonical_json(stated)
    files[SIGNATURE] = signer.sign(b"wardround evidence 1\0" + files[MANIFEST]).encode()


def test_a_whole_zip_by_a_stranger_is_not_the_hospitals(packs: dict[str, Path], tmp_path: Path) -> None:
    """Without a decision nothing else in it names the hospital's key but the study: an auditor must not compare digits by eye."""

    def forged(files: dict[str, bytes]) -> None:
        for name in [name for name in files if name.startswith(("decision", "policies/"))]:
            del files[name]
        signed_anew(files, Identity.new())

    check = check_pack(changed(packs[NORTH], tmp_path / "x.zip", forged))
    assert check.problems[0] == "the study lists another key for this hospital, or none"
    assert len(check.problems) == 2 and "an approval that is not in it" in check.problems[1]


def test_evidence_without_a_log_is_none(packs: dict[str, Path], tmp_path: Path) -> None:
    """No line was changed in a log that is not there; nothing is shown by it either."""

    def without(files: dict[str, bytes]) -> None:
        del files["log/current.ndjson"]

    problems = check_pack(changed(packs[NORTH], tmp_path / "x.zip", without)).problems
    assert "there is no line of a log in it" in problems


def test_heads_of_two_hubs_are_no_split_view(packs: dict[str, Path]) -> None:
    """Line 7 of one hub's log is another than line 7 of another hub's."""
    checks = tuple(check_pack(path) for path in packs.values())
    number = next(iter(checks[0].hub_heads))
    other = type(checks[1])(**{**vars(checks[1]), "study": "f" * 64, "hub_heads": {number: "e" * 64}})
    assert split_views((checks[0], other)) == ()


@pytest.mark.parametrize("facts", ["NaN", '"\\ud800"', "[" * 900 + "]" * 900, "9" * 5000])
def test_a_log_that_no_log_writes_is_a_sentence(packs: dict[str, Path], tmp_path: Path, facts: str) -> None:
    """Whoever forges a line must not stop the one who looks."""
    line = f'{{"before":"{"0" * 64}","code":"a","facts":{{"x":{facts}}},"number":1,"text":"","time":""}}\n'.encode()

    def forged(files: dict[str, bytes]) -> None:
        files["log/current.ndjson"] = line

    problems = check_pack(changed(packs[NORTH], tmp_path / "x.zip", forged)).problems
    assert any("no entry of a log" in problem for problem in problems)


def test_a_zip_with_any_bytes_changed_is_refused_or_found_changed(packs: dict[str, Path], tmp_path: Path) -> None:
    """A damaged stream, a name that is no text, another packing: none is a traceback."""
    dice, whole = random.Random(4), packs[NORTH].read_bytes()
    path = tmp_path / "x.zip"
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(dice.choice((1, 1, 3))):
            start = dice.choice((0, len(whole) - 900)) if dice.random() < 0.5 else 0
            content[dice.randrange(start, len(whole))] = dice.randrange(256)
        path.write_bytes(content)
        try:
            assert check_pack(path).site
        except RunError:
            continue


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all"])
def test_what_is_no_evidence_is_refused(tmp_path: Path, content: bytes) -> None:
    """Without a traceback."""
    (path := tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(RunError, match="no evidence"):
        check_pack(path)


@pytest.mark.slow
def test_a_zip_that_would_fill_the_memory_is_refused_unread(tmp_path: Path) -> None:
    """Its directory states the sizes; more than evidence can have is not unpacked."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, b"{}")
        with archive.open("bomb", "w", force_zip64=True) as file:
            for _ in range(600):
                file.write(bytes(1 << 20))
    with pytest.raises(RunError, match="larger than evidence"):
        check_pack(tmp_path / "x.zip")


def test_the_bill_of_materials_is_canonical_in_form() -> None:
    """Auditors read it by machine."""
    bill = json.loads(bill_of_materials())
    assert bill["bomFormat"] == "CycloneDX" and all(one["purl"].startswith("pkg:pypi/") for one in bill["components"])
