"""Under which approval and policy numbers left stays to be seen: after a revocation, after another policy, after both."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wardround.cli.evidence import _files
from wardround.cli.main import app
from wardround.evidence.pack import DECISION, DECISIONS, POLICIES, write_pack
from wardround.evidence.pack_check import check_pack
from wardround.hub.coordinator import Coordinator
from wardround.site.daemon.approvals import DECISIONS as KEPT
from wardround.site.daemon.approvals import kept_files
from wardround.site.daemon.home import SiteHome
from wardround.site.daemon.offers import Offers
from wardround.site.daemon.policy import Policy, load_policy
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.chained_log import Entry
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError

from ..federation.tiny_federation import NAMES
from ..site.daemon.hospitals import DeskEngine, Hospitals
from .test_pack_charges import logged_anew

NORTH = "north"
FIRST, SECOND, THIRD = (f"{DECISIONS}{number:06d}.json" for number in (1, 2, 3))
Files = dict[str, bytes]


def revoked(hospitals: Hospitals, patched: pytest.MonkeyPatch) -> None:
    """By the command that a person runs."""
    home = hospitals.homes[NORTH]
    patched.setattr("wardround.cli.site.studies.own_card", lambda _: hospitals.card(NORTH))
    patched.setattr("wardround.cli.site.studies.offers_of", lambda _: Offers(home, hospitals.card(NORTH)))
    words = ["site", "revoke", hospitals.study.hash[:12], "--by", "Anna Weber", "--home", str(home.path)]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospitals]:
    """A study that has run; then its approval was revoked, and given again under another policy."""
    folder = tmp_path_factory.mktemp("decisions")
    hospitals = Hospitals(folder / "hospitals")
    for name in NAMES:
        hospitals.offered(name)
        hospitals.approve(name)
    coordinator = Coordinator(hospitals.study, DeskEngine(hospitals), folder / "run")
    coordinator.run()
    coordinator.close()
    with pytest.MonkeyPatch.context() as patched:
        revoked(hospitals, patched)
    write_atomic(hospitals.homes[NORTH].policy_file, b"smallest_patients = 1\n", private=True)
    hospitals.approve(NORTH)
    yield hospitals
    hospitals.close()


@pytest.fixture(scope="module")
def files(ward: Hospitals) -> Files:
    return _files(ward.homes[NORTH], ward.study.hash)


def problems(ward: Hospitals, path: Path, files: Files) -> tuple[str, ...]:
    """What is found in evidence that the hospital itself signed."""
    write_pack(path, NORTH, ward.study.hash, files, ward.homes[NORTH].identity)
    return check_pack(path).problems


@pytest.mark.slow
def test_every_decision_and_every_policy_stays(ward: Hospitals, files: Files, tmp_path: Path) -> None:
    """The approval under which numbers left was overwritten by its revocation, and its policy by the next one."""
    statements = [json.loads(files[name])["signed"]["statement"] for name in (FIRST, SECOND, THIRD)]
    assert [one["decision"] for one in statements] == ["approved", "revoked", "approved"]
    assert files[DECISION] == files[THIRD]
    first, last = Policy(), Policy(smallest_patients=1)
    assert statements[0]["policy"] == first.hash != statements[2]["policy"] == last.hash
    assert json.loads(files[f"{POLICIES}{first.hash}.json"])["smallest_patients"] == 30
    assert files[f"{POLICIES}{last.hash}.json"] == last.rules
    assert problems(ward, tmp_path / "x.zip", files) == ()
    confirmed = " ".join(check_pack(tmp_path / "x.zip").confirmed)
    assert "policy of every decision" in confirmed and "left under an approval" in confirmed


def without(*names: str, **more: bytes) -> Callable[[Files], Files]:
    return lambda files: {name: content for name, content in files.items() if name not in names} | more


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without(SECOND), "missing: their numbers have a gap"),
        (without(FIRST), "missing: their numbers have a gap"),
        (without(THIRD), "not the last one"),
        (without(DECISION), "not the last one"),
        (lambda files: without(SECOND, THIRD)(files) | {DECISION: files[FIRST]}, "was revoked, and that decision is missing"),
        (lambda files: files | {SECOND: files[FIRST].replace(b'"approved"', b'"refused"')}, "not signed"),
        (lambda files: files | {FIRST: files[FIRST].replace(b'"radiology"', b'"oncology"')}, "facts are not those"),
        (lambda files: files | {FIRST: b"[]"}, "cannot be read"),
        (lambda files: files | {FIRST: b'{"signed":{},"facts":7}'}, "cannot be read"),
        (without(f"{POLICIES}{Policy().hash}.json"), "under which decisions/000001.json was approved, is not in it"),
        (
            lambda files: files | {f"{POLICIES}{Policy().hash}.json": Policy(cores=1).rules},
            "another policy than the one of this hash",
        ),
        (lambda files: files | {f"{POLICIES}none.json": b"{}"}, "another policy than the one of this hash"),
    ],
)
def test_a_decision_or_policy_that_is_missing_or_another_is_told(
    ward: Hospitals, files: Files, tmp_path: Path, change: Callable[[Files], Files], said: str
) -> None:
    """A hospital that signs everything anew cannot make an approval of a revocation, nor another rule of a rule."""
    found = problems(ward, tmp_path / "x.zip", change(files))
    assert any(said in problem for problem in found), found


def test_an_answer_without_its_approval_is_told(ward: Hospitals, files: Files, tmp_path: Path) -> None:
    """Each line of an answer names the approval that was looked at before it left."""
    second = sha256_hex(b"wardround approval 1\0" + canonical_statement(files[SECOND]))

    def naming(approval: str) -> Files:
        def named(entry: Entry) -> Entry:
            return replace(entry, facts={**entry.facts, "approval": approval}) if "approval" in entry.facts else entry

        return logged_anew(files, named)

    (stranger,) = problems(ward, tmp_path / "a.zip", naming("0" * 64))
    (after,) = problems(ward, tmp_path / "b.zip", naming(second))
    assert "an approval that is not in it" in stranger and "was revoked" in after


def canonical_statement(decision: bytes) -> bytes:
    return canonical_json(json.loads(decision)["signed"]["statement"])


def test_a_decision_in_force_that_was_removed_leaves_the_kept_ones_in_the_evidence(ward: Hospitals, tmp_path: Path) -> None:
    """As the mend for a changed one says. What was decided before is no less true; a file that is none is named."""
    home = ward.homes[NORTH]
    folder = home.study(ward.study.hash)
    shutil.copytree(home.path, tmp_path / "copy")
    copy = SiteHome(tmp_path / "copy")
    (copy.study(ward.study.hash) / DECISION).unlink()
    files = _files(copy, ward.study.hash)
    assert [name for name in files if name.startswith("decision")] == [FIRST, SECOND, THIRD]
    assert any("not the last one" in problem for problem in problems(ward, tmp_path / "x.zip", files))
    kept_files(copy.study(ward.study.hash))[1].write_text("{}")
    with pytest.raises(RunError, match=r"000002\.json was not signed"):
        _files(copy, ward.study.hash)
    assert (folder / DECISION).exists()


def test_a_decision_that_an_earlier_release_kept_alone_is_the_first(tmp_path: Path) -> None:
    """It had one file, which the next decision replaced."""
    hospitals = Hospitals(tmp_path / "hospitals")
    hospitals.offered(NORTH)
    hospitals.approve(NORTH)
    home, study = hospitals.homes[NORTH], hospitals.study.hash
    folder = home.study(study)
    shutil.rmtree(folder / KEPT)
    shutil.rmtree(folder / "policies")
    before = (folder / DECISION).read_bytes()
    assert problems(hospitals, tmp_path / "old.zip", _files(home, study)) == ()  # today's policy is the one that it names
    with pytest.MonkeyPatch.context() as patched:
        revoked(hospitals, patched)
    assert [path.name for path in kept_files(folder)] == ["000001.json", "000002.json"]
    assert kept_files(folder)[0].read_bytes() == before
    assert problems(hospitals, tmp_path / "new.zip", _files(home, study)) == ()
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*"))
    assert load_policy(home.policy_file).hash == Policy().hash
    hospitals.close()
