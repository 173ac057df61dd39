"""One record at a time, as batch reading makes it, without torch and without polars: for a program that asks a model about one
patient.

    image file (path, bytes) or pixels (array) --decode, size, depth--> uint8 or uint16 --network_input--> 0..1
    mapping column -> raw value                --columns--> float32 features
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.dicom.reading import decode_dicom, full_scale, has_dicom_mark
from wardround.sources.images.image_decoding import Decoded, decode
from wardround.sources.images.pixels import FAULTS, fault, prepared
from wardround.sources.tables.columns import cell_of, prepare_column
from wardround.study.cell_codes import is_left_out, left_out_codes
from wardround.study.contract import ColumnContract, DataContract
from wardround.values.errors import DataError

if TYPE_CHECKING:
    from wardround.sources.molecules.bench import KeptBench

RawImage = str | Path | bytes | NDArray[Any]
RawRow = Mapping[str, Any]


def prepare(contract: DataContract, record: RawImage | RawRow, *, molecules: "KeptBench | None" = None) -> NDArray[Any]:
    """Prepare one record as reading a whole source would.

    Parameters
    ----------
    contract
        The `[data]` section of the study that made the model.
    record
        For images a file's path or bytes (PNG, JPEG, TIFF, NIfTI, DICOM) or pixels (height, width[, 3]) as uint8 or uint16. For
        tables a mapping from column to raw value; None, NaN and the contract's codes mean missing, and other columns are never
        read. For molecules a mapping that holds the column of the SMILES, or the SMILES alone.
    molecules
        Who reads a molecule; left out, a child process that is started for this one.

    Returns
    -------
    NDArray
        What `Records.inputs` holds for the record: uint8 or uint16 pixels, float32 features, or the uint8 fingerprint.
        `network_input` makes a batch of them what the network reads.

    Raises
    ------
    DataError
        Where the record breaks the contract. No message holds a value of the record.
    """
    if contract.kind == "molecule":
        return _prepared_molecule(contract, record, molecules)
    if contract.kind == "table":
        if not isinstance(record, Mapping):
            raise _other_kind(record, "a mapping from column to value")
        return np.concatenate([_prepared_cell(column, record) for column in contract.columns])
    if isinstance(record, Mapping):
        raise _other_kind(record, "an image: a file, its bytes, or an array of pixels")
    image, images = _decoded(contract, record)
    if code := fault(image, images.image):
        raise DataError(FAULTS[code][0], found=f"{image.dtype} of shape {image.shape}", hint=FAULTS[code][1])
    return prepared(image, images.image)


def network_input(contract: DataContract, inputs: NDArray[Any]) -> NDArray[np.float32]:
    """float32 (n, *contract.input_shape) from n prepared records: images become 0..1, channels first; features stay.

    The division is torch's in `training/images/pixels.py`, bit for bit.
    """
    if contract.kind != "image":
        return np.ascontiguousarray(inputs, np.float32)
    pixels = inputs.astype(np.float32) / np.float32(np.iinfo(inputs.dtype).max)
    return np.ascontiguousarray(pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2))


def _other_kind(record: object, expected: str) -> DataError:
    return DataError(
        "The record is not of the kind that the contract says", expected=expected, found=type(record).__name__,
        hint="give the record that the model was made for",
    )  # fmt: skip


def _prepared_molecule(contract: DataContract, record: RawImage | RawRow, bench: "KeptBench | None") -> NDArray[Any]:
    """The numbers (f,) of one molecule. It takes the second in which RDKit starts: a table of many is read as a source."""
    from wardround.sources.molecules.bench import READ, read_molecules

    rules = contract.molecule_rules
    if isinstance(record, Mapping):
        if rules.column not in record:
            raise DataError(f"The record lacks the column {rules.column!r}", expected="SMILES", hint="add it")
        record = cell_of(record[rules.column])
    if not isinstance(record, str):
        raise _other_kind(record, "SMILES, or a mapping with the column of the SMILES")
    word = record.strip()
    molecules = read_molecules([word], rules) if bench is None else bench.read(word)
    if molecules.outcome[0] != READ:
        raise DataError("The SMILES is no molecule that RDKit can read", hint="correct it")
    values: NDArray[Any] = molecules.values[0]
    return values


def _prepared_cell(column: ColumnContract, row: RawRow) -> NDArray[np.float32]:
    """The features (f,) of one cell; the same rules as for a table, cell by cell."""
    if column.name not in row:
        raise DataError(
            f"The record lacks the column {column.name!r}", expected=f"{column.name}, None where its value is not known",
            hint="add it, or correct its name",
        )  # fmt: skip
    cell = cell_of(row[column.name])
    if is_left_out(cell, left_out_codes(column)):
        raise DataError(
            f"Column {column.name!r} has a code for which the contract leaves the record out", hint="fill in the value"
        )
    column_part = prepare_column(column, [cell])
    if column_part.faults:
        raise DataError(column_part.faults[0].text, hint=column_part.faults[0].hint)
    if column_part.missing[0] and column.max_missing == 0:
        raise DataError(
            f"Column {column.name!r} has no value", expected="one: the contract allows none to be missing", hint="fill it in"
        )
    features: NDArray[np.float32] = column_part.features[0]
    return features


def _decoded(contract: DataContract, record: RawImage) -> tuple[NDArray[Any], DataContract]:
    """Pixels, and the contract that holds for them: DICOM arrives at full scale."""
    if isinstance(record, np.ndarray):
        return record, contract
    content = record if isinstance(record, bytes) else _bytes_at(Path(record))
    if not has_dicom_mark(content[:132]):
        return _need(decode(content, contract.image), "PNG, JPEG, TIFF or NIfTI, whole"), contract
    return _need(decode_dicom(content, contract.image.modalities), "one DICOM image, whole"), full_scale(contract)


def _bytes_at(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read", found=error.strerror or "", hint="check the path") from error


def _need(decoded: Decoded, expected: str) -> NDArray[Any]:
    if decoded.pixels is not None:
        return decoded.pixels
    if decoded.problem is not None:
        raise DataError(decoded.problem[1], hint=decoded.problem[2])
    raise DataError("The image cannot be decoded", expected=expected, hint="export it again")
