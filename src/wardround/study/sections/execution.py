"""The [run] section: how the machine that starts a run works. None of it changes what is learned."""

from typing import Literal

from pydantic import Field

from wardround.study.sections.section import Section

Device = Literal["auto", "cpu", "cuda", "mps"]
DEADLINE_S = 3600.0


class ExecutionSection(Section):
    """How the machine that starts a run works. None of it changes what is learned."""

    workers: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Simulated hospitals at work at once; 0 or 1: one after the other. Left out: as many as fit the machine.",
    )
    deadline_s: float = Field(default=DEADLINE_S, gt=0, le=604_800, description="Seconds that a hospital has to answer an order.")
    device: Device = Field(
        default="auto",
        description="Where the simulated hospitals train and the external test is scored: cpu, cuda, mps, or auto (cuda, else "
        "mps, else cpu).",
    )
