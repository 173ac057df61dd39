"""A study as one frozen value: everything that decides what is learned, from which data, and how it is protected."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from wardround.crypto.quorum import Quorum, smallest_threshold
from wardround.study.contract import DataContract
from wardround.study.rules.algorithm import unfit_settings
from wardround.study.rules.analysis import broken_analysis_rules
from wardround.study.rules.evaluation_only import trained_settings
from wardround.study.rules.private import broken_rules
from wardround.study.rules.private_head import broken_head_rules
from wardround.study.rules.sections import Sections
from wardround.study.rules.uses import unread_settings
from wardround.study.sections.algorithm import AlgorithmSection
from wardround.study.sections.analysis.analysis import AnalysisSection
from wardround.study.sections.backbone import SMALLEST_SIDE
from wardround.study.sections.evaluation import EvaluationSection
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.personal import PersonalSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.question import QuestionSection
from wardround.study.sections.section import Section
from wardround.study.sections.sites import SitesSection
from wardround.study.sections.summation import SummationSection
from wardround.study.sections.training import TrainingSection
from wardround.study.toml_reading import problem_sentence
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.errors import StudyError
from wardround.values.ids import SiteId


class Study(Section):
    """The whole study. Two studies with the same hash are the same study.

    `load_study` reads one from a file. It cannot be changed: `revised` gives another, checked anew.

    Parameters
    ----------
    format
        Version of the file format: 1.
    question
        What is asked: title, description, intended use, contact.
    data
        What the data must look like at every hospital: kind, label, units and ranges.
    network
        The model. Required, as are `question` and `data`, unless `analysis` is there.
    analysis
        Tables and figures in place of a model: a study has either.
    training, algorithm
        How a hospital trains, and how the hospitals' work is joined. Learning rates, steps and rounds stand here.
    summation, privacy
        How contributions are added, and what is protected beyond that: clip norm, noise multiplier, epsilon and delta.
    evaluation
        How the model is judged.
    personal
        What each hospital makes of the federated model, of which it keeps what is best for its patients.
    sites
        Who takes part, and their keys.

    Raises
    ------
    pydantic.ValidationError
        Where a setting is unknown, out of range, read by nothing, or breaks a rule between sections. `load_study` and `revised`
        raise StudyError in its place, with the line or the setting.
    """

    format: int = Field(default=1, ge=1, le=1, description="Version of this file format: 1.")
    question: QuestionSection = Field(description="What is asked.")
    data: DataContract = Field(description="What the data must look like at every hospital.")
    network: NetworkSection | None = Field(default=None, description="The model. A study has either this section or [analysis].")
    analysis: AnalysisSection | None = Field(
        default=None, description="Tables and figures in place of a model. A study has either this section or [network]."
    )
    training: TrainingSection = Field(default_factory=TrainingSection, description="How a hospital trains.")
    algorithm: AlgorithmSection = Field(default_factory=AlgorithmSection, description="How hospitals' work is joined.")
    summation: SummationSection = Field(default_factory=SummationSection, description="How contributions are added.")
    privacy: PrivacySection = Field(default_factory=PrivacySection, description="What is protected beyond that.")
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection, description="How the model is judged.")
    personal: PersonalSection = Field(default_factory=PersonalSection, description="What each hospital makes of that model.")
    sites: SitesSection = Field(default_factory=SitesSection, description="Who takes part.")

    @model_validator(mode="after")
    def sections_fit_each_other(self) -> "Study":
        if self.network is None and self.analysis is None:
            raise ValueError("[network] says what is learned, or [analysis] what is asked for: add one of them")
        if self.network is not None and self.analysis is not None:
            raise ValueError("a study has either [network] or [analysis]: remove one of them")
        if self.summation.mode == "masked" and self.sites.names:
            self._quorum_fits()
        if self.analysis is not None:
            if broken := tuple(broken_analysis_rules(self)):
                raise ValueError("; also: ".join(broken))
            return self
        return self._learning_sections_fit()

    def _learning_sections_fit(self) -> "Study":
        image = self.data.kind == "image"
        data = "molecules" if self.data.kind == "molecule" else "a table"
        sections = cast(Sections, self)
        if broken := (
            *trained_settings(sections),
            *unfit_settings(sections),
            *unread_settings(sections),
            *broken_rules(sections),
            *broken_head_rules(sections),
        ):
            raise ValueError("; also: ".join(broken))
        if not image and self.learned.name not in ("mlp", "logistic"):
            raise ValueError(f'network.name = "{self.learned.name}" reads images, the data are {data}: choose mlp or logistic')
        if not image and self.evaluation.threshold == "robust":
            raise ValueError(f'evaluation.threshold = "robust" shifts scanners, which {data} does not have: choose validation')
        if self.learned.backbone is not None:
            if self.learned.backbone.views and not self.privacy.of_patients:
                raise ValueError(
                    "network.backbone.views would count as records of their own: only the patient modes of privacy have it"
                )
            self._backbone_has_images()
        return self

    @property
    def learned(self) -> NetworkSection:
        """The network of a study that learns one. StudyError for a study that asks for an analysis."""
        if self.network is None:
            raise StudyError(
                "The study asks for an analysis, and has no network",
                found="[analysis]",
                hint="run it with `wardround simulate`; what needs a model needs a study with [network]",
            )
        return self.network

    def _backbone_has_images(self) -> None:
        if self.data.kind != "image":
            raise ValueError(f"network.backbone reads images, the data are {self.data.kind}s: remove [network.backbone]")
        if min(self.data.image.size) < SMALLEST_SIDE:
            raise ValueError(
                f"network.backbone needs images of at least {SMALLEST_SIDE} pixels on each side, data.image.size is "
                f"{list(self.data.image.size)}: it was trained on 224"
            )
        changed = self.training.augmentation.model_dump(exclude_defaults=True, exclude={"mixup"})
        views = self.learned.backbone.views if self.learned.backbone is not None else 0
        if changed and not views:
            raise ValueError(
                f"training.augmentation.{min(changed)} changes images, and behind network.backbone training reads features that "
                "were computed once: remove it (mixup alone works on features), or set network.backbone.views"
            )
        if views and not changed:
            raise ValueError("network.backbone.views are changed as training.augmentation says, which changes nothing: set it")

    def _quorum_fits(self) -> None:
        try:
            _ = self.quorum
        except StudyError as error:
            raise ValueError(str(error)) from error

    def with_privacy(self, **settings: object) -> "Study":
        """The same study with other settings of its privacy section, checked as a study file is."""
        return self.revised(privacy=settings)

    def revised(self, **sections: Mapping[str, object]) -> "Study":
        """The same study with other settings, checked as a study file is.

        Parameters
        ----------
        sections
            Section -> its settings that change, as TOML would hold them. A table inside a section is merged too; a setting
            that is None is as if left out.

        Raises
        ------
        StudyError
            Where the changed study is not sound, with every reason.
        """
        changed = merged(self.model_dump(mode="json"), sections)
        try:
            return type(self).model_validate_json(json.dumps(changed, allow_nan=False))
        except ValidationError as error:
            problems = error.errors(include_url=False)
            reasons = "; also: ".join(map(_reason, problems))
            hint = "" if any(map(_says_what_to_do, problems)) else "change that setting"
            raise StudyError("The changed study is not sound", found=reasons, hint=hint) from error
        except (TypeError, ValueError) as error:
            raise StudyError("A setting is a date, NaN or infinity", hint="give text, or a finite number") from error

    @property
    def quorum(self) -> Quorum:
        """Who is approved, and how many of them open a masked sum. StudyError where the named sites are too few to hide one."""
        return self.quorum_of(self.sites.names)

    def quorum_of(self, names: Iterable[str]) -> Quorum:
        """The quorum of these sites. StudyError where they are too few to hide one another."""
        sites = tuple(sorted(SiteId(name) for name in names))
        collusion = self.summation.collusion
        smallest = max(smallest_threshold(len(sites), collusion), self.sites.minimum)
        return Quorum(sites, self.summation.threshold or smallest, collusion)

    @property
    def evaluates_only(self) -> bool:
        """Whether hospitals are asked how a finished model does on their patients, and nothing is trained."""
        return self.evaluation.model is not None

    @property
    def keeps_heads(self) -> bool:
        """Whether each hospital keeps a last layer, and a question, of its own."""
        return self.network is not None and self.network.private == "head"

    @property
    def set_changes(self) -> int:
        """How often the set of sites in a masked sum may change."""
        stated = self.summation.max_set_changes
        return len(self.sites.names) if stated is None else stated

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, with every default written out but those of `LATER_SETTINGS`."""
        return sha256_hex(canonical_json(without_later_settings(self.model_dump(mode="json"))))


LATER_SETTINGS: Mapping[str, object] = {
    "analysis": None,
    **{f"analysis.{kind}": None for kind in ("describe", "regression", "survival", "effect")},
    "analysis.regression.term_tests": "wald",
    "analysis.regression.reach": 200.0,
    "analysis.regression.reml": False,
    "analysis.survival.strata_baselines": False,
    "analysis.survival.reach": 30.0,
    "analysis.effect.reach": 150.0,
    "data.label.task": None,
    "data.molecule": None,
    "network.dropout": None,
    "network.pool": None,
    "network.private": None,
    "training.beta2": 0.999,
    "training.keep_optimizer": False,
    "training.head_passes": 10,
    "training.augmentation.border": "zeros",
    "training.augmentation.cutout_fill": "zero",
    "personal": PersonalSection().model_dump(mode="json"),
    "evaluation.model": None,
    "evaluation.model_threshold": None,
}
"""Settings that came after studies had been agreed on -> the value that leaves a study as it was. With that value a setting is
not hashed, so that these studies keep their hash. A value here never changes, also where a default does; [personal] is left
out where it makes no candidate, since it may hold nothing else then."""


def without_later_settings(dumped: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """A dumped study without the settings of `LATER_SETTINGS` that leave it as it was."""
    kept: dict[str, Any] = {}
    for name, value in dumped.items():
        if f"{path}{name}" in LATER_SETTINGS and value == LATER_SETTINGS[f"{path}{name}"]:
            continue
        kept[name] = without_later_settings(value, f"{path}{name}.") if isinstance(value, Mapping) else value
    return kept


REPLACED_WHOLE = frozenset({"keys", "public_patients"})
"""Tables whose keys are names of hospitals: one more or less would be another set."""


def merged(settings: Mapping[str, Any], changes: Mapping[str, object]) -> dict[str, Any]:
    """The settings with the changes in place; tables inside are merged, all other values replaced."""
    result = dict(settings)
    for name, change in changes.items():
        before = result.get(name)
        inside = isinstance(before, Mapping) and isinstance(change, Mapping) and name not in REPLACED_WHOLE
        result[name] = merged(before, change) if inside else change  # type: ignore[arg-type]
    return result


def _says_what_to_do(problem: ErrorDetails) -> bool:
    """Whether an error with a hint of its own stands behind it: two hints would contradict one another."""
    behind = getattr(problem.get("ctx", {}).get("error"), "__cause__", None)
    return isinstance(behind, StudyError) and bool(behind.hint)


def _reason(problem: ErrorDetails) -> str:
    setting = ".".join(str(part) for part in problem["loc"])
    sentence = problem_sentence(Study, problem, {})
    return f"{setting}: {sentence}" if setting else sentence
