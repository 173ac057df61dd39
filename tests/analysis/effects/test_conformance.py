"""The laws of every analysis, for each way to ask for an effect."""

from tests.analysis.analysis_conformance import AnalysisConformance
from tests.analysis.effects.trials import analysis, patients
from wardround.analysis.effects.build import EffectAnalysis
from wardround.values.rows import Rows


class TestDrawnByLot(AnalysisConformance):
    tolerance = 1e-8  # squares of scores stand on a grid whose bound is that of the worst score

    def analysis(self) -> EffectAnalysis:
        return analysis(probabilities=[1 / 3, 1 / 3, 1 / 3])

    def rows(self) -> Rows:
        return patients()


class TestChosen(AnalysisConformance):
    tolerance = 1e-7  # a probability of 0.05 makes the worst score twenty times as large

    def analysis(self) -> EffectAnalysis:
        return analysis(links=["identity", "log"], better="lower", smallest_probability=0.05)

    def rows(self) -> Rows:
        return patients(chosen=True)


class TestYesOrNo(AnalysisConformance):
    tolerance = 1e-8

    def analysis(self) -> EffectAnalysis:
        return analysis(outcome="died", arms=["usual", "new"], individual=False)

    def rows(self) -> Rows:
        return patients(chosen=True)
