"""A hospital's mapping stays at the hospital: of it, its SHA-256 is known elsewhere, and nothing else."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import wardround as wr
from tests.simulation.small_study import write_hospitals, write_study
from wardround.engines.local.engine import InOrder
from wardround.sources.mapping.sections import KeptMapping, load_mapping
from wardround.sources.opening import FileSource, open_source
from wardround.sources.readiness.rendering import render
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.values.errors import EngineError

PRESSURE = ColumnContract(name="pressure", range=(60, 200))
SMOKER = ColumnContract(name="smoker", kind="binary")
STAY = ColumnContract(name="stay", range=(0, 400), max_missing=0.9)
CONTRACT = DataContract(kind="table", columns=(PRESSURE, SMOKER, STAY), label=LabelContract(name="ill", column="ill"))

MAPPING = """
[source]
decimal = ","
separator = ";"
[[columns]]
name = "pressure"
from = "MARKER-RR"
unit_column = "MARKER-UNIT"
units = { "MARKER-kpa" = 7.5, "MARKER-mm" = 1.0 }
[[columns]]
name = "smoker"
from = "MARKER-RAUCHER"
codes = { "MARKER-ja" = 1, "MARKER-nein" = 0 }
[[columns]]
name = "stay"
from = "MARKER-END"
minus = "MARKER-BEGIN"
date_format = "%d.%m.%Y"
[patient]
from = "MARKER-PATNR"
[label]
from = "MARKER-KRANK"
codes = { "MARKER-j" = 1, "MARKER-n" = 0 }
"""
HEADER = ["MARKER-PATNR", "MARKER-RR", "MARKER-UNIT", "MARKER-RAUCHER", "MARKER-BEGIN", "MARKER-END", "MARKER-KRANK"]


def rows(count: int = 40) -> list[list[str]]:
    """Rows that the mapping explains."""
    return [
        [
            f"MARKER-{k}", f"{110 + k},5", "MARKER-mm", ("MARKER-ja", "MARKER-nein")[k % 2], "01.02.2020",
            f"{2 + k % 9:02d}.02.2020", ("MARKER-j", "MARKER-n")[k * 7 // 3 % 2],
        ]
        for k in range(count)
    ]  # fmt: skip


def mapped_source(folder: Path, cells: list[list[str]], header: list[str], text: str = MAPPING) -> FileSource:
    place = folder / "MARKER-folder"
    place.mkdir(exist_ok=True)
    (place / "MARKER-table.csv").write_text("\n".join(";".join(line) for line in [header, *cells]) + "\n", "utf-8")
    (place / "MARKER-mapping.toml").write_text(text, "utf-8")
    kept = load_mapping(place / "MARKER-mapping.toml")
    return open_source(place / "MARKER-table.csv", CONTRACT, mapping=kept)


def require_silent(source: FileSource) -> set[str]:
    """What may be sent on holds the mapping's SHA-256 and no marker. Returns the codes of what it says."""
    assert isinstance(source.mapping, KeptMapping)
    report = source.check()
    sent = json.dumps(report.to_json()) + render(report, where=False)
    assert source.mapping.sha256 in sent
    assert "marker" not in sent.lower(), sent
    return {finding.code for finding in report.findings}


def test_the_report_on_a_ready_table_holds_the_hash_alone(tmp_path: Path) -> None:
    """The coordinator compares mappings by their hash; the hospital's words are its own."""
    source = mapped_source(tmp_path, rows(), HEADER)
    assert source.check().ready(), source.check().findings
    require_silent(source)


FAULTS = {
    "not-as-mapped:pressure": (1, "4.5"),
    "unit-unknown:pressure": (2, "MARKER-psi"),
    "date:stay": (5, "MARKER-31.31.2020"),
    "label-outside": (6, "MARKER-vielleicht"),
    "outside:pressure": (1, "900"),
    "patient-absent": (0, "unknown"),
}


@pytest.mark.parametrize("code", FAULTS)
def test_no_finding_about_a_mapped_table_quotes_the_hospital(code: str, tmp_path: Path) -> None:
    """Every cause has a message of its own, and each is one more way out for a name or a value."""
    column, word = FAULTS[code]
    cells = rows()
    for row in (3, 4, 11):
        cells[row][column] = word
    assert code in require_silent(mapped_source(tmp_path, cells, HEADER))


@pytest.mark.parametrize("column", range(len(HEADER)))
def test_a_column_that_the_table_lacks_is_not_named_in_what_may_be_sent(column: int, tmp_path: Path) -> None:
    """The contract's columns may be named to anybody; those that the mapping reads are the hospital's."""
    header = [*HEADER[:column], "MARKER-OTHER", *HEADER[column + 1 :]]
    source = mapped_source(tmp_path, rows(), header)
    assert require_silent(source) == {"unreadable"}
    assert HEADER[column] in render(source.check())  # on her own screen the manager reads which


def test_a_column_that_stands_twice_is_not_named_in_what_may_be_sent(tmp_path: Path) -> None:
    """The refusal says which column it is, to the manager alone."""
    cells = [[*line, "MARKER-x"] for line in rows()]
    source = mapped_source(tmp_path, cells, [*HEADER, "MARKER-RR"])
    assert require_silent(source) == {"unreadable"}
    assert "MARKER-RR" in render(source.check())


@pytest.mark.parametrize(
    "query",
    [
        "select * from MARKER_LOST",
        "select MARKER_LOST from MARKER_LAB",
        "delete from MARKER_LAB",
        "select MARKER_RR, MARKER_RR from MARKER_LAB",
        "select MARKER_RR from MARKER_LAB",
        "selekt MARKER_RR",
    ],
)
def test_a_query_of_the_hospital_is_not_quoted_in_what_may_be_sent(query: str, tmp_path: Path) -> None:
    """Tables and schemas of a hospital's system say how it can be attacked."""
    with closing(sqlite3.connect(tmp_path / "MARKER.sqlite")) as connection:
        connection.execute("create table MARKER_LAB (MARKER_RR real)")
        connection.execute("insert into MARKER_LAB values (120)")
        connection.commit()
    (tmp_path / "m.toml").write_text(
        f'[source]\nquery = "{query}"\n[[columns]]\nname = "pressure"\nfrom = "MARKER_PULS"\n', "utf-8"
    )
    source = open_source(tmp_path / "MARKER.sqlite", CONTRACT, mapping=load_mapping(tmp_path / "m.toml"))
    assert require_silent(source) == {"unreadable"}


RUN_MAPPING = """
[[columns]]
name = "pressure"
from = "MARKER-RR"
[[columns]]
name = "smoker"
from = "MARKER-RAUCHER"
codes = { "MARKER-ja" = 1, "MARKER-nein" = 0 }
[label]
from = "MARKER-KRANK"
codes = { "MARKER-j" = 1, "MARKER-n" = 0 }
"""


def write_mapped(hospital: Path, mapping: Path, *, broken: bool) -> None:
    """The hospital's table in words of its own, and the mapping; broken: a column that the mapping reads has another name."""
    lines = ["patient,MARKER-RR,MARKER-RAUCHER," + ("MARKER-OTHER" if broken else "MARKER-KRANK")]
    for line in hospital.read_text("utf-8").splitlines()[1:]:
        patient, pressure, smoker, ill = line.split(",")
        lines.append(f"{patient},{pressure},{('MARKER-nein', 'MARKER-ja')[int(smoker)]},{('MARKER-n', 'MARKER-j')[int(ill)]}")
    hospital.write_text("\n".join(lines) + "\n", "utf-8")
    mapping.write_text(RUN_MAPPING, "utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("broken", [False, True])
def test_a_run_takes_nothing_of_a_mapping_out_of_the_hospital(
    broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an answer nor a file of the hub holds a word of it, whether the hospital takes part or is refused."""
    answers: list[bytes] = []
    exchange = InOrder.exchange

    def listening(self: InOrder, *arguments: object, **named: object) -> dict[str, bytes]:
        given_back = exchange(self, *arguments, **named)  # type: ignore[arg-type]
        answers.extend(given_back.values())
        return given_back  # type: ignore[return-value]

    monkeypatch.setattr(InOrder, "exchange", listening)
    hospitals, mapping = write_hospitals(tmp_path), tmp_path / "north.toml"
    write_mapped(hospitals["north"], mapping, broken=broken)
    out, study = tmp_path / "run", write_study(tmp_path)
    if broken:
        with pytest.raises(EngineError) as caught:
            wr.simulate(study, hospitals, mappings={"north": mapping}, out=out, workers=0, register=False)
        assert "MARKER" not in str(caught.value)  # the note beside it quotes north's log, for this screen
        assert "MARKER-KRANK" in (out / "sites" / "north" / "log.ndjson").read_text("utf-8")
    else:
        wr.simulate(study, hospitals, mappings={"north": mapping}, out=out, workers=0, register=False)
    assert len(answers) > (0 if broken else 20)
    assert not any(b"MARKER" in answer for answer in answers)
    hub_files = [path for path in out.rglob("*") if path.is_file() and "sites" not in path.relative_to(out).parts]
    assert len(hub_files) > 2
    assert [path.name for path in hub_files if b"MARKER" in path.read_bytes()] == []
