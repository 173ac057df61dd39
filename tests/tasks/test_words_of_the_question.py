"""Which files may say that the answer is yes or no. Everything else must ask the task, or a second kind cannot be added."""

import re

import pytest

from ..docs.pages import ROOT

SOURCE = ROOT / "src" / "wardround"
WORDS = re.compile(r"\blogits?\b|sigmoid|\bpositives?\b|\bAUC\b|\bauc\b|max_auc_drop|sensitivity|specificity", re.IGNORECASE)

HOMES = ("tasks/", "study/label.py", "study/sections/task.py", "sources/datasets/contracts/", "study/starters/")
"""The task, the label section, and the contracts and starters that fill the label section in."""

EXCEPTIONS = {
    "__init__.py": "the example that a newcomer reads shows a figure by its key",
    "cli/simulate.py": "--split label:... states shares of positive records, as [simulation] does",
    "simulation/division.py": "divides by shares of positive records, where the study asks for it",
    "study/sections/simulation.py": "the setting positive_share",
    "study/sections/summation.py": "the setting max_auc_drop",
    "study/rules/algorithm.py": "which algorithms max_auc_drop goes with",
    "study/reading.py": "the earlier spelling of max_auc_drop",
    "study/rules/private.py": "max_auc_drop is refused under privacy",
    "study/record/run_record.py": "names the label count that older records hold",
    "plan/plan.py": "reads max_auc_drop",
    "hub/acceptance.py": "reads max_auc_drop; what falls is the task's headline",
    "training/images/scanner_shift.py": "an S-curve of a film's exposure; no output of a model",
    "cli/clinic/": "a hospital's own words for what it asks of a yes-or-no model",
    "clinic/": "yes, no and cannot tell for doctors, as prediction has them; other models are refused",
    "prediction/": "answers for yes-or-no models alone, and refuses others",
    "study/record/model_statement.py": "names the scores that prediction reads",
    "training/onnx_export.py": "the step from output to what is shown has a default",
    "analysis/regression/fitted_model.py": "a fitted logistic regression has a label with two sides, as the label section says",
    "analysis/survival/fitted_model.py": "an event seen or not is written in the label section's two sides",
    "training/linear_export.py": "the file of a fitted logistic regression shows a probability",
    "sources/readiness/findings.py": "tells a data manager of the label's two sides in the words of the label section",
    "sources/synthetic/anatomy.py": "a direction in the body",
    "sources/dicom/picture/": "a window of positive width, a sign, a negative film",
    "sources/tables/workbooks/": "numbers above and below zero have formats of their own",
    "sources/mapping/proposing.py": "proposes words for the label section's two sides",
    "sources/mapping/vocabulary.py": "words of hospitals for yes and no",
    "audit/privacy_bounds.py": "true and false positives of an attack",
    "study/record/privacy_record.py": "sensitivity of a sum, as differential privacy has it",
    "privacy/": "sensitivity of a sum, as differential privacy has it",
}


def speakers() -> dict[str, str]:
    """Files that use a word of the question, each with the first line that does."""
    said = {}
    for path in sorted(SOURCE.rglob("*")):
        if path.suffix in (".py", ".toml", ".j2", ".html", ".css"):
            lines = (line for line in path.read_text("utf-8").splitlines() if WORDS.search(line))
            if (line := next(lines, None)) is not None:
                said[path.relative_to(SOURCE).as_posix()] = line.strip()
    return said


def test_only_the_task_and_named_exceptions_say_that_the_answer_is_yes_or_no() -> None:
    """It stood in 43 files once, even in the types."""
    allowed = (*HOMES, *EXCEPTIONS)
    strangers = {name: line for name, line in speakers().items() if not name.startswith(allowed)}
    assert strangers == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EXCEPTIONS))
def test_an_exception_that_nobody_needs_is_struck_off(name: str) -> None:
    """The list must shrink with the code."""
    assert any(said.startswith(name) for said in speakers())


def test_evidence_knows_no_question_at_all() -> None:
    """Reports and cards are where a wrong word would be read by a doctor."""
    assert not [name for name in speakers() if name.startswith("evidence/")]
