"""Whether a hospital's evidence is what it signed, looked at offline: nothing but the zip is needed, and nothing in it is run.

zip --limits--> files --manifest: hashes, signature--> study: hash   decision: signature, facts   log: chain   ledger: chain
two zips of one study --heads of the hub's log--> one view, or a split one
"""

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from wardround.crypto.identity import signed_by
from wardround.evidence.pack import LOG, MANIFEST, SIGNATURE, SIGNED, STUDY
from wardround.evidence.pack_charges import charges_problem, ledger_problem
from wardround.evidence.pack_decisions import approvals_problem, beforehand_problem, decisions_problem, policies_problem
from wardround.study.reading import parse_study
from wardround.values.canonical import sha256_hex
from wardround.values.chained_log import Entry, follow, read_entries
from wardround.values.errors import RunError, WardroundError

LARGEST_FILE = 1 << 29
MOST_FILES = 10_000


@dataclass(frozen=True)
class PackCheck:
    """site, study, identity: as the manifest states them, and its signature proves. confirmed: what was found true, in words.
    problems: what was not; empty where all is as it was signed. hub_heads: number -> hash, of the hub's log, as the hospital
    heard them."""

    path: Path
    site: str = ""
    study: str = ""
    identity: str = ""
    confirmed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    hub_heads: Mapping[int, str] = field(default_factory=dict)


def check_pack(path: Path) -> PackCheck:
    """Looks at everything in one zip. RunError where it is none of evidence at all."""
    files = files_of(path)
    manifest = manifest_of(path, files)
    confirmed, problems = [], []
    heads: dict[int, str] = {}
    for what, problem in (
        ("the manifest is signed by the hospital's key", signature_problem(files, manifest, SIGNED)),
        (f"{len(manifest['files'])} files are those that were signed", files_problem(files, manifest)),
        ("the study is the one of this hash, and lists this key for this hospital", _study_problem(files, manifest)),
        ("every decision is signed, none is missing, its facts are those behind its hash", decisions_problem(files, manifest)),
        ("the policy of every decision is the one of its hash", policies_problem(files, manifest)),
        ("a policy made the decision beforehand, and the log has it", beforehand_problem(files, manifest)),
        ("what was answered left under an approval that is in it", approvals_problem(files, manifest)),
        ("no line of the log was changed, left out or put in", _log_problem(files, heads)),
        ("no entry of the ledger was changed or left out", ledger_problem(files)),
        ("what was answered of this private study stands in the ledger", charges_problem(files, manifest["study"])),
    ):
        if problem:
            problems.append(problem)
        elif problem is not None:
            confirmed.append(what)
    return PackCheck(path, manifest["site"], manifest["study"], manifest["identity"], tuple(confirmed), tuple(problems), heads)


def split_views(checks: tuple[PackCheck, ...]) -> tuple[str, ...]:
    """Where two hospitals heard different heads of the hub's log for one line: the hub told them different stories."""
    return tuple(_splits(checks))


def lines_in_common(checks: tuple[PackCheck, ...]) -> int:
    """For how many lines of the hub's log two or more hospitals of one study heard a head."""
    return sum(
        len(one.hub_heads.keys() & other.hub_heads.keys()) for one, other in combinations(checks, 2) if one.study == other.study
    )


def _splits(checks: tuple[PackCheck, ...]) -> Iterator[str]:
    for one, other in combinations(checks, 2):
        if one.study != other.study:  # maybe of another hub, whose log has lines of the same numbers
            continue
        both = one.hub_heads.keys() & other.hub_heads.keys()
        different = sorted(number for number in both if one.hub_heads[number] != other.hub_heads[number])
        if different:
            yield f"{one.site} and {other.site} heard different heads of the hub's log, first at its line {different[0]}"


def files_of(path: Path) -> dict[str, bytes]:
    """Every file of the zip, none of them written anywhere. RunError where it is no zip of evidence."""
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
            names = [one.filename for one in listed]
            if any(one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for one in listed):
                raise _no_evidence(path, "it is packed as no evidence is")
            if len(listed) > MOST_FILES or len(set(names)) != len(names):
                raise _no_evidence(path, "too many files, or two of one name")
            if sum(one.file_size for one in listed) > LARGEST_FILE:
                raise _no_evidence(path, "it would be larger than evidence can be")
            return {one.filename: _limited(archive, one, path) for one in listed}
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError) as error:
        raise _no_evidence(path, getattr(error, "strerror", None) or "no zip that can be read") from error


def _limited(archive: zipfile.ZipFile, one: zipfile.ZipInfo, path: Path) -> bytes:
    with archive.open(one) as file:
        content = file.read(one.file_size + 1)
    if len(content) != one.file_size:
        raise _no_evidence(path, "a file has another size than it states")
    return content


def _no_evidence(path: Path, reason: str) -> RunError:
    return RunError(
        f"{path} is no evidence of a hospital",
        found=reason,
        hint="name a file that `wardround evidence STUDY` wrote, or `wardround clinic evidence`",
    )


def manifest_of(path: Path, files: Mapping[str, bytes], names: tuple[str, ...] = ("site", "study")) -> dict[str, Any]:
    """What the manifest says, with these texts in it. RunError where it cannot be read."""
    try:
        manifest = json.loads(files[MANIFEST])
        texts = [manifest[name] for name in (*names, "identity")]
        if not all(isinstance(text, str) and len(text) <= 200 for text in texts) or not isinstance(manifest["files"], dict):
            raise TypeError
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise _no_evidence(path, "no manifest that can be read") from error
    return dict(manifest)


def signature_problem(files: Mapping[str, bytes], manifest: Mapping[str, Any], mark: bytes) -> str:
    """Empty where the manifest is signed by the key that it names."""
    signature = files.get(SIGNATURE, b"").decode("ascii", "replace")
    true = signed_by(manifest["identity"], signature, mark + files[MANIFEST])
    return "" if true else "the manifest is not signed by the key that it names"


def files_problem(files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> str:
    """Empty where every file is as it was signed, and none is missing or more."""
    stated = manifest["files"]
    there = {name: sha256_hex(content) for name, content in files.items() if name not in (MANIFEST, SIGNATURE)}
    wrong = sorted(name for name in stated.keys() | there.keys() if stated.get(name) != there.get(name))
    more = f" and {len(wrong) - 5} more" * (len(wrong) > 5)
    return f"not as they were signed: {', '.join(one[:100] for one in wrong[:5])}{more}" if wrong else ""


def _study_problem(files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> str:
    try:
        study = parse_study(files[STUDY].decode("utf-8"), STUDY)
    except (KeyError, UnicodeDecodeError, WardroundError):
        return f"{STUDY} is missing, or no study of this release"
    if study.hash != manifest["study"]:
        return f"{STUDY} has another hash than the manifest states"
    listed = study.sites.keys.get(manifest["site"])
    return "" if listed == manifest["identity"] else "the study lists another key for this hospital, or none"


def _log_problem(files: Mapping[str, bytes], heads: dict[int, str]) -> str:
    parts = [(name, files[name]) for name in sorted(files, key=_log_order) if name.startswith(LOG)]
    checked = follow(parts)
    if checked.problem:
        return f"the log is broken: {checked.problem}"
    if not checked.head.entries:
        return "there is no line of a log in it"
    for _, data in parts:
        for entry in read_entries(data):
            heads |= _hub_head(entry)
    return ""


def _log_order(name: str) -> tuple[bool, str]:
    """Full files by their number, then the current one."""
    return (not Path(name).stem.isdecimal(), name)


def _hub_head(entry: Entry) -> dict[int, str]:
    number, head = entry.facts.get("hub_entries"), entry.facts.get("hub_head")
    return {number: head} if isinstance(number, int) and isinstance(head, str) else {}
