"""A whole round of the reference job, masked against plain: `wardround simulate`, three hospitals in order in this process.

`examples/chest_xray.toml` cut to a few rounds, without the hospitals' own models and the external test. The same study twice but
for `summation.mode`, in turns. Seconds are those of the run record's rounds. Training is nearly all of a round, so its noise
drowns what the masks cost; therefore also the CPU seconds of a round outside training and scoring.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from wardround.hub.notices import ExchangeStarted, Notice, RoundFinished
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.reading import load_study
from wardround.study.run_settings import settings_beside
from wardround.training import loop, scoring
from wardround.values.tree import Tree, same_bits

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "chest_xray.toml"
ROUNDS = 3


@dataclass
class Rounds:
    """seconds: wall, of every round. cpu: CPU seconds of every round. outside: those without training and scoring."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    outside: list[float] = field(default_factory=list)
    _began: float = 0.0
    _inside: float = 0.0

    def listener(self, event: Notice) -> None:
        if isinstance(event, ExchangeStarted) and event.step == "train":
            self._began, self._inside = time.process_time(), 0.0
        elif isinstance(event, RoundFinished):
            self.cpu.append(time.process_time() - self._began)
            self.outside.append(self.cpu[-1] - self._inside)

    def timed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def inside(*positional: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return work(*positional, **named)
            finally:
                self._inside += time.process_time() - began

        return inside

    @contextmanager
    def counting(self) -> Iterator[None]:
        """What torch does inside is told apart."""
        with (
            mock.patch.object(loop.TorchTrainer, "compute", self.timed(loop.TorchTrainer.compute)),
            mock.patch.object(scoring, "score", self.timed(scoring.score)),
        ):
            yield


def _study(mode: str) -> Study:
    return load_study(EXAMPLE).revised(
        algorithm={"rounds": ROUNDS}, evaluation={"own_baseline": False, "external": None}, summation={"mode": mode}
    )


def _run(mode: str, rounds: Rounds) -> Tree:
    with tempfile.TemporaryDirectory(prefix="wardround-round-") as folder, rounds.counting():
        run = simulate(
            _study(mode),
            out=Path(folder) / "run",
            workers=0,
            register=False,
            listener=rounds.listener,
            division=settings_beside(EXAMPLE).simulation,
        )
        rounds.seconds += [entry.seconds for entry in run.record.rounds]
        return run.model


def compare(repeats: int) -> dict[str, float]:
    rounds = {"plain": Rounds(), "masked": Rounds()}
    same = True
    for repeat in range(repeats):
        models = {mode: _run(mode, rounds[mode]) for mode in sorted(rounds, reverse=bool(repeat % 2))}  # drifts cancel in turns
        same = same and same_bits(models["plain"], models["masked"])
    print(f"\none round of the reference job, {repeats} x {ROUNDS} rounds each, median (spread); the same model bits: {same}")
    print(f"  {'sum':7} {'wall s':>25} {'CPU s':>25} {'CPU s outside training':>25}")
    for mode, each in rounds.items():
        print(f"  {mode:7} {_spread(each.seconds):>25} {_spread(each.cpu):>25} {_spread(each.outside):>25}")
    plain, masked = rounds["plain"], rounds["masked"]
    extra = statistics.median(masked.outside) - statistics.median(plain.outside)
    wall, cpu = (statistics.median(over) / statistics.median(under) for over, under in _pairs(masked, plain))
    print(f"  {'ratio':7} {wall:>25.3f} {cpu:>25.3f} {f'{extra:+.3f} s':>25}")
    shares = {"round_vs_plain": wall, "round_cpu_vs_plain": cpu, "round_extra_cpu_share": extra / statistics.median(plain.cpu)}
    return {**shares, "same_bits": float(same)}


def _pairs(masked: Rounds, plain: Rounds) -> tuple[tuple[list[float], list[float]], tuple[list[float], list[float]]]:
    return (masked.seconds, plain.seconds), (masked.cpu, plain.cpu)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"
