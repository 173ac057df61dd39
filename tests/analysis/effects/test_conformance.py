"""The laws of every analysis, for each way to ask for an effect."""

from tests.analysis.analysis_conformance import AnalysisConformance
from tests.analysis.effects.trials import analysis, patients
from wardround.analysis.effects.build import EffectAnalysis
from wardround.values.rows import Rows


class TestDrawnByLot(AnalysisConformance):
    def analysis(self) -> EffectAnalysis:
        return analysis(probabilities=[1 / 3, 1 / 3, 1 / 3])

    def rows(self) -> Rows:
        return patients()


class TestChosen(AnalysisConformance):
    def analysis(self) -> EffectAnalysis:
        return analysis(links=["identity", "log"], better="lower")

    def rows(self) -> Rows:
        return patients(chosen=True)


class TestYesOrNo(AnalysisConformance):
    def analysis(self) -> EffectAnalysis:
        return analysis(outcome="died", arms=["usual", "new"], individual=False)

    def rows(self) -> Rows:
        return patients(chosen=True)
