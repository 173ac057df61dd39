"""What rules over several sections look at. Rules take sections and never a study: so no study exists that breaks one."""

from typing import Protocol

from wardround.study.contract import DataContract
from wardround.study.sections.algorithm import AlgorithmSection
from wardround.study.sections.evaluation import EvaluationSection
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.personal import PersonalSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.sites import SitesSection
from wardround.study.sections.summation import SummationSection
from wardround.study.sections.training import TrainingSection


class PatientSections(Protocol):
    """The sections that say how many patients, or sites, there are."""

    @property
    def privacy(self) -> PrivacySection: ...
    @property
    def sites(self) -> SitesSection: ...


class Sections(Protocol):
    """The sections of a study file that rules hold against each other."""

    @property
    def data(self) -> DataContract: ...
    @property
    def network(self) -> NetworkSection: ...
    @property
    def training(self) -> TrainingSection: ...
    @property
    def algorithm(self) -> AlgorithmSection: ...
    @property
    def summation(self) -> SummationSection: ...
    @property
    def privacy(self) -> PrivacySection: ...
    @property
    def evaluation(self) -> EvaluationSection: ...
    @property
    def personal(self) -> PersonalSection: ...
    @property
    def sites(self) -> SitesSection: ...
