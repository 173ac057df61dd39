"""The [personal] section: what each hospital makes of the federated model, of which it keeps what is best for its patients."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from wardround.algorithms.personal import CANDIDATES, OWN
from wardround.study.sections.section import Section


def _registered(name: str) -> str:
    if name not in CANDIDATES:
        raise ValueError(f"a candidate is one of {', '.join(CANDIDATES)}; found {name[:80]!r}: write one of these")
    return name


def _names_of_candidates(schema: dict[str, Any]) -> None:
    schema["items"] = {"type": "string", "enum": list(CANDIDATES)}


class PersonalSection(Section):
    """Personal models. Each hospital makes them for itself, after the federated model is done: nothing of them leaves it."""

    candidates: tuple[Annotated[str, AfterValidator(_registered)], ...] = Field(
        default=(),
        description="What each hospital chooses among, own always among them; empty: no personal models. Chosen by the loss on "
        "its validation patients: another model in place of its own where that is better by more than one standard error, and "
        "half of each where the difference is within it.",
        json_schema_extra=_names_of_candidates,
    )
    passes: Annotated[int, Field(ge=1, le=100)] = Field(
        default=10, description="Most passes over a hospital's own records from the federated model on, 1 to 100."
    )
    rate: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=1.0, description="Learning rate of these passes, as a fraction of training.learning_rate, above 0 to 1."
    )
    proximal_mu: Annotated[float, Field(gt=0.0, le=100.0)] = Field(
        default=0.1, description="Weight of proximal's pull towards the federated model, above 0 to 100."
    )

    @model_validator(mode="after")
    def _candidates_fit(self) -> "PersonalSection":
        if len(set(self.candidates)) != len(self.candidates):
            raise ValueError("personal.candidates names one twice: write each once")
        if self.candidates and OWN not in self.candidates:
            raise ValueError('personal.candidates lacks "own", which a hospital keeps where nothing is better: add it')
        return self

    def reads(self, setting: str) -> bool:
        """Whether a candidate reads this setting."""
        return any(setting in CANDIDATES[name].reads for name in self.candidates)
