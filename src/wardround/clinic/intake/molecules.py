"""Molecules of a running clinic: read in a child that stays warm, remembered in memory for as long as somebody looks, and drawn.

    row with SMILES --one thread, one child (`sources.molecules.bench`)--> network input
    case --SMILES in memory--> SVG, by a child of its own (`sources.molecules.drawing`)

Nothing of a SMILES is written: it is the partner's secret. A doctor who looks later sees the answer without the drawing.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources import network_input, prepare
from wardround.sources.molecules.bench import KeptBench
from wardround.sources.molecules.drawing import svg_of
from wardround.study.contract import DataContract
from wardround.study.sections.molecule import MoleculeContract

_MOST, _AGE_S = 500, 8 * 3600.0


class Molecules:
    """For many threads. Nothing is started before the first molecule comes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._reading = ThreadPoolExecutor(1, "molecules")
        self._bench: tuple[MoleculeContract, KeptBench] | None = None
        self._asked: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._drawn: OrderedDict[str, str] = OrderedDict()

    def later(self, contract: DataContract, row: Mapping[str, Any]) -> "Future[NDArray[np.float32]]":
        """What the network reads. The future has DataError of what is no molecule, MissingExtraError without RDKit."""
        return self._reading.submit(self._read, contract, row)

    def _read(self, contract: DataContract, row: Mapping[str, Any]) -> NDArray[np.float32]:
        rules = contract.molecule_rules
        if self._bench is None or self._bench[0] != rules:
            self._end()
            self._bench = rules, KeptBench(rules)
        record: NDArray[np.float32] = network_input(contract, prepare(contract, row, molecules=self._bench[1])[None])[0]
        return record

    def remember(self, case_id: str, smiles: str) -> None:
        """Until it is the oldest of 500, or eight hours old."""
        with self._lock:
            self._asked[case_id] = self._clock(), smiles
            while len(self._asked) > _MOST:
                self._asked.popitem(last=False)

    def holds(self, case_id: str) -> bool:
        """Whether a case can be drawn."""
        with self._lock:
            return self._remembered(case_id) is not None

    def _remembered(self, case_id: str) -> str | None:
        asked = self._asked.get(case_id)
        return None if asked is None or self._clock() - asked[0] > _AGE_S else asked[1]

    def drawing(self, case_id: str) -> str | None:
        """SVG; None where the molecule was forgotten, or never was."""
        with self._lock:
            smiles, drawn = self._remembered(case_id), self._drawn.get(case_id)
        if smiles is None:
            return None
        if drawn is None:
            drawn = svg_of(smiles)
            with self._lock:
                self._drawn[case_id] = drawn
                while len(self._drawn) > _MOST:
                    self._drawn.popitem(last=False)
        return drawn

    def close(self) -> None:
        """After what is under way."""
        self._reading.shutdown()
        self._end()

    def _end(self) -> None:
        bench, self._bench = self._bench, None
        if bench is not None:
            bench[1].close()
