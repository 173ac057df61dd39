"""How each data set of the catalogue becomes records: its files, its hospitals, and the test split its publisher set apart.

A published test split is never part of a hospital's records: it comes back as `external`, for evaluation only. Everything else
is divided by patient, so that published validation images of train patients do no harm.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround.sources.datasets.catalogue import entry, find, is_prepared, verified
from wardround.sources.images.image_folder import read_image_folder
from wardround.sources.images.npz import Beside, read_npz
from wardround.sources.made_records import to_records, to_rows
from wardround.sources.read_result import Labels, ReadResult, Values, joined, part_of, sites_of
from wardround.study.contract import DataContract
from wardround.values.errors import DataError
from wardround.values.records import Records
from wardround.values.rows import Rows

Loader = Callable[[Path, DataContract, Values], ReadResult]


@dataclass(frozen=True)
class Dataset:
    """records: what hospitals may train on, splits assigned. sites: the hospital of each, where the data name one.
    external: the published test split, all "test", patients disjoint from `records`. notes: what was left out, in words. units:
    what of each record is in one split with all that shares it, its patient or its scaffold; None where a split was set apart."""

    name: str
    records: Records
    sites: NDArray[np.str_] | None
    external: Records | None
    notes: tuple[str, ...] = ()
    units: NDArray[np.str_] | None = None


def load_dataset(name: str, contract: DataContract) -> Dataset:
    """The named set under the contract.

    DataError where it is not here, its bytes are not the known ones, or it breaks the contract.
    """
    _require_readable(name)
    read_result = _LOADERS[name](find(name), contract, "prepared")
    if name not in _WITH_EXTERNAL:
        records = to_records(read_result, contract)
        return Dataset(name, records, sites_of(read_result), None, _left_out(read_result), read_result.split_units)
    return _set_apart(name, read_result, contract)


def load_dataset_rows(name: str, contract: DataContract) -> tuple[Rows, NDArray[np.str_] | None]:
    """The rows of the named set as they were measured, and the hospital of each, where the data name one."""
    _require_readable(name)
    if contract.kind != "table":
        raise DataError(f"The data set {name!r} is asked for as a table", found=f'kind = "{contract.kind}"')
    read_result = _LOADERS[name](find(name), contract, "measured")
    return to_rows(read_result, contract), sites_of(read_result)


def _require_readable(name: str) -> None:
    if name not in _LOADERS:
        raise DataError(
            f"The data set {entry(name).name!r} is listed, but Wardround does not read it by name",
            hint="prepare one table or image folder from it and name that as the source",
        )


def _left_out(read_result: ReadResult) -> tuple[str, ...]:
    return (f"{read_result.left_out} records were left out, as the contract says",) if read_result.left_out else ()


def _set_apart(name: str, read_result: ReadResult, contract: DataContract) -> Dataset:
    """The published test split as `external`; its patients may not be in the rest."""
    outer = read_result.declared == "test"
    shared = ~outer & np.isin(read_result.patients, np.unique(read_result.patients[outer]))
    records = to_records(part_of(read_result, ~outer & ~shared, declared=contract.splits.declared), contract)
    kept = part_of(read_result, outer)
    external = Records(kept.inputs, kept.labels, kept.patients, np.full(len(kept), "test", dtype="<U10"))
    left = int(shared.sum())
    notes = (f"{left} images of patients in the published test split were left out of the rest",) if left else ()
    return Dataset(name, records, None, external, notes)


SUBTYPE = "subtype"


def _subtypes(path: Path) -> list[str]:
    """normal, bacteria or virus, of each image in the order of the file; its bytes are verified."""
    with np.load(path, allow_pickle=False) as arrays:
        return [word.partition("-")[0] for part in ("train", "val", "test") for word in arrays[f"{part}_patient"].tolist()]


def _kermany(folder: Path, contract: DataContract, _values: Values) -> ReadResult:
    """The 64-pixel arrays where they are large enough for the study, else the JPEGs of 224.

    Normal, bacterial and viral stand in the column `subtype` of the manifest, and at the head of the arrays' patients.
    """
    if max(contract.image.size) <= 64 and contract.image.channels == 1:
        path = verified(folder, "kermany_cxr", "kermany_cxr_64.npz")
        return read_npz(path, contract, beside=Beside(labels=_subtypes(path)) if contract.label.column == SUBTYPE else None)
    verified(folder, "kermany_cxr", "manifest.csv")
    return read_image_folder(verified(folder, "kermany_cxr", "kermany_cxr_224_jpeg.zip"), contract)


def _pneumoniamnist(folder: Path, contract: DataContract, _values: Values) -> ReadResult:
    """With the patients of the map where it lies beside; an image it does not name is a patient of its own.

    The map counts in the order of the prepared file, which the publisher's does not share.
    """
    path = verified(folder, "pneumoniamnist", "pneumoniamnist.npz")
    if not (folder / "kermany_filename_map.csv").is_file() or not is_prepared(path, "pneumoniamnist"):
        return read_npz(path, contract)
    named: dict[tuple[str, int], str] = {}
    with verified(folder, "pneumoniamnist", "kermany_filename_map.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            named[row["split"], int(row["index"])] = row["patient"]
    counts = (("train", 4708), ("val", 524), ("test", 624))
    patients = [named.get((split, k), "") for split, count in counts for k in range(count)]
    return read_npz(path, contract, beside=Beside(patients=patients))


def _npz_named(name: str) -> Loader:
    file = entry(name).files[0].name
    return lambda folder, contract, _values: read_npz(verified(folder, name, file), contract)


OR_MORE = "1+"


def _heart(folder: Path, contract: DataContract, values: Values) -> ReadResult:
    """Four files, four hospitals. Where grades are asked for, the Hungarian 1 reads "1+": that file holds 0 and 1 alone, and its
    1 is every narrowing that the others grade from 1 to 4."""
    from wardround.sources.tables.table import read_table, table_result

    names = ("cleveland", "hungarian", "switzerland", "va")
    files = {n: verified(folder, "uci_heart_disease", f"processed.{n}.data") for n in names}
    results = {n: read_table(file, contract, _LABELS[values], values) for n, file in files.items() if not _coarse(n, contract)}
    for name in files.keys() - results.keys():
        import polars as pl

        frame = pl.read_csv(files[name], has_header=False, infer_schema=False, new_columns=list(contract.header))
        word = pl.col(contract.label.column).str.strip_chars()
        frame = frame.with_columns(pl.when(word == "1").then(pl.lit(OR_MORE)).otherwise(word).alias(contract.label.column))
        results[name] = table_result(frame, contract, _LABELS[values], values)
    return joined({name: results[name] for name in names})


def _coarse(hospital: str, contract: DataContract) -> bool:
    return hospital == "hungarian" and contract.label.kind == "grades"


def _eicu(folder: Path, contract: DataContract, values: Values) -> ReadResult:
    from wardround.sources.datasets.eicu import read_eicu
    from wardround.sources.tables.table import table_result

    return table_result(read_eicu(lambda file: verified(folder, "eicu_demo", file)), contract, _LABELS[values], values)


def _actg175(folder: Path, contract: DataContract, values: Values) -> ReadResult:
    from wardround.sources.datasets.actg175 import read_actg175
    from wardround.sources.tables.table import table_result

    return table_result(read_actg175(verified(folder, "actg175", "ACTG175.csv")), contract, _LABELS[values], values)


def _brca(folder: Path, contract: DataContract, values: Values) -> ReadResult:
    from wardround.sources.datasets.brca import read_brca
    from wardround.sources.tables.table import table_result

    return table_result(read_brca(lambda file: verified(folder, "fed_tcga_brca", file)), contract, _LABELS[values], values)


def _one_table(name: str) -> Loader:
    """A set that is one table."""
    from wardround.sources.tables.table import read_table

    file = entry(name).files[0].name
    return lambda folder, contract, values: read_table(verified(folder, name, file), contract, _LABELS[values], values)


def _loans(_folder: Path, contract: DataContract, values: Values) -> ReadResult:
    from wardround.sources.synthetic.loans import drawn_loans
    from wardround.sources.tables.table import table_result

    return table_result(drawn_loans(), contract, _LABELS[values], values)


_LABELS: dict[Values, Labels] = {"prepared": "required", "measured": "optional"}
"""What is analysed need not be labelled."""
_LOADERS: dict[str, Loader] = {
    "actg175": _actg175,
    "kermany_cxr": _kermany,
    "pneumoniamnist": _pneumoniamnist,
    **{name: _npz_named(name) for name in ("bloodmnist", "breastmnist", "chestmnist", "dermamnist", "retinamnist")},
    "cxr_multisite": _npz_named("cxr_multisite"),
    "drawn_loans": _loans,
    "eicu_demo": _eicu,
    "fed_tcga_brca": _brca,
    "uci_heart_disease": _heart,
    "uci_wdbc": _one_table("uci_wdbc"),
    **{name: _one_table(name) for name in ("bbbp", "clintox", "esol", "freesolv", "tox21")},
}
_WITH_EXTERNAL = frozenset(
    {"kermany_cxr", "pneumoniamnist", "bloodmnist", "breastmnist", "chestmnist", "dermamnist", "retinamnist"}
)
