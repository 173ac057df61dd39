"""A hospital's own task: read strictly, bound by its hash, and nowhere in the study that all agree on."""

from pathlib import Path

import pytest

import wardround as wr
import wardround.tasks
from wardround.study.own_task import at_home, load_own_task, parse_own_task, require_own_task
from wardround.study.reading import load_study, parse_study
from wardround.study.starter import PARTNERS, starter
from wardround.study.starter import TASK as TASK_STARTER
from wardround.study.writing import to_toml
from wardround.values.errors import StudyError

STUDY = """
[question]
title = "Partners"
[data]
kind = "table"
[[data.columns]]
names = ["a", "b"]
range = [0, 1]
[network]
name = "mlp"
hidden = [8]
private = "head"
"""
TASK = """
[label]
name = "liver"
[task]
kind = "findings"
findings = [{ name = "first", column = "x" }, { name = "second", column = "y" }]
"""


def test_a_study_that_keeps_heads_names_no_question() -> None:
    """[network] private says it; nobody has to write a kind of question that is none."""
    study = parse_study(STUDY)
    assert study.keeps_heads and study.data.label.kind == "undisclosed" and study.data.label.columns == ()
    assert parse_study(to_toml(study)) == study and parse_study(to_toml(study)).hash == study.hash


def test_a_study_without_private_heads_has_the_hash_that_it_had() -> None:
    """Settings that came later are not hashed where they leave a study as it was."""
    plain = parse_study(STUDY.replace('private = "head"\n', ""))
    assert plain.hash == plain.revised(network={"private": None}, training={"head_passes": 10}).hash
    assert "head_passes" not in plain.model_dump_json(exclude={"training": {"head_passes"}})


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (STUDY + '[data.label]\ncolumn = "x"\n', "leave \\[task\\] and \\[data.label\\] out"),
        (STUDY + TASK.partition("[task]")[1] + TASK.partition("[task]")[2], "keeps each hospital's question at the hospital"),
        (STUDY + '[task]\nkind = "undisclosed"\nblank = ["1"]\n', "task.blank does nothing"),
        (STUDY + '[data.label]\nkind = "undisclosed"\nname = "liver"\n', "name says something of a question"),
        (STUDY + '[algorithm]\nname = "fedper"\n', "would keep it once more"),
        (STUDY + "[evaluation.external]\n", "remove \\[evaluation.external\\]"),
        (STUDY + "[training]\nclass_balance = false\n", "training.class_balance does nothing"),
        (STUDY + "[summation]\nmax_auc_drop = 0.1\n", "summation.max_auc_drop does nothing"),
        (STUDY.replace("hidden = [8]", "hidden = []"), "nothing there learns"),
        (STUDY.replace('"mlp"\nhidden = [8]', '"logistic"'), "nothing there learns"),
        (STUDY.replace('private = "head"', "") + '[task]\nkind = "undisclosed"\n', "belongs to network.private"),
        (STUDY.replace('private = "head"', "") + "[training]\nhead_passes = 3\n", "training.head_passes does nothing"),
    ],
)
def test_what_does_not_go_with_it_is_refused_with_a_reason(changed: str, reason: str) -> None:
    """A study that says half of it would share what its partners believe to be theirs."""
    with pytest.raises(StudyError, match=reason):
        parse_study(changed)


def test_a_study_as_one_hospital_carried_it_out_is_nobodys_study(tmp_path: Path) -> None:
    """It stands in that hospital's record, where its question is named: run by mistake, it would send the whole network."""
    home = at_home(parse_study(STUDY), parse_own_task(TASK))
    assert home.data.label.kind == "findings" and not home.keeps_heads
    assert parse_study(to_toml(home)) == home
    path = tmp_path / "study.toml"
    path.write_text(to_toml(home), "utf-8")
    with pytest.raises(StudyError, match="take the study that all hospitals agreed on"):
        load_study(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "label: missing"),
        ("[label]\nnme = 3\n", "line 2, label.nme: unknown key; did you mean name"),
        ("[label]\n[other]\n", "line 2, other: unknown key"),
        ('[task]\nkind = "undisclosed"\n', "names its question"),
        ('[label]\nkind = "count"\n[task]\nkind = "number"\n', "in two places"),
        ("[label]\n[training]\nlabel_smoothing = 0.9\n", "line 3, training.label_smoothing"),
        ('[task]\nkind = "findings"\nfindings = [{ name = "a", colum = "x" }]\n', "task.findings.0.colum"),
    ],
)
def test_a_task_file_that_is_not_sound_says_where(text: str, reason: str) -> None:
    """As a study file does: every problem with its line."""
    with pytest.raises(StudyError, match=reason):
        parse_own_task(text)


def test_a_task_that_does_not_fit_the_study_is_refused() -> None:
    """An input that is also the answer would be learned in a round, and look like a miracle."""
    with pytest.raises(StudyError, match="label 'a' may not be one of the columns"):
        at_home(parse_study(STUDY), parse_own_task('[label]\ncolumn = "a"\n'))
    with pytest.raises(StudyError, match="label_smoothing does nothing"):
        at_home(parse_study(STUDY), parse_own_task('[task]\nkind="number"\nrange=[0, 1]\n[training]\nlabel_smoothing = 0.1\n'))


def test_a_task_for_a_study_that_names_its_question_is_refused(tmp_path: Path) -> None:
    """A file that nothing reads is a mistake; and a study that leaves the question open cannot do without one."""
    named = parse_study(STUDY.replace('private = "head"\n', ""))
    path = tmp_path / "task.toml"
    path.write_text(TASK, "utf-8")
    with pytest.raises(StudyError, match="leave the task file out"):
        at_home(named, load_own_task(path))
    assert require_own_task(named, None, "north") is named
    with pytest.raises(StudyError, match=r"north names none.*--task NAME=FILE"):
        require_own_task(parse_study(STUDY), None, "north")
    with pytest.raises(StudyError, match="wardround study new"):
        load_own_task(tmp_path / "other.toml")


def test_the_hash_of_a_task_is_of_what_it_says(tmp_path: Path) -> None:
    """An approval is bound to it: a comment changes nothing, one value does."""
    path = tmp_path / "task.toml"
    path.write_text(f"# of our own\n{TASK}", "utf-8")
    assert load_own_task(path).hash == parse_own_task(TASK).hash
    assert parse_own_task(TASK.replace('"y"', '"z"')).hash != parse_own_task(TASK).hash


def test_the_starters_are_a_study_and_a_task_that_fits_another() -> None:
    """A newcomer begins with both."""
    study = parse_study(starter(PARTNERS))
    assert study.keeps_heads and at_home(study, parse_own_task(starter(TASK_STARTER))).data.label.kind == "findings"


def test_a_study_of_python_reads_as_one_of_a_file(tmp_path: Path) -> None:
    """The public reader knows the kinds of question."""
    path = tmp_path / "study.toml"
    path.write_text(STUDY, "utf-8")
    assert wr.load_study(path).keeps_heads
