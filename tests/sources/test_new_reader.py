"""A new kind of source is one module and one line: here the module is a test."""

import json
from pathlib import Path
from typing import Any

import pytest

from wardround.sources import opening
from wardround.sources.files.candidate import Candidate
from wardround.sources.read_result import Labels, ReadResult, Values
from wardround.sources.reader import Reader
from wardround.sources.tables.columns import cell_of
from wardround.sources.tables.table import rows_result
from wardround.study.contract import ColumnContract, DataContract

from .source_conformance import Item, SourceConformance


def read_json_lines(path: Path, contract: DataContract, labels: Labels = "required", values: Values = "prepared") -> ReadResult:
    """One object a line."""
    from wardround.values.errors import DataError

    try:
        rows = [dict(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    except (ValueError, TypeError):
        raise DataError("The file is not one JSON object a line", hint="export it again") from None
    names = {name for row in rows for name in row}

    def cells(name: str) -> list[str] | None:
        return [cell_of(row.get(name)) for row in rows] if name in names else None

    def words(name: str) -> list[str] | None:
        return [str(row.get(name) or "").strip() for row in rows] if name in names else None

    return rows_result(len(rows), cells, words, contract, labels, values)


def is_json_lines(candidate: Candidate) -> bool:
    return candidate.head.startswith(b"{")


READER = Reader("json-lines", "table", "JSON lines", frozenset({".jsonl"}), is_json_lines, read_json_lines)


class TestJsonLines(SourceConformance):
    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(opening, "READERS", (READER, *opening.READERS))

    def contract(self) -> DataContract:
        return DataContract(
            kind="table", columns=(ColumnContract(name="x", range=(0, 1)), ColumnContract(name="y", range=(0, 255)))
        )

    def rows(self, items: list[Item]) -> list[dict[str, object]]:
        return [{"patient": i.patient, "x": i.number / 1000, "y": int(i.image()[0, 0])} for i in items]

    def write(self, folder: Path, items: list[Item]) -> Path:
        folder.mkdir(parents=True)
        rows = [row | {"label": i.label, "split": i.split} for row, i in zip(self.rows(items), items, strict=True)]
        (folder / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        return folder / "t.jsonl"

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        folder.mkdir(parents=True)
        (folder / "t.jsonl").write_text("\n".join(json.dumps(row) for row in self.rows(items)))
        return folder / "t.jsonl"

    def raw_records(self, path: Path) -> list[Any]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    def test_the_new_reader_is_the_one_that_reads(self, tmp_path: Path) -> None:
        """Else the table reader, which takes any text, would have answered for it."""
        path = self.write(tmp_path / "a", [Item(1, "p", "1")])
        assert opening.open_source(path, self.contract()).kind == "json-lines"
        assert opening.open_source(path.parent, self.contract()).kind == "json-lines"
