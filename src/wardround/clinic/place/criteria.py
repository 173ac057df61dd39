"""What a hospital asks of a model before doctors see it: criteria.toml, set with `wardround clinic criteria`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from wardround.study.sections.section import Section

NOT_ASKED = "none"
"""How the file says that a limit was taken away: TOML has no null, and a limit that is left out has its default."""
Share = Annotated[float, Field(ge=0, le=1)]
Limit = Annotated[Share | None, BeforeValidator(lambda value: None if value == NOT_ASKED else value)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
AnyLimit = Annotated[Number | None, BeforeValidator(lambda value: None if value == NOT_ASKED else value)]
Gap = Annotated[Annotated[Number, Field(ge=0)] | None, BeforeValidator(lambda value: None if value == NOT_ASKED else value)]
Cases = Annotated[int, Field(ge=0, le=10**9)]


class Criteria(Section):
    """A limit of null, in the file "none", is not asked for.

    Figures are of this hospital's own cases, none of which judged what it had made.
    """

    judged_by: Literal["interval", "figure"] = Field(
        default="interval",
        description="interval: the end of the 95 % interval must keep the limit, so few cases fail. figure: the figure itself.",
    )
    headline_at_least: AnyLimit = Field(
        default=None,
        description="classes, findings, time: smallest figure by which such models are judged (mean AUC, C-index).",
    )
    headline_at_most: AnyLimit = Field(
        default=None,
        description="grades, number, count: largest figure by which such models are judged (log-loss, root mean square error, "
        "deviance).",
    )
    gain_at_least: AnyLimit = Field(
        default=0.0,
        description="Every question but yes or no: by how much the loss must lie below that of whoever knows only how common "
        "each answer is here; in nats, of a number in squares of its scale.",
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
        description="Smallest share of either class (of another question: of all cases) for which the answer with `cannot tell` "
        "holds the truth; by the figure.",
    )
    cannot_tell_at_most: Limit = Field(default=0.5, description="Largest share of cases that get `cannot tell`; by the figure.")
    cases_at_least: Cases = Field(default=50, description="Fewest labelled cases.")
    each_class_at_least: Cases = Field(default=20, description="Fewest cases with the finding, and fewest without.")
    subgroup_gap_at_most: Gap = Field(
        default=None,
        description="How far the AUC of a subgroup (of another question: the figure by which such models are judged) may lie "
        "below that of everybody, or above where less is better; groups too small are not judged.",
    )
