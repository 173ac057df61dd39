"""What a hospital asks of a model before doctors see it: criteria.toml, set with `wardround clinic criteria`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from wardround.study.sections.section import Section

NOT_ASKED = "none"
"""How the file says that a limit was taken away: TOML has no null, and a limit that is left out has its default."""
Share = Annotated[float, Field(ge=0, le=1)]
Limit = Annotated[Share | None, BeforeValidator(lambda value: None if value == NOT_ASKED else value)]
Cases = Annotated[int, Field(ge=0, le=10**9)]


class Criteria(Section):
    """A limit of null, in the file "none", is not asked for.

    Figures are of this hospital's own cases, none of which judged what it had made.
    """

    judged_by: Literal["interval", "figure"] = Field(
        default="interval",
        description="interval: the end of the 95 % interval must keep the limit, so few cases fail. figure: the figure itself.",
    )
    auc_at_least: Limit = Field(default=0.8, description="Smallest AUC.")
    sensitivity_at_least: Limit = Field(default=0.8, description="Smallest sensitivity at the threshold.")
    specificity_at_least: Limit = Field(default=None, description="Smallest specificity at the threshold.")
    ppv_at_least: Limit = Field(default=None, description="How often a yes must be right at least, as common as it is here.")
    npv_at_least: Limit = Field(default=None, description="How often a no must be right at least, as common as it is here.")
    ece_at_most: Limit = Field(
        default=0.1, description="Largest calibration error after local recalibration; always by the figure."
    )
    coverage_at_least: Limit = Field(
        default=0.8,
        description="Smallest share of either class for which the answer with `cannot tell` holds the truth; by the figure.",
    )
    cannot_tell_at_most: Limit = Field(default=0.5, description="Largest share of cases that get `cannot tell`; by the figure.")
    cases_at_least: Cases = Field(default=50, description="Fewest labelled cases.")
    each_class_at_least: Cases = Field(default=20, description="Fewest cases with the finding, and fewest without.")
    subgroup_gap_at_most: Limit = Field(
        default=None,
        description="How far the AUC of a subgroup may lie below that of everybody; groups too small are not judged.",
    )
