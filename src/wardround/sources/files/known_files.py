"""What is known of each file of a folder or a zip: label, patient, split, site.

Without a manifest the sub-folders tell:   [split/] label [/patient] /file       for example train/PNEUMONIA/p17/a.png
A manifest (manifest.csv in the folder or zip, or beside the zip) tells it all:   file,label[,patient][,split][,site]
"""

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wardround.sources.files.file_tree import FileTree
from wardround.sources.places import Place
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.read_result import Labels
from wardround.sources.splitting import split_named
from wardround.study.contract import DataContract
from wardround.study.label import JOINT
from wardround.values.errors import DataError

MANIFEST = "manifest.csv"
_FILE_COLUMNS = ("file", "filename", "path", "image")
LF = b"\n"


@dataclass(frozen=True)
class Known:
    """What is said of one file; empty where nothing is. listed: a manifest says it, not the folders."""

    name: str
    label: str = ""
    patient: str = ""
    split: str = ""
    site: str = ""
    listed: bool = False


def known_files(
    file_tree: FileTree, names: tuple[str, ...], contract: DataContract, beside: Path | None, labels: Labels = "required"
) -> tuple[list[Known], list[Place]]:
    """What is known of each of `names`, in name order, and the manifest lines that name a file which is not there.

    Files that a manifest does not list are left out. `beside`: a manifest outside the zip.
    """
    text = _manifest_text(file_tree, beside)
    if text is None:
        return [_from_folders(name, contract, labels) for name in names], []
    return _from_manifest(text, names, contract, labels)


def note_manifest(
    counter: ProblemCounter,
    absent: list[Place],
    names: tuple[str, ...],
    listed_files: list[Known],
    *,
    present: Sequence[str] = (),
) -> None:
    """Where the list and the files disagree: lines without a file, and files without a line. present: every file there is."""
    whole = {_normal(name) for name in present} if absent else set()
    last = Counter(PurePosixPath(name).name for name in whole)
    stems = {_stem(name) for name in whole}
    for line_place in absent:
        name = _normal(line_place.value or "")
        times = 1 if name in whole else last[name]
        counter.error(*(_SPELLED_OTHERWISE if not times and _stem(name) in stems else _why_absent(times)), line_place)
    for name in sorted(set(names) - {file.name for file in listed_files}):
        text = f"Images are not in {MANIFEST} and were left out"
        counter.warning("unlisted", text, "list them if they belong to the study", Place(file=name))


def note_labels(counter: ProblemCounter, listed_files: Iterable[Known], contract: DataContract) -> None:
    """Where a manifest gives a file another outcome than the folder in which it lies: the manifest is believed."""
    for file in listed_files:
        said = contract.label.judge(file.label) if file.listed else None
        folder = _from_folders(file.name, contract, "optional").label if said is not None else ""
        if folder and contract.label.judge(folder) not in (None, said):
            text = f"{MANIFEST} gives images another outcome than the folder in which they lie"
            hint = f"{MANIFEST} is believed; find out which of the two is right, and move the images or correct their lines"
            counter.warning("label-otherwise", text, hint, Place(file=file.name, value=file.label))


_SPELLED_OTHERWISE = (
    "file-otherwise",
    f"{MANIFEST} names images that are there under another spelling",
    "write each as it is called there, as seen from the folder: upper and lower case, the suffix, the folders before it",
)


def _stem(name: str) -> str:
    """The last part of a name without its suffix, in lower case."""
    return PurePosixPath(name.replace("%2F", "/")).name.rpartition(".")[0].casefold() or PurePosixPath(name).name.casefold()


def _why_absent(times: int) -> tuple[str, str, str]:
    """Why a line of a manifest leads to no image, where so many files have its name."""
    if not times:
        return "file-absent", f"{MANIFEST} names images that are not there", "add the images, or take out their lines"
    if times > 1:
        text = f"{MANIFEST} names files by a last part that several of them have"
        return "file-ambiguous", text, "write the whole path of each, as seen from the folder"
    text = f"{MANIFEST} names files that are not read as images"
    return "file-not-read", text, "see what is said of these files here, or take out their lines"


def _manifest_text(file_tree: FileTree, beside: Path | None) -> bytes | None:
    inside = [name for name in file_tree.names if is_manifest(name)]
    if len(inside) > 1:
        raise DataError(
            f"There is more than one {MANIFEST}",
            found=", ".join(inside[:3]),
            hint=f"join them into one {MANIFEST} in the folder, with file names as seen from there",
        )
    if inside:
        return file_tree.read(inside[0])
    return beside.read_bytes() if beside is not None and beside.is_file() else None


def is_manifest(name: str) -> bool:
    return PurePosixPath(name).name.casefold() == MANIFEST


def _from_folders(name: str, contract: DataContract, labels: Labels) -> Known:
    folders = PurePosixPath(unicodedata.normalize("NFC", name)).parts[:-1]  # macOS writes an accent apart from its letter
    split = next((folder for folder in folders if split_named(folder)), "")
    at = next((k for k, folder in enumerate(folders) if contract.label.judge(folder) is not None), None)
    if at is None:
        # A folder that names no outcome is a wrong label to learn from, and no label at all to one who asks.
        return Known(name, label=folders[-1] if folders and labels == "required" else "", split=split)
    below = [folder for folder in folders[at + 1 :] if folder != split]
    return Known(
        name, label="/".join([folders[at], *_contradicting(folders[at], below, contract)]), patient="/".join(below), split=split
    )


def _contradicting(label: str, below: list[str], contract: DataContract) -> list[str]:
    """Folders below a label that name the other outcome: together they are no label. A number may be a patient's."""
    outcome = contract.label.judge(label)
    words = [folder for folder in below if not folder.strip().isdecimal()]
    return [folder for folder in words if contract.label.judge(folder) not in (None, outcome)]


def _label_columns(columns: Collection[str], contract: DataContract) -> tuple[str, ...]:
    """The columns that hold the label; none where one of them is absent."""
    if len(contract.label.columns) > 1:
        return contract.label.columns if set(contract.label.columns) <= set(columns) else ()
    name = _named(columns, contract.label.column, "label")
    return () if name is None else (name,)


def _label_words(row: Mapping[str, str], columns: tuple[str, ...]) -> str:
    return JOINT.join(row[name] for name in columns)


def _from_manifest(
    text: bytes, names: tuple[str, ...], contract: DataContract, labels: Labels
) -> tuple[list[Known], list[Place]]:
    rows = _manifest_rows(text)
    columns = rows[0][1].keys() if rows else ()
    file, label = _file_column(columns), _label_columns(columns, contract)
    if file is None or (not label and labels == "required"):
        raise DataError(
            f"{MANIFEST} lacks a column",
            expected=f"file and {', '.join(contract.label.columns)}; patient, split and site where they are known",
            hint="add the column, or say its name in the contract",
        )
    patient, split = _named(columns, contract.patient.column, "patient"), _named(columns, "split")
    site = _named(columns, contract.site.column, "site")
    by_name = _lookup(names)
    listed_files: dict[str, Known] = {}
    line_of: dict[str, int] = {}
    absent: list[Place] = []
    for line, row in rows:
        name = by_name.get(_normal(row[file]))
        if name is None:
            absent.append(Place(file=MANIFEST, line=line, column=file, value=row[file]))
        elif name in listed_files:
            raise DataError(
                f"{MANIFEST} lists a file twice",
                found=f"{name} in lines {line_of[name]} and {line}",
                hint="keep one line for each file",
            )
        else:
            line_of[name] = line
            told = {key: row[c].strip() for key, c in (("patient", patient), ("split", split), ("site", site)) if c}
            listed_files[name] = Known(
                name, _label_words(row, label), told.get("patient", ""), told.get("split", ""), told.get("site", ""), True
            )
    return [listed_files[name] for name in sorted(listed_files)], absent


def _manifest_rows(text: bytes) -> list[tuple[int, dict[str, str]]]:
    """Each row with the line on which it ends. DataError for the first cause why the file is no table."""
    try:
        words = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"a letter of another encoding in line {text.count(LF, 0, error.start) + 1}"
        raise DataError(f"{MANIFEST} is not a CSV in UTF-8", found=where, hint="save it as CSV, encoding UTF-8") from None
    reader = csv.DictReader(io.StringIO(words), strict=True, restval="", delimiter=separator_in(words.partition("\n")[0]))
    reader.fieldnames = _column_names(reader.fieldnames or ())
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        for row in reader:
            rows.append((reader.line_num, dict(row)))
    except csv.Error:
        line = rows[-1][0] + 1 if rows else 2
        raise DataError(
            f"{MANIFEST} has a quotation mark that is opened and not closed before the next rows", found=f"line {line}",
            hint="close it, or take it out; inside a cell it is written twice, and the cell in quotes",
        ) from None  # fmt: skip
    if long := [line for line, row in rows if None in row]:
        text_of_lines = f"line {long[0]}" + (f" and {len(long) - 1} more" if len(long) > 1 else "")
        raise DataError(
            f"{MANIFEST} has a line with more cells than its header", found=text_of_lines, hint="quote cells that hold a comma"
        )
    return rows


def _column_names(header: Iterable[str]) -> list[str]:
    """Without spaces around them. DataError where one stands twice, in whatever case: a library would take one of them."""
    names = [name.strip() for name in header]
    times = Counter(name.casefold() for name in names if name)
    twice = [name for name in names if times[name.casefold()] > 1]
    if twice:
        raise DataError(
            f"{MANIFEST} has columns whose name stands twice",
            found=", ".join(map(repr, twice)),
            hint="keep one column of each name; upper and lower case are the same",
        )
    return names


def separator_in(line: str) -> str:
    """The separator of a CSV: the commonest of comma, semicolon, tab and bar in its first line.

    >>> separator_in("file;label"), separator_in("file,label"), separator_in("file")
    (';', ',', ',')
    """
    return max(",;\t|", key=line.count)


def _named(columns: Iterable[str], *names: str) -> str | None:
    """The first of `names` that is a column, in whatever case."""
    present = {column.casefold(): column for column in columns}
    return next((present[name.casefold()] for name in names if name.casefold() in present), None)


def _file_column(columns: Iterable[str]) -> str | None:
    """DataError where several columns might name the file."""
    candidates = [column for column in columns if column.casefold() in _FILE_COLUMNS]
    if len(candidates) > 1:
        raise DataError(
            f"{MANIFEST} has several columns that may name the file",
            found=", ".join(map(repr, candidates)),
            hint="keep the one that does, called file, and give the others other names",
        )
    return candidates[0] if candidates else None


def _lookup(names: tuple[str, ...]) -> dict[str, str]:
    """Files by whole name, and by last part where only one file has it. Nothing outside the listing can be reached."""
    last: dict[str, list[str]] = {}
    for name in names:
        last.setdefault(_normal(PurePosixPath(name).name), []).append(name)
    whole = {_normal(name): name for name in names}
    return {part: full_names[0] for part, full_names in last.items() if len(full_names) == 1} | whole


def _normal(name: str) -> str:
    """A name as lists and files agree on it: macOS keeps an accent apart from its letter, and lists may begin with "./"."""
    return unicodedata.normalize("NFC", PurePosixPath(name.strip().replace("\\", "/")).as_posix())
