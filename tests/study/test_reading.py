"""A study file with mistakes: every mistake is named with its line and its mend, and nothing runs."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.study.declaration import Study
from wardround.study.reading import RENAMED, load_study, parse_study
from wardround.study.starter import KINDS, starter
from wardround.study.toml_reading import SIZE_LIMIT, known_keys
from wardround.values.errors import StudyError

GOOD = """\
format = 1

[question]
title = "Heart disease"

[data]
kind = "table"

[[data.columns]]
name = "age"
range = [18, 100]

[[data.columns]]
name = "bp"
range = [60, 250]

[network]
name = "logistic"

[algorithm]
rounds = 3
"""


def problems(text: str) -> list[str]:
    """The lines of the error that `text` gives."""
    with pytest.raises(StudyError) as caught:
        parse_study(text, name="study.toml")
    return str(caught.value).splitlines()


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_a_good_study_is_read() -> None:
    """The base of the cases below: it must be the mistake in each that fails."""
    study = parse_study(GOOD)
    assert study.question.title == "Heart disease"
    assert [column.name for column in study.data.columns] == ["age", "bp"]
    assert study.algorithm.rounds == 3
    assert study.algorithm.name == "fedavg"


@pytest.mark.parametrize("kind", KINDS)
def test_the_starters_are_good_studies(kind: str) -> None:
    """The first file a user sees must work."""
    assert parse_study(starter(kind)).data.kind == kind


def test_a_study_of_tables_begins_without_class_weights() -> None:
    """With them a rare finding is foretold as if half of the patients had it, and nobody may take the answer for a chance."""
    assert not parse_study(starter("table")).training.class_balance


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("rounds = 3", "rouns = 3", 21, ["algorithm.rouns", "did you mean rounds?"]),
        ("[algorithm]", "[algoritm]", 20, ["algoritm", "did you mean algorithm?"]),
        ('title = "Heart disease"', 'title = "Heart disease"\ntitel = "x"', 5, ["question.titel", "did you mean title?"]),
        ("range = [60, 250]", "rnage = [60, 250]", 15, ["data.columns.1.rnage", "did you mean range?"]),
        ("rounds = 3", "zzz = 3", 21, ["algorithm.zzz", "the known keys are", "proximal_mu", "server_tau"]),
        ("rounds = 3", "rounds = -1", 21, ["algorithm.rounds", "greater than or equal to 0", "'-1'"]),
        ("rounds = 3", 'rounds = "3"', 21, ["algorithm.rounds", "integer", "'3'"]),
        ("rounds = 3", "rounds = 3.5", 21, ["algorithm.rounds", "integer", "3.5"]),
        ("rounds = 3", "rounds = true", 21, ["algorithm.rounds", "integer", "True"]),
        ("rounds = 3", 'name = "fedmax"', 21, ["algorithm.name", "fedavg", "fedsgd"]),
        ('name = "logistic"', 'name = "logistik"', 18, ["network.name", "logistic", "logistik"]),
        ("range = [60, 250]", "range = [250, 60]", 13, ["data.columns.1", "smaller bound first"]),
        ("[question]\n", "[question]\ndescription = 5\n", 4, ["question.description", "string"]),
        ('title = "Heart disease"', "", 3, ["question.title", "missing", "add it"]),
        ("format = 1", "format = 2", 1, ["format", "less than or equal to 1"]),
    ],
)
def test_a_mistake_is_named_with_its_line_and_its_mend(old: str, new: str, line: int, words: list[str]) -> None:
    """The user sees where to put the cursor and what to type; a guess or a default in its place would run the wrong study."""
    head, *found = problems(changed(old, new))
    assert head == "study.toml has 1 problem:"
    assert len(found) == 1
    assert f"line {line}, " in found[0]
    for word in words:
        assert word in found[0]


def test_all_mistakes_are_named_at_once() -> None:
    """Nobody wants to mend one, run, and meet the next."""
    text = GOOD.replace("rounds = 3", "rouns = 3\nproximal_mu = -1").replace("title = ", "titel = ")
    head, *found = problems(text)
    assert head == "study.toml has 4 problems:"
    assert len(found) == 4
    assert all("line " in problem for problem in found)


def test_a_missing_section_is_named() -> None:
    """Nothing stands where its line would be."""
    _, found = problems(GOOD.replace('[network]\nname = "logistic"\n', ""))
    assert "[network] says what is learned, or [analysis] what is asked for: add one of them" in found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("format = ", "end of document"),
        (GOOD + "rounds = 4\n", "line 22"),
        (GOOD + '[question]\ntitle = "again"\n', "line 22"),
        (changed('"Heart disease"', '"Heart disease'), "line 4"),
        ("\0", "line 1"),
    ],
)
def test_what_is_not_toml_is_named_with_its_line(text: str, words: str) -> None:
    """A key given twice is a contradiction, not a choice."""
    with pytest.raises(StudyError, match=r"study.toml is not valid TOML.*correct that line") as caught:
        parse_study(text, name="study.toml")
    assert words in str(caught.value)


@pytest.mark.parametrize("value", ["2026-01-02", "2026-01-02T03:04:05Z", "03:04:05", "nan", "inf", "-inf"])
@pytest.mark.parametrize("place", ["rounds = 3", 'title = "Heart disease"'])
def test_dates_nan_and_infinity_are_refused(place: str, value: str) -> None:
    """They have no canonical bytes, so two hospitals could not tell whether they run the same study."""
    key = place.split(" = ")[0]
    with pytest.raises(StudyError, match="date, NaN or infinity"):
        parse_study(changed(place, f"{key} = {value}"))


def test_files_that_are_no_studies_are_named(tmp_path: Path) -> None:
    """A wrong path, a folder, a picture, a data file: each is a sentence, not a traceback."""
    with pytest.raises(StudyError, match=r"no study file at .*wardround study new"):
        load_study(tmp_path / "absent.toml")
    with pytest.raises(StudyError, match="no study file"):
        load_study(tmp_path)
    (tmp_path / "latin.toml").write_bytes(GOOD.replace("Heart", "H\xe4rt").encode("latin-1"))
    with pytest.raises(StudyError, match=r"latin.toml is not text.*UTF-8"):
        load_study(tmp_path / "latin.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (SIZE_LIMIT + 1))
    with pytest.raises(StudyError, match=r"too large.*1 MiB"):
        load_study(str(tmp_path / "large.toml"))


def test_a_study_may_be_as_large_as_the_limit_and_have_a_byte_order_mark(tmp_path: Path) -> None:
    """Windows' Notepad writes the mark; nobody can see it, so nobody could mend it."""
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    (tmp_path / "full.toml").write_bytes(GOOD.encode() + b"#" * (SIZE_LIMIT - len(GOOD)))
    (tmp_path / "crlf.toml").write_bytes(GOOD.replace("\n", "\r\n").encode())
    expected = parse_study(GOOD).hash
    assert [load_study(tmp_path / name).hash for name in ("bom.toml", "full.toml", "crlf.toml")] == [expected] * 3


@given(st.text(max_size=60) | st.text('[]=."{}\n1a#', max_size=60))
def test_any_text_gives_a_study_or_a_study_error(text: str) -> None:
    """Whatever stands in the file, the user meets one kind of error."""
    with pytest.raises(StudyError):
        parse_study(text)


toml_values = st.recursive(
    st.sampled_from(["1", "-1", "0.5", "true", '"x"', "''", "1e400", "9" * 30]),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]") | inner.map(lambda item: f"{{ name = {item} }}")
    ),
    max_leaves=4,
)


@given(st.data())
def test_any_value_in_any_place_gives_a_study_or_a_study_error(data: st.DataObject) -> None:
    """The same for files that are nearly right."""
    section = data.draw(st.sampled_from(known_keys(Study, ())))
    key = data.draw(st.sampled_from([*known_keys(Study, (section,)), "x"]))
    base = GOOD.replace(f"[{section}]", "[unused]") if section in GOOD else GOOD
    try:
        parse_study(base + f"\n[{section}]\n{key} = {data.draw(toml_values)}\n")
    except StudyError as error:
        assert str(error).count("\n") <= 40


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"algorithm": 'name = "scaffold"\n'}, 'training.optimizer = "sgd"'),
        ({"evaluation": 'threshold = "robust"\n'}, "a table does not have"),
        ({"privacy": "epsilon = 1.0\n"}, "remove it or choose a mode"),
        ({"sites": 'names = ["a", "a"]\n'}, "two sites have the same name"),
        ({"sites": 'names = ["a"]\n'}, "only 1 sites are named"),
        ({"network": 'name = "small_cnn"\n'}, "choose mlp or logistic"),
    ],
)
def test_sections_that_contradict_each_other_are_refused(extra: dict[str, Any], words: str) -> None:
    """Each is right alone; together they would train something else than was meant."""
    text = GOOD
    for section, lines in extra.items():
        text = text.replace('[network]\nname = "logistic"\n', "") if section == "network" else text
        text = text.replace("[algorithm]\n", "[algorithm]\n" + lines) if section == "algorithm" else f"{text}[{section}]\n{lines}"
    assert words in "\n".join(problems(text))


@pytest.mark.parametrize(("path", "renamed"), RENAMED.items())
def test_a_setting_by_its_earlier_name_is_refused_with_its_new_one(path: tuple[str, ...], renamed: str) -> None:
    """Somebody with a file of an earlier version must be told what to write, not which keys there are."""
    *sections, key = path
    with pytest.raises(StudyError, match=f"this setting is now called {renamed}"):
        parse_study(f"{GOOD}\n[{'.'.join(sections)}]\n{key} = 1\n")
