"""The readiness report on the data page is one that the program prints."""

import io
from pathlib import Path

from rich.console import Console

from wardround.sources import open_source
from wardround.sources.readiness.rendering import render_rich
from wardround.study.contract import ColumnContract, DataContract, LabelContract

from .pages import read

CONTRACT = DataContract(
    kind="table",
    label=LabelContract(column="disease"),
    columns=(
        ColumnContract(name="age", unit="years", range=(18, 110)),
        ColumnContract(name="bp", unit="mmHg", range=(60, 260)),
        ColumnContract(name="pain", kind="category", categories=(1, 2, 3, 4)),
        ColumnContract(name="male", kind="binary"),
    ),
)


def test_the_example_is_what_the_program_prints(tmp_path: Path) -> None:
    """A data manager holds the page beside the terminal."""
    rows = [f"p{k},{40 + k},{(120 + k) / 7.5006:.1f},{1 + k % 4},{k % 2},{k * 7 // 3 % 2}" for k in range(30)]
    (tmp_path / "unit.csv").write_text("\n".join(["patient,age,bp,pain,male,disease", *rows]) + "\n")
    printed = io.StringIO()
    Console(file=printed, width=100).print(render_rich(open_source(tmp_path / "unit.csv", CONTRACT).check()))
    shown = "\n".join(f"    {line}".rstrip() for line in printed.getvalue().splitlines())
    assert shown in "\n".join(line.rstrip() for line in read("docs/data.md").splitlines())
