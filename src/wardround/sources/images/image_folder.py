"""PNG, JPEG, TIFF and NIfTI images in a folder or a zip. Labels, patients and splits come from sub-folders or a manifest.

every file --first bytes, name--> images that are read --known_files--> listed --decode--> records
            `--> told and left out, by reason                            `--> refused, by cause
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.files.candidate import Candidate
from wardround.sources.files.file_tree import LARGEST_FILE, FileTree, open_file_tree
from wardround.sources.files.known_files import MANIFEST, Known, is_manifest, known_files, note_labels, note_manifest
from wardround.sources.files.set_aside import REASONS, REFUSALS, FileAccount, Reason, SetAside
from wardround.sources.images.image_decoding import Decoded, bombs_refused, decode_guarded, fault_named
from wardround.sources.images.picture_kinds import (
    ARCHIVES,
    HEAD_BYTES,
    READ_KINDS,
    SUFFIXES,
    TABLE_SUFFIXES,
    UNREAD_KINDS,
    UNREAD_SUFFIXES,
    kind_of,
    suffix_of,
)
from wardround.sources.images.pixels import FAULTS, empty_stack, fault, prepared, prepared_padding
from wardround.sources.places import Place
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.progress import tell
from wardround.sources.read_result import Labels, ReadResult, Values, collect
from wardround.sources.reader import Reader
from wardround.sources.reading_threads import in_threads, spare_threads
from wardround.study.contract import DataContract
from wardround.study.label import Target


def read_image_folder(
    path: Path, contract: DataContract, labels: Labels = "required", _values: Values = "prepared"
) -> ReadResult:
    """Every image under a folder or in a zip; raises DataError on a zip or manifest that cannot be read."""
    with open_file_tree(path) as file_tree, bombs_refused():
        names = tuple(name for name in file_tree.names if _is_candidate(name, file_tree))
        beside = path.with_name(MANIFEST) if path.is_file() else None
        listed_files, absent = known_files(file_tree, names, contract, beside, labels)
        counter = ProblemCounter("of the images in name order")
        note_manifest(counter, absent, names, listed_files, present=_all_names(file_tree))
        note_labels(counter, listed_files, contract)
        return read_listed(
            file_tree,
            names,
            listed_files,
            contract,
            counter,
            lambda content, _: decode_guarded(content, contract.image),
            labels,
            threads=spare_threads(),
        )


def _is_candidate(name: str, file_tree: FileTree) -> bool:
    """Whether a file is an image to read: its name promises one, or else its first bytes are one."""
    if suffix_of(name) in SUFFIXES:
        return True
    return not is_manifest(name) and kind_of(file_tree.read(name, HEAD_BYTES) or b"") in READ_KINDS


def _all_names(file_tree: FileTree) -> tuple[str, ...]:
    return (*file_tree.names, *(spot.name for spot in file_tree.aside))


@dataclass(frozen=True)
class _Job:
    """A file with a usable label, its content, and its size, which may be the reason why it has no content."""

    file: Known
    outcome: Target | None
    content: bytes | None
    size: int = 0


@dataclass(frozen=True)
class _Done:
    """image: prepared; None where the file is refused, for `problem`, or because it is corrupt. doubts: of an image in use.
    padding: as in ReadResult."""

    job: _Job
    image: NDArray[Any] | None = None
    size: tuple[int, int] = (0, 0)
    patient: str = ""
    problem: tuple[str, str, str] | None = None
    doubts: tuple[tuple[str, str, str], ...] = ()
    padding: NDArray[np.uint8] | None = None


def read_listed(
    file_tree: FileTree,
    names: tuple[str, ...],
    listed_files: list[Known],
    contract: DataContract,
    counter: ProblemCounter,
    decode_file: Callable[[bytes, Known], Decoded],
    labels: Labels = "required",
    *,
    threads: int = 1,
    headers_name_patients: bool = False,
) -> ReadResult:
    """Decode, check and prepare the known files; what cannot be used is left out and noted in the counter.

    Every other file of the tree is noted, too, unless the counter names it already. threads: above 1 where `decode_file` may run
    in several at once. headers_name_patients: each file says by itself whose it is, as a row of a table does.
    """
    told = _told(file_tree, names, counter)
    aside = [*file_tree.aside, *_others(file_tree, names, told)]
    note_set_aside(counter, aside)
    stack = empty_stack(len(listed_files), contract.image)
    position_of = {name: position for position, name in enumerate(names, 1)}
    images = _Used()
    jobs = _jobs(file_tree, listed_files, position_of, contract, counter, labels)
    for done in in_threads(lambda job: _finished(job, contract, decode_file), jobs, threads):
        spot = Place(position_of[done.job.file.name], done.job.file.name)
        for doubt in done.doubts:
            counter.warning(*doubt, spot)
        if done.problem is not None:
            counter.error(*done.problem, spot)
        elif done.image is None:
            counter.unreadable(spot)
        else:
            stack[len(images.files)] = done.image
            images.add(done, counter.split(done.job.file.split, replace(spot, value=done.job.file.split)))
    used = images.files
    read_result = collect(
        stack[: len(used)],
        images.outcomes,
        patients=[file.patient for file in used] if headers_name_patients else patients_of(used, names, counter),
        declared=images.splits,
        sites=[file.site for file in used],
        originals=images.sizes,
        problems=counter.problems(),
        names=[file.name for file in used],
    )
    account = _account(file_tree, names, listed_files, len(used), aside, told)
    return replace(read_result, account=account, padding=images.padding)


@dataclass
class _Used:
    files: list[Known] = field(default_factory=list)
    outcomes: list[Target | None] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    padding: dict[str, NDArray[np.uint8]] = field(default_factory=dict)

    def add(self, done: _Done, split: str) -> None:
        self.files.append(replace(done.job.file, patient=done.patient or done.job.file.patient))
        self.outcomes.append(done.job.outcome)
        self.splits.append(split)
        self.sizes.append(done.size)
        if done.padding is not None:
            self.padding[done.job.file.name] = done.padding


def _jobs(
    file_tree: FileTree,
    listed_files: list[Known],
    position_of: dict[str, int],
    contract: DataContract,
    counter: ProblemCounter,
    labels: Labels,
) -> Iterator[_Job]:
    """The files in name order, read when they are asked for; those without a usable label are noted and passed over."""
    for at, file in enumerate(listed_files, 1):
        tell("images", at, len(listed_files))
        outcome = contract.label.judge(file.label)
        if outcome is None and (labels == "required" or file.label):
            counter.unknown_label(Place(position_of[file.name], file.name, value=file.label), labels)
        if outcome is not None or labels == "optional":
            content = file_tree.read(file.name)
            yield _Job(file, outcome, content, file_tree.size(file.name) if content is None else 0)


def _finished(job: _Job, contract: DataContract, decode_file: Callable[[bytes, Known], Decoded]) -> _Done:
    if job.content is None:
        return _Done(job, problem=fault_named("too-large-file") if job.size > LARGEST_FILE else None)
    decoded = decode_file(job.content, job.file)
    image = decoded.pixels
    light = replace(job, content=None)
    if image is None:
        return _Done(light, problem=decoded.problem)
    if code := fault(image, contract.image):
        return _Done(light, problem=(code, *FAULTS[code]))
    size = (image.shape[0], image.shape[1])
    padding = None if decoded.padding is None else np.packbits(prepared_padding(decoded.padding, contract.image))
    return _Done(light, prepared(image, contract.image), size, decoded.patient, doubts=decoded.doubts, padding=padding)


def _told(file_tree: FileTree, names: tuple[str, ...], counter: ProblemCounter) -> dict[str, str]:
    """The files besides `names` of which the reader has spoken itself, and by which code."""
    codes = counter.told_files()
    taken = set(names)
    return {name: codes[name] for name in file_tree.names if name in codes and name not in taken and not is_manifest(name)}


def _others(file_tree: FileTree, names: tuple[str, ...], told: dict[str, str]) -> Iterator[SetAside]:
    """The files that can be read and are not among `names`, each with the reason; manifests have none to tell."""
    taken = {*names, *told}
    for name in file_tree.names:
        if name not in taken and not is_manifest(name):
            yield SetAside(name, reason_of(name, file_tree.read(name, HEAD_BYTES) or b""))


def reason_of(name: str, head: bytes) -> Reason:
    """Why a file that is no record of its source is left out, by its first bytes and its name."""
    kind = kind_of(head)
    if kind in READ_KINDS | UNREAD_KINDS or (not kind and suffix_of(name) in UNREAD_SUFFIXES):
        return "unread-kind"
    if suffix_of(name) in TABLE_SUFFIXES:
        return "table"
    return "archive" if kind in ARCHIVES else "other-file"


def note_set_aside(counter: ProblemCounter, aside: list[SetAside]) -> None:
    """Each reason is one problem, with the files as its places."""
    for spot in aside:
        level, text, hint = REASONS[spot.reason]
        counter.problem(level, spot.reason, text, hint, Place(file=spot.name, value=spot.other or None))


def _account(
    file_tree: FileTree,
    names: tuple[str, ...],
    listed_files: list[Known],
    read: int,
    aside: list[SetAside],
    told: dict[str, str],
) -> FileAccount:
    unused: Counter[str] = Counter(spot.reason for spot in aside if spot.reason not in REFUSALS)
    unused.update(told.values())
    unused["unlisted"] = len(names) - len(listed_files)
    unused["manifest"] = sum(is_manifest(name) for name in file_tree.names)
    refused = sum(spot.reason in REFUSALS for spot in aside) + len(listed_files) - read
    walked = len(file_tree.names) + len(file_tree.aside)
    return FileAccount(walked, read, refused, {reason: count for reason, count in sorted(unused.items()) if count})


def patients_of(used: list[Known], names: tuple[str, ...], counter: ProblemCounter) -> list[str] | None:
    """The patients where every file names one, None where none does; a mixture is a problem."""
    bare = [file.name for file in used if not file.patient]
    if used and not bare:
        return [file.patient for file in used]
    if len(bare) < len(used):
        at = {name: position for position, name in enumerate(names, 1)}
        for name in bare:
            text = "Some images name a patient and others do not"
            counter.error("patient-absent", text, "name the patient of every image", Place(at[name], name))
    return None


def holds_images(candidate: Candidate) -> bool:
    """A folder or a zip with an image in it that is read, or has the name of one."""
    readable_names = () if candidate.file_tree is None else candidate.file_tree.names
    if any(suffix_of(name) in SUFFIXES for name in readable_names):
        return True
    return any(kind_of(head) in READ_KINDS for _, head in candidate.heads(HEAD_BYTES))


def holds_unread_images(candidate: Candidate) -> bool:
    """A folder or a zip with an image in it of a kind that is not read: its reader says so."""
    return any(kind_of(head) in UNREAD_KINDS - _OF_OTHERS for _, head in candidate.heads(HEAD_BYTES))


_OF_OTHERS = frozenset({"DICOM", "NumPy"})

READER = Reader("images", "image", "PNG, JPEG, TIFF or NIfTI", frozenset({".zip"}), holds_images, read_image_folder)
