"""A hospital's own table becomes the contract's by a mapping that the program proposes and a person completes."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wardround.cli.main import app
from wardround.sources.mapping.proposing import propose
from wardround.sources.mapping.sections import load_mapping
from wardround.sources.opening import open_source
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.values.errors import DataError
from wardround.values.records import Records

from .workbooks import write_workbook

AGE = ColumnContract(name="age", unit="years", range=(18, 110))
CHOL = ColumnContract(name="chol", unit="mg/dl", range=(80, 700), max_missing=0.3)
SEX = ColumnContract(name="sex", kind="binary", categories=("f", "m"))
STAY = ColumnContract(name="stay", unit="days", range=(0, 400))
LABEL = LabelContract(name="heart disease", column="disease")
ROWS = 30
RUNNER = CliRunner()


def contract(*columns: ColumnContract) -> DataContract:
    return DataContract(kind="table", columns=columns or (AGE, CHOL, SEX), label=LABEL)


def true_row(k: int) -> dict[str, object]:
    """What hospital and contract mean, in the contract's words; chol is mmol/l times 38.67."""
    return {
        "patient": f"P{k:03d}ß", "age": 30 + k, "mmol": f"{4 + k / 10:.1f}", "sex": "fm"[k % 2], "stay": 20 + k % 9,
        "disease": k * 7 // 3 % 2,
    }  # fmt: skip


def as_the_contract_says(folder: Path, rules: DataContract) -> Records:
    """The same patients in a table that needs no mapping."""
    names = [column.name for column in rules.columns]
    lines = [",".join(["patient", *names, "disease"])]
    for k in range(ROWS):
        row = true_row(k)
        row["chol"] = f"{float(str(row['mmol'])) * 38.67:.6f}".rstrip("0").rstrip(".")
        lines.append(",".join(str(row[name]) for name in ["patient", *names, "disease"]))
    (folder / "clean.csv").write_text("\n".join(lines))
    return open_source(folder / "clean.csv", rules).load()


def require_same(folder: Path, path: Path, rules: DataContract, *edits: tuple[str, str]) -> str:
    """Two edits of the proposal at most, and the records are those of the clean table, bit for bit. Returns the mapping."""
    assert len(edits) <= 2
    text = propose(path, rules).text
    for before, after in edits:
        assert text.count(before) == 1, text
        text = text.replace(before, after)
    (folder / "mapping.toml").write_text(text)
    source = open_source(path, rules, mapping=load_mapping(folder / "mapping.toml"))
    report = source.check()
    assert report.ready(), report.findings
    mapped, clean = source.load(), as_the_contract_says(folder, rules)
    assert mapped.patients.tolist() == clean.patients.tolist()
    assert np.array_equal(mapped.inputs, clean.inputs) and np.array_equal(mapped.labels, clean.labels)
    return text


def german_rows() -> list[str]:
    lines = ["Klinikum Süd, Export vom 03.01.2021;;;;;;", ";;;;;;"]
    lines.append("Patienten-ID;Alter;Cholesterin [mmol/l];Geschlecht;Aufnahme;Entlassung;Erkrankung")
    for k in range(ROWS):
        row = true_row(k)
        admitted = datetime(2020, 11, 20) + timedelta(days=k)
        left = admitted + timedelta(days=int(str(row["stay"])))
        chol = str(row["mmol"]).replace(".", ",")
        sex, ill = {"f": "w", "m": "m"}[str(row["sex"])], ("nein", "ja")[int(str(row["disease"]))]
        lines.append(f"{row['patient']};{row['age']};{chol};{sex};{admitted:%d.%m.%Y};{left:%d.%m.%Y};{ill}")
    return lines


def test_a_german_excel_export_is_read_after_two_edits_of_the_proposal(tmp_path: Path) -> None:
    """Semicolons, cp1252, decimal commas, dates and a title line: what half of the hospitals send."""
    path = tmp_path / "export.csv"
    path.write_bytes("\r\n".join(german_rows()).encode("cp1252"))
    choose = 'from = ""  # choose: the later date of "Aufnahme", "Entlassung"; or a column that holds the days already'
    text = require_same(
        tmp_path, path, contract(AGE, CHOL, SEX, STAY), (choose, 'from = "Entlassung"'),
        ('minus = ""  # choose: the earlier date', 'minus = "Aufnahme"'),
    )  # fmt: skip
    assert "'Süd'" in text and 'encoding = "cp1252"' in text and "header_line = 3" in text


def test_a_birth_and_an_admission_become_the_age_in_whole_years(tmp_path: Path) -> None:
    """Days divided by 365.25 make somebody of 18 a child on some birthdays; the two dates are seldom written alike."""
    days = [
        "29.02.2000;28.02.2021 10:30",
        "01.03.2000;01.03.2021 00:00",
        "28.02.1990;28.02.2021 23:59",
        "31.12.1950;01.01.2021 08:00",
    ]
    table = "PatNr;geb. am;Aufnahme;disease\n" + "".join(f"p{k};{row};{k % 2}\n" for k, row in enumerate(days))
    (tmp_path / "t.csv").write_text(table)
    rules = contract(AGE.changed(center=0.0, scale=1.0))
    text = propose(tmp_path / "t.csv", rules).text
    for written in ('date_format = "%d.%m.%Y %H:%M"  ', 'minus_format = "%d.%m.%Y"  ', 'count = "whole years"'):
        assert text.count(written) == 1, text
    text = text.replace('from = ""  # choose: the later', 'from = "Aufnahme"  # the later')
    text = text.replace('minus = ""  # choose: the earlier', 'minus = "geb. am"  # the earlier')
    (tmp_path / "m.toml").write_text(text)
    named = open_source(tmp_path / "t.csv", rules, mapping=load_mapping(tmp_path / "m.toml")).named()
    assert named.inputs[:, 0].tolist() == [20.0, 21.0, 31.0, 70.0]


def test_a_word_in_a_column_of_dates_is_what_codes_or_the_contract_say(tmp_path: Path) -> None:
    """Systems write 31.12.9999 for "still here": as a date it is eight thousand years. Codes were not read."""
    table = "patient,in,out,disease\n" + "".join(f"p{k},0{1 + k}.01.2020,1{k}.02.2020,{k % 2}\n" for k in range(9))
    table += "q,01.01.2020,31.12.9999,1\nr,unbekannt,01.02.2020,0\ns,,01.02.2020,0\nt,01.01.2020,gestern,1\n"
    rules = contract(STAY.changed(missing=("unbekannt",), max_missing=0.5))
    dated = '[[columns]]\nname = "stay"\nfrom = "out"\nminus = "in"\ndate_format = "%d.%m.%Y"\n'
    mapping = dated + 'codes = { "31.12.9999" = "" }\n'
    report = mapped(tmp_path, table, mapping, rules).check()
    (finding,) = [f for f in report.findings if f.level == "error"]
    assert finding.code == "date:stay" and [(spot.line, spot.value) for spot in finding.places] == [(14, "gestern")]
    mended = mapped(tmp_path, table, dated + 'codes = { "31.12.9999" = "", "gestern" = "" }\n', rules)
    assert mended.check().ready() and mended.load().inputs[:, 1].sum() == 4


def test_times_with_a_zone_beside_times_without_are_an_error(tmp_path: Path) -> None:
    """Which moment the second is cannot be told; the difference of the two ended in a traceback."""
    table = "patient,in,out,disease\n" + "".join(
        f"p{k},2020-01-01T23:30:00+01:00,2020-01-{2 + k:02d} 23:30:00,{k % 2}\n" for k in range(9)
    )
    rules = contract(STAY.changed(center=0.0, scale=1.0))
    mapping = '[[columns]]\nname = "stay"\nfrom = "out"\nminus = "in"\n'
    finding = next(f for f in mapped(tmp_path, table, mapping, rules).check().findings if f.code == "date-zone:stay")
    assert finding.level == "error" and len(finding.places) == 9
    mended = mapped(tmp_path, table.replace("+01:00", ""), mapping, rules)
    assert mended.named().inputs[:, 0].tolist() == [float(k + 1) for k in range(9)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8"])
def test_the_same_export_in_other_encodings_needs_no_other_edit(tmp_path: Path, encoding: str) -> None:
    """Excel's 'Unicode text' is UTF-16."""
    path = tmp_path / "export.csv"
    path.write_bytes("\n".join(german_rows()[2:]).encode(encoding))
    require_same(tmp_path, path, contract())


def test_units_that_change_from_row_to_row_are_brought_to_one(tmp_path: Path) -> None:
    """Two laboratories of one house; read as one unit, half of the values are 38 times too large."""
    lines = ["PID,Alter,Cholesterin,Einheit,Geschlecht,Erkrankung"]
    for k in range(ROWS):
        row = true_row(k)
        in_mg = f"{float(str(row['mmol'])) * 38.67:.6f}"
        chol, unit = (row["mmol"], "mmol/l") if k % 3 else (in_mg, "mg/dl")
        lines.append(f"{row['patient']},{row['age']},{chol},{unit},{'wm'[k % 2]},{row['disease']}")
    path = tmp_path / "export.csv"
    path.write_text("\n".join(lines))
    text = require_same(tmp_path, path, contract())
    assert '"mmol/l" = 38.67' in text and '"mg/dl" = 1.0' in text


def test_sexes_as_m_and_w_become_the_contracts(tmp_path: Path) -> None:
    """A third word is never guessed, and as digits they are left to a person."""
    path = tmp_path / "t.csv"
    path.write_text("patient,sex,disease\n" + "".join(f"p{k},{'mwd'[k % 3]},{k % 2}\n" for k in range(30)))
    assert 'codes = { "m" =' not in propose(path, contract(SEX)).text  # the contract knows m
    proposal = propose(path, contract(SEX))
    assert '"w" = "f"' in proposal.text and '"d" = "choose"' in proposal.text and proposal.open_lines == 1
    (tmp_path / "m.toml").write_text(proposal.text)
    report = open_source(path, contract(SEX), mapping=load_mapping(tmp_path / "m.toml")).check()
    assert not report.ready() and "category:sex" in {finding.code for finding in report.findings}
    digits = contract(SEX.changed(categories=(0, 1)))
    path.write_text("patient,sex,disease\n" + "".join(f"p{k},{'mw'[k % 2]},{k % 2}\n" for k in range(30)))
    assert propose(path, digits).text.count('"choose"') == 2


def test_a_workbook_with_a_title_and_two_sheets_is_read(tmp_path: Path) -> None:
    """The table as the hospital keeps it, dates as dates."""
    head = ["Patienten-ID", "Alter", "Cholesterin [mmol/l]", "Geschlecht", "Aufnahme", "Entlassung", "Erkrankung"]
    rows: list[list[object]] = [["Export vom 3. Januar"], [], list(head)]
    for k in range(ROWS):
        row = true_row(k)
        admitted = datetime(2020, 11, 20) + timedelta(days=k)
        left = admitted + timedelta(days=int(str(row["stay"])))
        rows.append([row["patient"], row["age"], float(str(row["mmol"])), "wm"[k % 2], admitted, left, row["disease"]])
    path = tmp_path / "export.xlsx"
    write_workbook(path, {"Legende": [["Spalte", "Bedeutung"], ["Alter", "in Jahren"]], "Daten": rows})
    rules = contract(AGE, CHOL, SEX, STAY)
    with pytest.raises(DataError, match="several sheets"):
        open_source(path, rules).load()
    choose = 'from = ""  # choose: the later date of "Aufnahme", "Entlassung"; or a column that holds the days already'
    text = require_same(
        tmp_path, path, rules, (choose, 'from = "Entlassung"'), ('minus = ""  # choose: the earlier date', 'minus = "Aufnahme"')
    )
    assert 'sheet = "Daten"' in text


def test_an_error_in_a_workbooks_cell_is_missing_only_where_the_contract_says_so(tmp_path: Path) -> None:
    """The library gives nothing for #N/A, and nothing would pass as a missing value."""
    rows: list[list[object]] = [["patient", "age", "disease"], *([f"p{k}", 30 + k, k % 2] for k in range(20))]
    rows[5][1], rows[7][1] = "#N/A", "=B2+1"
    write_workbook(tmp_path / "t.xlsx", {"t": rows})
    rules = contract(AGE.changed(max_missing=0.5))
    told = {finding.code: finding for finding in open_source(tmp_path / "t.xlsx", rules).check().findings}
    spots = [*told["error-cell:age"].places, *told["formula-unsaved:age"].places]
    assert [(spot.line, spot.value) for spot in spots] == [(6, "#N/A"), (8, "#FORMULA WITHOUT A SAVED VALUE")]
    named = contract(AGE.changed(max_missing=0.5, missing=("#N/A", "#FORMULA WITHOUT A SAVED VALUE")))
    assert open_source(tmp_path / "t.xlsx", named).load().inputs[:, 1].sum() == 2


def mapped(folder: Path, table: str, mapping: str, rules: DataContract):  # type: ignore[no-untyped-def]
    (folder / "t.csv").write_text(table)
    (folder / "m.toml").write_text(mapping)
    return open_source(folder / "t.csv", rules, mapping=load_mapping(folder / "m.toml"))


def test_a_number_that_is_not_written_as_the_mapping_says_is_refused(tmp_path: Path) -> None:
    """With a decimal comma 1.5 may be a typing error or a date; it is not one and a half."""
    table = "patient;age;disease\n" + "".join(f"p{k};{30 + k},5;{k % 2}\n" for k in range(10)) + "q;4.5;1\n"
    source = mapped(tmp_path, table, '[source]\ndecimal = ","\nthousands = "."\n', contract(AGE))
    finding = next(f for f in source.check().findings if f.level == "error")
    assert finding.code == "not-as-mapped:age" and [(spot.line, spot.value) for spot in finding.places] == [(12, "4.5")]


def test_a_unit_that_the_mapping_does_not_name_is_refused_with_its_line(tmp_path: Path) -> None:
    """Taken as the contract's it would be wrong by a factor."""
    table = "patient,chol,unit,disease\n" + "".join(f"p{k},{200 + k},mg/dl,{k % 2}\n" for k in range(10)) + "q,5.2,mmol/L,1\n"
    mapping = '[[columns]]\nname = "chol"\nfrom = "chol"\nunit_column = "unit"\nunits = { "mg/dl" = 1.0 }\n'
    finding = next(f for f in mapped(tmp_path, table, mapping, contract(CHOL)).check().findings if f.code == "unit-unknown:chol")
    assert finding.level == "error" and [(spot.line, spot.value) for spot in finding.places] == [(12, "mmol/L")]


def test_a_missing_code_is_not_multiplied(tmp_path: Path) -> None:
    """-9 mmol/l is no -348 mg/dl."""
    rules = contract(CHOL.changed(missing=(-9,), max_missing=0.5))
    table = "patient,c,disease\n" + "".join(f"p{k},{5 if k % 3 else -9},{k % 2}\n" for k in range(12))
    records = mapped(tmp_path, table, '[[columns]]\nname = "chol"\nfrom = "c"\nfactor = 38.67\n', rules).load()
    assert records.inputs[:, 1].sum() == 4


@pytest.mark.parametrize(
    ("same", "patients"), [("as written", 6), ("ignore case", 5), ("ignore zeros", 5), ("ignore case and zeros", 4)]
)
def test_the_hospital_says_which_identifiers_are_one_patient(tmp_path: Path, same: str, patients: int) -> None:
    """Nobody else can know, and a private study waits for it."""
    ids = ["0007", "7", "P1", "p1", "x", "y"]
    table = "id,age,disease\n" + "".join(f"{name},{30 + k},{k % 2}\n" for k, name in enumerate(ids))
    source = mapped(tmp_path, table, f'[patient]\nfrom = "id"\nsame = "{same}"\n', contract(AGE))
    codes = {finding.code for finding in source.check().findings}
    assert "patient-spellings" not in codes
    named = source.named()
    assert len(set(named.patients.tolist())) == patients


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[columns]]\nname = "age"\nfrom = ""\n', "from is empty"),
        ('[[columns]]\nname = "age"\nfrom = "Alter"\nfactr = 2.0\n', "line 4.*did you mean factor"),
        ('[[columns]]\nname = "age"\nfrom = "Alter"\nfactor = 0.0\n', "factor of 0"),
        ('[source]\ndecimal = ","\nthousands = ","\n', "same sign"),
        ('[[columns]]\nname = "age"\nfrom = "a"\nunit_column = "u"\n', "belong together"),
        ('[[columns]]\nname = "age"\nfrom = "a"\ncount = "whole years"\n', "count needs minus"),
        (
            '[[columns]]\nname = "age"\nfrom = "a"\nminus = "b"\nunit_column = "u"\nunits = { "d" = 1.0 }\n',
            "factor changes its unit",
        ),
        ('[[columns]]\nname = "weight"\nfrom = "Alter"\n', "does not have: 'weight'"),
        ('[[columns]]\nname = "age"\nfrom = "Altr"\n', "lacks the column 'Altr'.*'Alter'"),
        ("[label", "not valid TOML"),
    ],
)
def test_mistakes_in_a_mapping_are_told_with_line_and_mend(tmp_path: Path, text: str, words: str) -> None:
    """She edits it by hand."""
    (tmp_path / "t.csv").write_text("patient,Alter,disease\n" + "".join(f"p{k},{30 + k},{k % 2}\n" for k in range(9)))
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(DataError, match=f"(?s){words}") as caught:
        open_source(tmp_path / "t.csv", contract(AGE), mapping=load_mapping(tmp_path / "m.toml")).load()
    assert caught.value.hint


def test_the_command_writes_a_mapping_and_the_report_that_may_be_sent_holds_its_hash_alone(tmp_path: Path) -> None:
    """A column's name of the hospital may not leave in a report about its data."""
    study = tmp_path / "study.toml"
    study.write_text(
        'format = 1\nquestion = { title = "A table" }\n[data]\nkind = "table"\nlabel = { column = "disease" }\n'
        '[[data.columns]]\nname = "age"\nrange = [18, 110]\n[network]\nname = "logistic"\n'
    )
    table, kept = tmp_path / "t.csv", tmp_path / "m.toml"
    table.write_text(
        "PatNr;Alter;Erkrankung\n" + "".join(f"p{k};{30 + k if k else 'Unsinn'};{k * 7 // 3 % 2}\n" for k in range(30))
    )
    told = RUNNER.invoke(app, ["data", "map", str(table), "--contract", str(study), "--out", str(kept)])
    assert told.exit_code == 0 and kept.is_file(), told.output
    again = RUNNER.invoke(app, ["data", "map", str(table), "--contract", str(study), "--out", str(kept)])
    assert again.exit_code != 0
    report = RUNNER.invoke(app, ["data", "check", str(table), "--contract", str(study), "--mapping", str(kept), "--json"])
    sent = json.loads(report.stdout)
    assert sent["mapping_sha256"] == load_mapping(kept).sha256 and report.exit_code == 3
    assert not any(word in report.stdout for word in ("Alter", "Erkrankung", "PatNr", "Unsinn", "t.csv", "m.toml"))


def test_a_query_in_the_mapping_is_the_table(tmp_path: Path) -> None:
    """A hospital's database has its own words too, and a query is where they become columns."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "his.sqlite")) as connection:
        connection.execute("create table lab (pid text, alter_j integer, krank text)")
        rows = [(f"P{k}", 30 + k, "jn"[k * 7 // 3 % 2]) for k in range(20)]
        connection.executemany("insert into lab values (?, ?, ?)", rows)
        connection.commit()
    text = '[source]\nquery = "select pid as patient, alter_j as age, krank from lab"\n'
    (tmp_path / "m.toml").write_text(f'{text}[label]\nfrom = "krank"\ncodes = {{ "n" = 1, "j" = 0 }}\n')
    source = open_source(tmp_path / "his.sqlite", contract(AGE), mapping=load_mapping(tmp_path / "m.toml"))
    assert source.check().ready() and len(source.load()) == 20
