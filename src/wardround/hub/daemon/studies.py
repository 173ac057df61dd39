"""The studies that were handed to a hub: one folder each, written once, and looked at again before each step.

    study.toml --fitted: names, keys, noise--> Study --submit--> studies/HASH/ --StudyFolder--> the service

What hospitals approve is the study's hash. What the machine does besides is in the run settings. Both are noted when the study is
submitted, and a folder that holds something else later is refused.
"""

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from wardround.hub.daemon.home import HubHome
from wardround.hub.daemon.members import Roster
from wardround.hub.daemon.study_state import AT_WORK, SiteStanding, StudyState, now_ms
from wardround.plan.evaluated_model import EVALUATED, evaluated_in, require_arrays, require_model_of
from wardround.plan.permission import Permission
from wardround.plan.plan import Plan
from wardround.plan.pricing import with_noise
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.study.run_settings import RunSettings, parse_run, run_file_of
from wardround.study.writing import to_toml
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError, StudyError
from wardround.values.ids import SiteId
from wardround.values.private_files import make_private, read_private
from wardround.wire.messages import Hash, Header

STUDY, SUBMISSION, STATE, WISH, RUN = "study.toml", "submission.json", "state.json", "wish.json", "run"
HASH_DIGITS = 64
_LONGEST = 1 << 24
Kind = TypeVar("Kind", bound=Header)


class Submission(Header):
    """What was submitted. study_toml, run_toml: hashes of the two files. at: milliseconds since 1970. lead: who answers for it.
    synthetic: whether its records are of no patient, as whoever submitted it says."""

    version: Literal[1] = 1
    study: Hash
    study_toml: Hash
    run_toml: Hash
    at: int
    lead: str = ""
    synthetic: bool = False


class Wish(Header):
    """What a person said last about a study. number: greater than that of every wish before."""

    wish: Literal["stop", "resume"]
    number: int


def fitted(study: Study, roster: Roster) -> Study:
    """The study as hospitals are asked to approve it: with names and keys from the roster, and its noise worked out.

    A study that names no hospital is for all of the roster. StudyError where one is not enrolled, or under another key."""
    enrolled = roster.confirmed()
    names = tuple(sorted(study.sites.names)) or tuple(sorted(map(str, enrolled)))
    missing = [name for name in names if SiteId(name) not in enrolled]
    if missing or not names:
        raise StudyError(
            "The study names hospitals that are not enrolled at this hub" if missing else "No hospital is enrolled at this hub",
            expected=", ".join(sorted(map(str, enrolled))) or "one that was confirmed",
            found=", ".join(missing) or "none",
            hint=f"wardround hub invite {missing[0] if missing else 'NAME'}",
        )
    keys = {name: enrolled[SiteId(name)].identity for name in names}
    if other := sorted(name for name, key in study.sites.keys.items() if keys.get(name) != key):
        raise StudyError(
            f"The study states another key for {', '.join(other)} than the roster",
            hint="leave sites.keys out, and they are filled in; or ask the hospital whether it joined anew",
        )
    if study.summation.mode == "masked":
        study.quorum_of(names)  # said as it is, not as a fault of a changed study
    whole = with_noise(study.revised(sites={"names": names, "keys": keys}))
    _ = list(Permission(Plan(whole)))  # refused here, not at the first order
    return whole


def submit(
    home: HubHome,
    study: Study,
    settings: RunSettings,
    *,
    lead: str = "",
    synthetic: bool = False,
    model: bytes | None = None,
) -> tuple["StudyFolder", bool]:
    """Hands a fitted study to the hub; whether it is new. The same study again is the one that is there.

    model: the file of the finished model, of a study that evaluates only. It is copied, so that the run settings need not say
    where it lay. StudyError where it is another, or where the same study was submitted with other run settings."""
    _require_model(study, model)
    folder = StudyFolder(home.study(study.hash))
    run_toml = settings.without_model().to_toml().encode()
    if folder.path.exists():
        if folder.submission.run_toml != sha256_hex(run_toml):
            raise StudyError(
                f"The study {study.hash[:12]} was submitted already, with other run settings",
                expected=str(run_file_of(folder.path / STUDY)),
                hint="resubmit it with those; a study whose setting differs in anything is another one",
            )
        return folder, False
    submission = Submission(
        study=study.hash,
        study_toml=sha256_hex(to_toml(study).encode()),
        run_toml=sha256_hex(run_toml),
        at=now_ms(),
        lead=lead[:500],
        synthetic=synthetic,
    )
    _write_new(home, folder.path, study, run_toml, submission, model)
    home.log.append(
        "submitted",
        f"The study {study.question.title!r} was submitted.",
        study=study.hash,
        run_settings=sha256_hex(run_toml),
        hospitals=list(study.sites.names),
        **({} if model is None else {"model": sha256_hex(model)}),
    )
    return folder, True


def _require_model(study: Study, model: bytes | None) -> None:
    if not study.evaluates_only:
        return
    if model is None:
        raise StudyError(
            "The study evaluates a finished model, and none was handed over with it",
            expected=f"a model with the hash {study.evaluation.model}",
            hint="wardround hub run STUDY --model MODEL",
        )
    evaluated = evaluated_in(model, "the model")
    require_model_of(study, evaluated)
    require_arrays(Plan(study), evaluated.arrays)


def _write_new(home: HubHome, path: Path, study: Study, run_toml: bytes, submission: Submission, model: bytes | None) -> None:
    """The whole folder or none."""
    state = StudyState(study=study.hash, since=now_ms(), sites=dict.fromkeys(study.sites.names, SiteStanding()))
    part = home.studies / f".{study.hash}.{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    make_private(part)
    write_atomic(part / STUDY, to_toml(study).encode(), private=True)
    write_atomic(run_file_of(part / STUDY), run_toml, private=True)
    write_atomic(part / SUBMISSION, _bytes_of(submission), private=True)
    write_atomic(part / STATE, _bytes_of(state), private=True)
    if model is not None:
        make_private(part / RUN)
        write_atomic(part / RUN / EVALUATED, model, private=True)
    try:
        part.rename(path)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        if not path.exists():
            raise


@dataclass(frozen=True)
class StudyFolder:
    """One submitted study. Its methods read the disk each time; RunError where a file is not as it was written."""

    path: Path

    @property
    def hash(self) -> str:
        return self.path.name

    @property
    def run(self) -> Path:
        return self.path / RUN

    @property
    def submission(self) -> Submission:
        submission = self._read(SUBMISSION, Submission)
        if submission.study != self.hash:
            raise _changed(self.path / SUBMISSION)
        return submission

    def study(self) -> Study:
        """The study that was submitted. RunError where the file holds another."""
        content = self._unchanged(self.path / STUDY, self.submission.study_toml)
        study = parse_study(content.decode(), str(self.path / STUDY))
        if study.hash != self.hash:
            raise _changed(self.path / STUDY)
        return study

    def settings(self) -> RunSettings:
        """The run settings that it was submitted with. RunError where the file holds others."""
        path = run_file_of(self.path / STUDY)
        return parse_run(self._unchanged(path, self.submission.run_toml).decode(), str(path))

    @property
    def state(self) -> StudyState:
        state = self._read(STATE, StudyState)
        if state.study != self.hash:
            raise _changed(self.path / STATE)
        return state

    def keep(self, state: StudyState) -> None:
        """Writes the state, durably. Only the process that has the hub's lock does so."""
        write_atomic(self.path / STATE, _bytes_of(state), private=True)

    @property
    def wish(self) -> Wish | None:
        """What a person said last, obeyed or not."""
        return self._read(WISH, Wish) if (self.path / WISH).exists() else None

    def say(self, wish: Literal["stop", "resume"]) -> None:
        """Notes what a person wants. The service, in whatever process, obeys within a second or two."""
        before = self.wish
        number = max(time.time_ns(), 0 if before is None else before.number + 1)
        write_atomic(self.path / WISH, _bytes_of(Wish(wish=wish, number=number)), private=True)

    def _read(self, name: str, kind: type[Kind]) -> Kind:
        content = read_private(self.path / name, _LONGEST)
        try:
            if content is None:
                raise ValueError("no file")
            return kind.model_validate_json(content)
        except (ValidationError, ValueError) as error:
            raise RunError(
                f"{self.path / name} is damaged",
                hint=f"bring it back from a backup; or move the study's folder away and submit it anew: mv '{self.path}' AWAY",
            ) from error

    def _unchanged(self, path: Path, sha256: str) -> bytes:
        content = read_private(path, _LONGEST)
        if content is None or sha256_hex(content) != sha256:
            raise _changed(path)
        return content


def folders(home: HubHome) -> tuple[StudyFolder, ...]:
    """Every submitted study, oldest first; folders of other names are none."""
    paths = [path for path in home.studies.glob("*") if len(path.name) == HASH_DIGITS and (path / SUBMISSION).exists()]
    paths.sort(key=lambda path: ((path / SUBMISSION).stat().st_mtime_ns, path.name))
    return tuple(map(StudyFolder, paths))


def find(home: HubHome, start: str) -> StudyFolder:
    """The only study whose hash begins so, or whose title is this; of several with one title, the only one at work. StudyError
    where there is none, or more than one."""
    everyone = folders(home)
    matching = [one for one in everyone if start and one.hash.startswith(start.lower())]
    if not matching:
        matching = [one for one in everyone if _title(one).casefold() == start.casefold()]
        if len(matching) > 1:
            matching = [one for one in matching if one.state.phase in AT_WORK] or matching
    if len(matching) != 1:
        raise StudyError(
            f"{'No study' if not matching else 'More than one study'} of this hub begins with {start!r}",
            expected=", ".join(one.hash[:12] for one in everyone[-5:]) or "a study that was submitted",
            hint="look at the list with `wardround hub status`, and name the first letters of its hash",
        )
    return matching[0]


def _title(folder: StudyFolder) -> str:
    try:
        return folder.study().question.title
    except (RunError, StudyError):
        return ""


def _bytes_of(value: Header) -> bytes:
    return canonical_json(json.loads(value.model_dump_json()))


def _changed(path: Path) -> RunError:
    return RunError(
        f"{path} is not what was submitted",
        hint="bring it back from a backup; or submit the study anew, so that all hospitals approve what it is now",
    )
