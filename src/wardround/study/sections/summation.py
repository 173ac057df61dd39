"""The [summation] section: how contributions are added."""

from typing import Literal

from pydantic import Field, model_validator

from wardround.crypto.quorum import LARGEST
from wardround.study.sections.section import Section


class SummationSection(Section):
    """How contributions are added: in fixed point, so that every way of adding gives the same bits."""

    mode: Literal["masked", "plain"] = Field(
        default="masked",
        description="masked: each hospital hides its contribution, and only the sum over the hospitals can be opened, by "
        "`threshold` of them together. plain: the coordinator receives each hospital's contribution and adds them.",
    )
    threshold: int | None = Field(
        default=None,
        ge=2,
        le=LARGEST,
        description="masked: how many hospitals must contribute, and help to open the sum. More than half of hospitals and "
        "collusion together. Left out: the smallest that protects, and at least sites.minimum.",
    )
    collusion: int = Field(
        default=1,
        ge=0,
        le=LARGEST - 2,
        description="masked: how many hospitals may work together with the coordinator and still learn nothing but the sum. With "
        "1, three hospitals need all three in every round. 0 trusts every hospital not to help the coordinator.",
    )
    max_set_changes: int | None = Field(
        default=None,
        ge=0,
        le=100_000,
        description="masked: how often the set of hospitals in a sum may change from one sum to the next, counted by all "
        "hospitals together. Two sums over sets that differ by one hospital are a chance to compare them; more need a new "
        "approval. Left out: as many as there are hospitals.",
    )
    word_bits: Literal[16, 32] = Field(
        default=32,
        description="Bits per value on the wire. 16 halves what travels and needs a tight clip: measured on a small network "
        "with 40 steps of Adam, rounding adds 1e-7 of the mean change (squared) with the clip at learning rate x steps, and 1e-3 "
        "with the default of 4.",
    )
    clip: float = Field(
        default=4.0,
        gt=0,
        le=1e6,
        description="Largest change of one model value in one round that a site sends; more is clipped. "
        "The default fits any training and wastes most of a 16-bit word: with those choose a tight one, for AdamW about "
        "learning rate x steps of a round.",
    )
    weight_step: int = Field(
        default=1,
        ge=1,
        le=2**20,
        description="Step of the weights: a hospital's number of training records leaves it, and weighs its model, rounded to "
        "the nearest multiple of this, and at least one. So do the opening's counts of training patients and labels. A hospital "
        "that misses a round then shows its size in such steps only; the mean over hospitals moves by the rounding. 1 is exact.",
    )
    max_update_norm: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="Largest Euclidean length of one hospital's change of the model in a round: each shortens its own to it, and "
        "a round whose mean is longer is not used. Left out: no limit.",
    )
    max_auc_drop: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="A round is taken back where its model lowers the validation AUC of all hospitals together by more than "
        "this. Left out: never.",
    )

    def stepped(self, count: int) -> int:
        """A count of training records as it may leave a hospital; none stays none.

        >>> [SummationSection(weight_step=10).stepped(count) for count in (0, 1, 14, 15, 20)]
        [0, 10, 10, 20, 20]
        """
        nearest = (2 * count + self.weight_step) // (2 * self.weight_step) * self.weight_step
        return max(nearest, self.weight_step) if count else 0

    @model_validator(mode="after")
    def plain_has_no_threshold(self) -> "SummationSection":
        if self.mode == "plain" and self.threshold is not None:
            raise ValueError("summation.threshold belongs to the masked sum; sites.minimum is what the plain sum keeps")
        if self.mode == "plain" and self.max_set_changes is not None:
            raise ValueError("summation.max_set_changes belongs to the masked sum; the plain one shows each contribution")
        return self
