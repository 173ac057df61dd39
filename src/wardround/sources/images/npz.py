"""Images in one .npz file, in either of two layouts. Pickled content is refused: it could run code.

MedMNIST   train_images, train_labels [, train_patient], val_..., test_...       the names declare the splits
flat       images, label [, patient] [, site] [, split]                          names from the contract, or their plurals
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.files.candidate import Candidate
from wardround.sources.files.damage import DAMAGE
from wardround.sources.files.density import require_bearable_zip
from wardround.sources.images.pixels import FAULTS, empty_stack, fault, prepared
from wardround.sources.places import Place
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.read_result import Labels, ReadResult, Values, collect
from wardround.sources.reader import Reader
from wardround.sources.tables.columns import cell_of
from wardround.study.contract import DataContract
from wardround.study.label import JOINT, Target
from wardround.values.errors import DataError

Arrays = Mapping[str, NDArray[Any]]
_MEDMNIST = (("train", "train"), ("val", "validation"), ("test", "test"))
_SPLIT = dict(_MEDMNIST)


@dataclass(frozen=True)
class Beside:
    """What is known of images from elsewhere, each in the order of the file: patients ("" unknown) and words of the label."""

    patients: Sequence[str] | None = None
    labels: Sequence[str] | None = None


def read_npz(
    path: Path,
    contract: DataContract,
    labels: Labels = "required",
    _values: Values = "prepared",
    *,
    beside: Beside | None = None,
) -> ReadResult:
    """Every image of the file; raises DataError where the file is damaged, pickled or in neither layout.

    beside: goes before what the file says itself.
    """
    arrays, unread = _arrays(path, contract)
    counter = ProblemCounter("in the order of the file")
    for name in unread:
        hint = "rename them if they belong to the study; see the layouts of npz in the documentation"
        counter.warning("unread-array", "Arrays of the npz file are not read", hint, Place(file=name))
    parts = [word for word, _ in _MEDMNIST if f"{word}_images" in arrays]
    if parts and _maybe(arrays, "images", "image") is not None:
        raise DataError(
            "The npz file holds images in both layouts",
            found=f"images and {parts[0]}_images",
            hint="keep the arrays of one of them",
        )
    if parts:
        return _medmnist(arrays, parts, beside or Beside(), counter, contract, labels)
    images = _need(arrays, "images", "image")
    count = _length(images)
    cells = _label_cells(_labels(arrays, labels, contract.label.column, "label", "labels"), count, contract)
    patients, sites, splits = (
        None if array is None else _column(array, count)
        for array in (
            _maybe(arrays, contract.patient.column, "patient", "patients"),
            _maybe(arrays, contract.site.column, "site", "sites"),
            _maybe(arrays, "split", "splits"),
        )
    )
    return _gathered([images], cells, patients, splits, sites, counter, contract, labels)


def _medmnist(
    arrays: Arrays,
    parts: list[str],
    beside: Beside,
    counter: ProblemCounter,
    contract: DataContract,
    labels: Labels,
) -> ReadResult:
    """The parts one after the other; their names declare the split. A part without patients leaves its records without one."""
    images = [arrays[f"{word}_images"] for word in parts]
    counts = [_length(stack) for stack in images]
    cells = [
        cell
        for word, count in zip(parts, counts, strict=True)
        for cell in _label_cells(_labels(arrays, labels, f"{word}_labels", f"{word}_label"), count, contract)
    ]
    named = [_maybe(arrays, f"{word}_patient", f"{word}_patients") for word in parts]
    patients = None
    if any(array is not None for array in named):
        columns = [
            np.full(count, "") if array is None else _words(_column(array, count))
            for array, count in zip(named, counts, strict=True)
        ]
        patients = np.concatenate(columns)
    declared = np.concatenate([np.full(count, _SPLIT[word]) for word, count in zip(parts, counts, strict=True)])
    patients = np.array(beside.patients) if beside.patients is not None else patients
    cells = list(beside.labels) if beside.labels is not None else cells
    return _gathered(images, cells, patients, declared, None, counter, contract, labels)


def _arrays(path: Path, contract: DataContract) -> tuple[Arrays, list[str]]:
    """The arrays that may be needed, and the names of the others.

    allow_pickle stays off: an object array raises before any of it is read.
    """
    stems = ("images", "image", "labels", "label", "patient", "patients", "site", "sites", "split", "splits")
    array_names = {*stems, contract.label.column, contract.patient.column, contract.site.column}
    array_names |= {f"{word}_{stem}" for word, _ in _MEDMNIST for stem in stems}
    require_bearable_zip(path)
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            unread = sorted(name for name in file.files if name not in array_names)
            return {name: file[name] for name in file.files if name in array_names}, unread
    except ValueError as error:
        if "allow_pickle" in str(error) or "pickle" in str(error):
            raise DataError(
                "The npz file holds pickled objects, which could run code, and is refused",
                hint="write plain arrays: np.savez(path, images=..., label=...) with numeric or text arrays",
            ) from None
        raise _damaged() from None
    except DAMAGE:
        raise _damaged() from None


def _damaged() -> DataError:
    return DataError(
        "The npz file is damaged or cut short", hint="copy or export it again, and compare its size with the original"
    )


def _maybe(arrays: Arrays, *names: str) -> NDArray[Any] | None:
    """The array of the first name; DataError where two names of one meaning stand side by side and neither is the contract's."""
    present = [name for name in dict.fromkeys(names) if name in arrays]
    stems = {name for name in present if name.removesuffix("s") == names[-1].removesuffix("s")}
    if len(stems) > 1 and present[0] in stems:
        raise DataError(
            "The npz file holds two arrays of one meaning", found=" and ".join(present), hint="keep the one that is right"
        )
    return arrays[present[0]] if present else None


def _need(arrays: Arrays, *names: str) -> NDArray[Any]:
    array = _maybe(arrays, *names)
    if array is None:
        raise DataError(
            "The npz file lacks an array",
            expected=f"{' or '.join(dict.fromkeys(names))}, or the MedMNIST names train_images, train_labels, ...",
            hint="rename the arrays, or say their names in the contract",
        )
    return array


def _labels(arrays: Arrays, labels: Labels, *names: str) -> NDArray[Any] | None:
    return _need(arrays, *names) if labels == "required" else _maybe(arrays, *names)


def _label_cells(array: NDArray[Any] | None, count: int, contract: DataContract) -> list[Any]:
    """The label of each image as it is written; None for all where the file has none. A label of several columns is an array with
    as many, in the order of the contract."""
    width = len(contract.label.columns)
    if array is not None and width > 1 and array.shape == (count, width):
        return [JOINT.join(cell_of(word) for word in row) for row in array.tolist()]
    return [None] * count if array is None else _column(array, count).tolist()


def _column(array: NDArray[Any], count: int) -> NDArray[Any]:
    if array.ndim == 0 or array.size != count or len(array) != count:
        raise DataError(
            "The npz file's arrays do not belong together",
            expected=f"{count} values, one for each image",
            found=f"an array of shape {array.shape}",
            hint="write one label, patient, site and split for each image",
        )
    flat = array.reshape(count)
    if flat.dtype.kind == "S":
        with suppress(UnicodeDecodeError):
            return np.char.decode(flat, "utf-8")
    return flat


def _words(array: NDArray[Any]) -> NDArray[np.str_]:
    """Patients, sites and splits as text; a number that is none names nobody."""
    words = array.astype(np.str_)
    return np.where(np.isnan(array), "", words) if array.dtype.kind == "f" else words


def _length(images: NDArray[Any]) -> int:
    if images.ndim == 0:
        raise DataError(
            "The npz file's images are a single number", expected="an array (n, height, width) or (n, height, width, 3)",
            hint="write the images again",
        )  # fmt: skip
    return len(images)


def _gathered(
    stacks: list[NDArray[Any]],
    cells: list[Any],
    patients: NDArray[Any] | None,
    splits: NDArray[Any] | None,
    sites: NDArray[Any] | None,
    counter: ProblemCounter,
    contract: DataContract,
    labels: Labels,
) -> ReadResult:
    kept = empty_stack(sum(len(stack) for stack in stacks), contract.image)
    outcomes: list[Target | None] = []
    rows: list[int] = []
    sizes: list[tuple[int, int]] = []
    position = 0
    for stack in stacks:
        for image in stack:
            position += 1
            code = fault(image, contract.image)
            cell = cells[position - 1]
            outcome = contract.label.judge(cell)
            if code is not None:
                counter.error(code, *FAULTS[code], Place(position))
                continue
            if outcome is None and (labels == "required" or cell_of(cell)):
                counter.unknown_label(Place(position, value=str(cell)), labels)
            if outcome is not None or labels == "optional":
                kept[len(rows)] = prepared(image, contract.image)
                outcomes.append(outcome)
                rows.append(position - 1)
                sizes.append((image.shape[0], image.shape[1]))
    return collect(
        kept[: len(rows)],
        outcomes,
        patients=None if patients is None else _words(patients)[rows].tolist(),
        declared=None if splits is None else [_split(counter, splits, row) for row in rows],
        sites=None if sites is None else _words(sites)[rows].tolist(),
        originals=sizes,
        problems=counter.problems(),
        names=[str(row + 1) for row in rows],
    )


def _split(counter: ProblemCounter, splits: NDArray[Any], row: int) -> str:
    word = str(splits[row])
    return counter.split(word, Place(row + 1, value=word))


def is_npz(candidate: Candidate) -> bool:
    """A zip of .npy members. A damaged zip goes by its name, and its reader tells of the damage."""
    if candidate.members is None:
        return candidate.is_zip and candidate.path.suffix.casefold() == ".npz"
    return any(name.endswith(".npy") for name in candidate.members)


READER = Reader("npz", "image", "npz", frozenset({".npz"}), is_npz, read_npz)
