"""What a federation without a hospital is worth to it: the model of the others, judged at a hospital that it has never seen.

It is written as `left_out.json` beside `record.json`, which stays what it was when the run ended.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from wardround.study.record.evaluation_record import Evaluation, Sha256, by_name
from wardround.study.record.run_record import PairedRecord
from wardround.study.sections.section import Section
from wardround.values.canonical import canonical_json
from wardround.values.errors import RunError


class LeftOutRecord(Section):
    """One hospital's turn: the others trained without it, and their model was tested once on its test patients."""

    hospitals: tuple[str, ...] = Field(description="Who trained.")
    model: Sha256 = Field(description="Hash of the model's safetensors file.")
    evaluation: Evaluation = Field(
        description="The model on the test patients of the hospital that was left out: at the threshold that it carries, or "
        "where `evaluation.threshold` is `local` at one that this hospital's own validation patients chose."
    )
    paired: Annotated[dict[str, PairedRecord], AfterValidator(by_name)] = Field(
        default_factory=dict,
        description="That model's figures less those of the hospital's own model, on the same patients, by metric key; empty "
        "where they could not be compared.",
    )


class LeftOuts(Section):
    """All turns of one run, by the hospital that was left out."""

    format: Literal[1] = Field(default=1, description="Version of this format.")
    run_id: str = Field(description="The run whose study was trained again without a hospital.")
    sites: Annotated[dict[str, LeftOutRecord], AfterValidator(by_name)] = Field(
        default_factory=dict, description="By the hospital that was left out."
    )

    def with_site(self, site: str, entry: LeftOutRecord) -> "LeftOuts":
        """The same with one more turn."""
        return LeftOuts(run_id=self.run_id, sites={**self.sites, site: entry})

    def to_json(self) -> bytes:
        """Canonical JSON; `left_outs_at` reads it back."""
        return canonical_json(self.model_dump(mode="json"))


def left_outs_at(path: Path, run_id: str) -> LeftOuts:
    """The turns kept at `path` for a run; none where there is no file. RunError where it is of another run, or damaged."""
    if not path.is_file():
        return LeftOuts(run_id=run_id)
    hint = "remove that file and leave the hospitals out again: wardround simulate ... --resume --left-out all"
    try:
        kept = LeftOuts.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise RunError(f"{path} cannot be read", expected="format 1", found=problem, hint=hint) from error
    if kept.run_id != run_id:
        raise RunError(f"{path} is of another run", expected=run_id, found=kept.run_id, hint=hint)
    return kept


Turns = Mapping[str, LeftOutRecord]
"""What was learnt without each hospital, by the hospital that was left out."""

NO_TURNS: Turns = MappingProxyType({})
"""Nobody was left out."""
