"""The laws of every analysis, for each way to ask for an effect."""

import numpy as np

from tests.analysis.analysis_conformance import AnalysisConformance
from tests.analysis.drawn_rows import drawn
from tests.analysis.effects.trials import analysis, patients
from wardround.analysis.effects.build import EffectAnalysis, build
from wardround.study.reading import parse_study
from wardround.study.starter import starter
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


class TestStarter(AnalysisConformance):
    """What `wardround study new --analysis effect` writes, on patients of its contract."""

    def analysis(self) -> EffectAnalysis:
        return build(parse_study(starter("effect")))

    def rows(self) -> Rows:
        random = np.random.default_rng(3)
        age, sex, before = random.uniform(18, 90, 500), random.integers(0, 2, 500), random.normal(150, 18, 500)
        treatment = random.integers(0, 3, 500)
        later = np.clip(0.6 * before + 45 + 0.1 * age - 6 * (treatment == 1) + random.normal(0, 8, 500), 70, 260)
        before = np.where(random.random(500) < 0.1, np.nan, np.clip(before, 70, 260))
        columns = {"pressure_later": later, "treatment": treatment, "age": age, "sex": sex, "pressure_before": before}
        return drawn(500, {name: np.asarray(values, np.float64) for name, values in columns.items()})
