"""model_card.md: complete, escaped, and candid about its blanks."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from wardround.evidence.model_card import markdown, render_model_card, write_model_card
from wardround.evidence.run_facts import study_of
from wardround.evidence.tripod import items
from wardround.study.record.run_record import RunRecord

EVIL = "<script>x</script> [a](javascript:b) ![c](d) | `e` *f* \n# g\n\n- h"
BARE: dict[str, Any] = {"pooled": None, "sites": {}, "external": {}, "cross": {}, "rounds": (), "model": None, "synthetic": False}


def rendered(card: str) -> str:
    front, body = re.fullmatch(r"---\n(.*?)---\n(.*)", card, re.DOTALL).groups()  # type: ignore[union-attr]
    assert "<" not in front
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(body)


def test_the_card_has_the_sections_of_mitchell_et_al(record: RunRecord) -> None:
    """Reviewers look for them by name."""
    headings = re.findall(r"<h2>(.*?)</h2>", rendered(render_model_card(record)))
    assert headings == [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data and results",
        "Training data",
        "Privacy",
        "Ethical considerations",
        "Caveats and recommendations",
        "TRIPOD+AI items",
    ]


def test_every_table_is_whole(record: RunRecord) -> None:
    """A stray line break or pipe would turn figures into prose."""
    html = rendered(render_model_card(record))
    assert html.count("<table>") == 6
    for table in re.findall(r"<table>.*?</table>", html, re.DOTALL):
        widths = {row.count("<td") + row.count("<th>") for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)}
        assert len(widths) == 1
    assert "|" not in re.sub(r"<[^>]*>", "", html)


def test_figures_and_names_of_the_record_are_on_the_card(record: RunRecord) -> None:
    """The card travels with the model, away from the report."""
    card = render_model_card(record)
    for part in ("0.972 (0.948 to 0.996)", "b4" * 32, "Does this chest radiograph show an opacity?", "another country"):
        assert part in card


def test_the_front_matter_holds_json_values(record: RunRecord) -> None:
    """Model hubs read it; a title with a colon must not break it."""
    values = re.findall(r"^ *(?:- )?(?:name|type|value): (.*)$", render_model_card(record).split("---\n")[1], re.MULTILINE)
    assert len(values) == 4 + 2 * 10
    assert all(isinstance(json.loads(value), str | float) for value in values)


def test_what_the_record_does_not_know_is_a_visible_blank(make_record: Callable[..., RunRecord]) -> None:
    """Nothing is invented: with less in the record there are more blanks, and never an empty cell."""
    full, bare = render_model_card(make_record()), render_model_card(make_record(**BARE))
    assert full.count("[to be filled in by") < bare.count("[to be filled in by")
    assert "Ethical considerations\n\n[to be filled in by the ethics lead]" in full
    assert "# license: [to be filled in by the owner of the model]" in full
    assert re.search(r"\|\s*\|\s*$", full.split("TRIPOD+AI items\n")[1].split("| --- |")[2], re.MULTILINE) is None
    assert all(text for _, _, text in items(make_record(**BARE), None))
    assert len({number for number, _, _ in items(make_record(), None)}) == len(items(make_record(), None))


def test_what_the_study_states_is_on_the_card(make_record: Callable[..., RunRecord]) -> None:
    """A lead who wrote down the intended use must not find it blank."""
    record = make_record()
    study = study_of(record)
    assert study is not None
    card = render_model_card(record)
    for stated in (study.question.description, study.question.intended_use, study.question.contact, study.data.label.name):
        assert stated and stated in card
    assert study_of(make_record(study_toml="format = 0")) is None
    assert "[to be filled in by" in render_model_card(make_record(study_toml="format = 0"))


def test_synthetic_data_are_called_so(make_record: Callable[..., RunRecord]) -> None:
    """The card of a demo model must not look like that of a medical one."""
    card = render_model_card(make_record())
    assert "(synthetic data)" in card and "Synthetic data. The records in this run were generated" in card
    assert "ynthetic" not in render_model_card(make_record(synthetic=False))


@pytest.mark.parametrize("field", ["study_title", "algorithm", "privacy_mode", "engine"])
def test_no_text_of_the_record_becomes_markup(make_record: Callable[..., RunRecord], field: str) -> None:
    """Hubs render Markdown with HTML inside."""
    found = make_record().sites["north"]
    card = render_model_card(make_record(**{field: EVIL}, sites={EVIL: found}, external={EVIL: found.own}))
    html = rendered(card)
    assert not re.search(r"<(script|a|img|code|em)\b", html)
    assert re.findall(r"<h1>", html) == ["<h1>"]
    assert "<script" not in card


@given(st.text(max_size=30))
def test_escaped_text_is_read_as_it_was(text: str) -> None:
    """Escaping must neither let markup through nor eat characters."""
    assert rendered(f"---\n---\n{markdown('x ' + text)}") == rendered(f"---\n---\n{markdown('x ' + text)}")
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(str(markdown(text)))
    plain = re.sub(r"</?p>", "", html).strip()
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        plain = plain.replace(entity, sign)
    assert plain == " ".join(text.split()).replace("\0", "\ufffd").strip()


def test_the_card_is_written_where_it_was_asked(record: RunRecord, tmp_path: Path) -> None:
    """It lies beside the model."""
    assert write_model_card(record, tmp_path / "model_card.md").read_text(encoding="utf-8") == render_model_card(record)
