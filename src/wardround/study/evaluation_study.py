"""From the study that a model was learned in to one that evaluates it: the same records and network, and nothing of training."""

from typing import Any

import tomli_w

from wardround.study.declaration import Study
from wardround.study.sections.algorithm import AlgorithmSection
from wardround.study.sections.evaluation import Decision, EvaluationSection
from wardround.study.sections.personal import PersonalSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.section import Section
from wardround.study.sections.sites import SitesSection
from wardround.study.sections.summation import SummationSection
from wardround.study.sections.training import TrainingSection

_LEFT: dict[str, type[Section]] = {
    "training": TrainingSection,
    "algorithm": AlgorithmSection,
    "summation": SummationSection,
    "privacy": PrivacySection,
    "evaluation": EvaluationSection,
    "personal": PersonalSection,
    "sites": SitesSection,
}
"""Sections that say how to train, or who trained: they begin anew."""

_HEAD = """# A Wardround study that evaluates a finished model: hospitals say, in one sum, how it does on their patients.
# Nothing is trained.
# Check it with: wardround study check THIS_FILE        Every setting: docs/study-reference.md
#
# [data.splits]: the figures are of each hospital's test patients. Left as it is, no patient that the model learned from at a
# hospital that took part is among them. At hospitals that took no part all patients may be tested: validation = 0, test = 1.
# Which hospitals: [sites] names = ["..."]; at a hub they may be left out, and are all of its roster.

"""


def evaluation_study(earlier: Study, model: str, threshold: Decision) -> Study:
    """The study that asks how a model does. StudyError where no such study can be had.

    earlier: the study that it was learned in. model: the hash of its arrays. threshold: its own; None where it has none."""
    plain = {name: _defaults(section) for name, section in _LEFT.items()}
    network = {"dropout": None, "pretrained": False, "fine_tune": "all", "from_block": None}
    views = {} if earlier.learned.backbone is None else {"backbone": {"views": 0}}
    judged = {
        "model": model,
        "model_threshold": threshold,
        "own_baseline": False,
        "flip_average": earlier.evaluation.flip_average,
    }
    return earlier.revised(
        question={"title": f"Evaluation: {earlier.question.title}"[:200]},
        network={**network, **views},
        **{**plain, "algorithm": {**plain["algorithm"], "rounds": 0}, "evaluation": {**plain["evaluation"], **judged}},
    )


def _defaults(section: type[Section]) -> dict[str, Any]:
    return section().model_dump(mode="json")


def evaluation_text(study: Study) -> str:
    """The study as a file, with what differs from the defaults."""
    stated = study.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return _HEAD + tomli_w.dumps({"format": 1, **stated})
