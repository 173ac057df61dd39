"""The files of a simulation's hospitals as sources of their own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.sources.opening import open_source
from wardround.study.contract import ColumnContract, DataContract, ImageContract
from wardround.values.errors import DataError
from wardround.values.records import Records
from wardround.values.records_file import write_records

from .source_conformance import Item, SourceConformance, case, same

CONTRACT = DataContract(kind="image", image=ImageContract(size=(16, 16)))


def records_of(items: list[Item]) -> Records:
    return Records(
        np.stack([item.image() for item in items]),
        np.array([int(item.label) for item in items], np.int8),
        np.array([item.patient for item in items]),
        np.array([item.split for item in items]),
    )


class TestPreparedRecords(SourceConformance):
    def contract(self) -> DataContract:
        return CONTRACT

    def write(self, folder: Path, items: list[Item]) -> Path:
        folder.mkdir(parents=True)
        write_records(folder / "north.npz", records_of(items))
        return folder / "north.npz"

    def raw_records(self, path: Path) -> list[Any]:  # noqa: ARG002
        return []

    def test_a_source_without_labels_can_be_answered_and_not_learned_from(self, tmp_path: Path) -> None:
        """A file of prepared records without its labels is damaged: nobody ever wrote one."""
        path = tmp_path / "north.npz"
        np.savez(path, inputs=records_of(case()).inputs, patients=[i.patient for i in case()], splits=[""] * 60)
        with pytest.raises(DataError):
            open_source(path, CONTRACT).named()


def test_a_hospital_that_was_divided_off_is_read_as_it_was_written(tmp_path: Path) -> None:
    """`--site north=runs/demo/data/north.npz` must train on what the run trained on."""
    path = TestPreparedRecords().write(tmp_path / "a", case())
    first = open_source(path, CONTRACT).load()
    write_records(tmp_path / "again.npz", first)
    source = open_source(tmp_path / "again.npz", CONTRACT)
    assert source.kind == "records" and source.check().ready()
    assert same(source.load(), first)


@pytest.mark.parametrize(
    "contract",
    [
        pytest.param(DataContract(kind="image", image=ImageContract(size=(32, 32))), id="size"),
        pytest.param(DataContract(kind="image", image=ImageContract(size=(16, 16), kept_bits=16)), id="depth"),
        pytest.param(DataContract(kind="table", columns=(ColumnContract(name="x", range=(0, 1)),)), id="table"),
    ],
)
def test_records_prepared_for_another_contract_are_refused(tmp_path: Path, contract: DataContract) -> None:
    """A network of another size would fail in the middle of a run, or read noise."""
    path = TestPreparedRecords().write(tmp_path / "a", case())
    with pytest.raises(DataError, match="another contract"):
        open_source(path, contract).load()
    assert not open_source(path, contract).check().ready()
