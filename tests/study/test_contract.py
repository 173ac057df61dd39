"""The [data] section."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wardround.study.cell_values import codes, spelled
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.study.reading import parse_study
from wardround.values.errors import StudyError


def read(**data: object) -> DataContract:
    return DataContract.model_validate_json(json.dumps(data))


def test_a_contract_read_from_json_turns_arrays_into_frozen_tuples() -> None:
    """A study's hash must not change under anyone's hands."""
    contract = read(
        kind="image", image={"size": [128, 96], "channels": 3}, label={"positive": ["PNEUMONIA", 1], "negative": ["NORMAL"]}
    )
    assert contract.image.size == (128, 96)
    assert contract.input_shape == (3, 128, 96)
    assert contract.feature_names == ()
    with pytest.raises(ValidationError):
        contract.kind = "table"  # type: ignore[misc]


def test_table_features_are_known_before_any_data_are() -> None:
    """Every hospital must build the same network."""
    columns = [
        {"name": "age", "range": [0, 100]},
        {"name": "chol", "range": [100, 600], "missing": ["?", -9, 0], "max_missing": 0.3},
        {"name": "sex", "kind": "binary"},
        {"name": "pain", "kind": "category", "categories": [1, 2, 3]},
    ]
    contract = read(kind="table", columns=columns, label={"column": "num", "positive": "> 0", "negative": "= 0"})
    assert contract.feature_names == ("age", "chol", "chol missing", "sex", "pain=1", "pain=2", "pain=3")
    assert contract.input_shape == (7,)
    assert contract.columns[0].constants == (50.0, 25.0)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"kind": "movie"}, "image"),
        ({"kind": "table"}, "at least one"),
        ({"kind": "image", "columns": [{"name": "a", "range": [0, 1]}]}, "no columns"),
        ({"kind": "image", "image": {"size": [4, 64]}}, "8 to 4096"),
        ({"kind": "image", "image": {"size": [64]}}, "size"),
        ({"kind": "image", "image": {"channels": 2}}, "channels"),
        ({"kind": "image", "label": {"positive": ["a", 1], "negative": ["A "]}}, "share the values"),
        ({"kind": "image", "label": {"positive": "above 3", "negative": [0]}}, "rule such as"),
        ({"kind": "image", "label": {"positive": "> 0", "negative": ">= 0"}}, "both accept"),
        ({"kind": "image", "label": {"positive": "> 0", "negative": [0, 1]}}, "both accept"),
        ({"kind": "image", "label": {"positive": []}}, "names no value"),
        ({"kind": "image", "splits": {"validation": 0.5, "test": 0.6}}, "leave some"),
        ({"kind": "image", "colour": "grey"}, "Extra inputs"),
        ({"kind": "table", "columns": [{"name": "a"}]}, "needs a range"),
        ({"kind": "table", "columns": [{"name": "a", "range": [5, 5]}]}, "smaller bound first"),
        ({"kind": "table", "columns": [{"name": "a", "kind": "category", "categories": ["x"]}]}, "at least two"),
        ({"kind": "table", "columns": [{"name": "a", "kind": "category", "categories": [1, "1.0"]}]}, "named twice"),
        ({"kind": "table", "columns": [{"name": "a", "kind": "binary", "categories": [1, 2, 3]}]}, "two categories"),
        ({"kind": "table", "columns": [{"name": "a", "kind": "category", "categories": ["x", "Other"], "other": True}]}, "other"),
        ({"kind": "table", "columns": [{"name": "a", "kind": "binary", "other": True}]}, "other is for a category"),
        ({"kind": "table", "columns": [{"name": "a", "range": [0, 1], "log": True}]}, "begins above 0"),
        ({"kind": "table", "columns": [{"name": "a", "range": [0, 1], "categories": [1, 2]}]}, "no categories"),
        ({"kind": "table", "columns": [{"name": "a", "kind": "binary", "range": [0, 1]}]}, "for numbers"),
        ({"kind": "table", "columns": [{"name": "a", "range": [0, 1]}] * 2}, "named twice"),
        ({"kind": "table", "columns": [{"name": "label", "range": [0, 1]}]}, "may not be one of the columns"),
        ({"kind": "table", "columns": [{"name": "a", "range": [0, 1]}], "header": ["b", "label"]}, "does not name a"),
    ],
)
def test_mistakes_are_told_when_the_study_is_read(data: dict[str, object], match: str) -> None:
    """Not in round 40, at a hospital."""
    with pytest.raises(ValidationError, match=match):
        read(**data)


def test_a_label_is_positive_negative_or_unknown_and_never_guessed() -> None:
    """An unknown value read as negative would teach the model a lie."""
    words = LabelContract(positive=("PNEUMONIA", 1), negative=("NORMAL", 0))
    assert [words.judge(v) for v in ("pneumonia ", "1.0", 1, "NORMAL", 0.0, "covid", "", None, 2)] == [
        1,
        1,
        1,
        0,
        0,
        None,
        None,
        None,
        None,
    ]
    rule = LabelContract(positive="> 0", negative="= 0")
    assert [rule.judge(v) for v in ("3", 0, "-1", "nan", "yes")] == [1, 0, None, None, None]


@given(st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)))
def test_a_value_means_the_code_that_is_written_like_it(value: str | int | float) -> None:
    """Spelling a spelling again changes nothing, and what a typed file holds is what a contract that writes it means."""
    assert spelled(spelled(value)) == spelled(value)
    assert codes([value]).position(spelled(value)) == 0


@given(st.from_regex(r"\A[0-9]{1,20}(\.[0-9]{1,5})?\Z"), st.from_regex(r"\A[0-9]{1,20}(\.[0-9]{1,5})?\Z"))
def test_text_codes_are_one_only_where_they_are_written_alike(first: str, second: str) -> None:
    """0117 and 117 are two patients, two diagnoses, two wards: an identifier is no number."""
    assert (codes([first]).position(second) == 0) == (first == second)


def test_number_codes_compare_exactly_beyond_what_a_float_can_tell_apart() -> None:
    """Two identifiers of 17 digits are one float."""
    assert codes([9007199254740993]).position("9007199254740992") is None
    assert codes([9007199254740993]).position("9007199254740993.0") == 0
    assert codes([250]).position("250.00") == 0
    assert codes(["F"], "exact").position("f") is None and codes(["F"]).position(" f ") == 0


def test_names_declare_several_columns_with_one_rule() -> None:
    """Forty laboratory values of one kind; a pattern such as lab_* would give every hospital another network."""
    text = 'format = 1\nquestion = {{ title = "Labs" }}\n[data]\nkind = "table"\n{}[network]\nname = "logistic"\n'
    rule = "range = [0, 200]\nmax_missing = 0.5\n"
    shared = parse_study(text.format(f'[[data.columns]]\nnames = ["na", "k"]\n{rule}'))
    single = "".join(f'[[data.columns]]\nname = "{name}"\n{rule}' for name in ("na", "k"))
    assert shared.hash == parse_study(text.format(single)).hash
    assert shared.data.feature_names == ("na", "na missing", "k", "k missing")
    for wrong in ("[]", '"lab_*"', "[1]", '["a", "a"]'):
        with pytest.raises(StudyError):
            parse_study(text.format(f"[[data.columns]]\nnames = {wrong}\n{rule}"))
    mistake = f'[[data.columns]]\nnames = ["na", "k"]\n{rule}[[data.columns]]\nname = "age"\nrnge = [0, 1]\n'
    with pytest.raises(StudyError, match=r"line 11, .*did you mean range"):
        parse_study(text.format(mistake))


def test_every_field_is_described() -> None:
    """The study reference is generated from the schema."""
    schema = DataContract.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        for name, field in section["properties"].items():
            assert field.get("description"), f"{section['title']}.{name}"


def test_a_number_with_both_constants_needs_no_range() -> None:
    """A laboratory value may have no sensible bound."""
    assert ColumnContract(name="crp", center=5.0, scale=10.0).constants == (5.0, 10.0)
