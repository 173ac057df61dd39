"""Records that wait for the model are answered together: one run of the network for up to MOST of them.

    many threads --ask--> queue --one thread--> answers of one ServingModel --> futures

Nobody waits for others to come: the first record is taken at once, and those that arrive meanwhile make the next batch.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.answering.answer import Answer
from wardround.clinic.answering.serving import ServingModel

MOST = 16


@dataclass
class Asked:
    """One record for one model. carried: what `finish` needs to know of it."""

    model: ServingModel
    network_input: NDArray[np.float32]
    future: "Future[Any]"
    carried: Any = None


Finish = Callable[[Sequence[Asked], Sequence[Answer]], None]


class Batching:
    """finish: gets every batch with its answers, before anybody is told, and settles the futures."""

    def __init__(self, finish: Finish) -> None:
        self._finish = finish
        self._waiting: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="clinic-answers", daemon=True)
        self._thread.start()

    def ask(self, asked: Asked) -> None:
        self._waiting.put(asked)

    def close(self) -> None:
        """Answers what waits, and ends."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, ends = [first], False
            with contextlib.suppress(queue.Empty):
                while len(batch) < MOST and not ends:
                    asked = self._waiting.get_nowait()
                    ends = asked is None
                    batch += [asked] if asked is not None else []
            for model in {id(asked.model): asked.model for asked in batch}.values():
                self._answer(model, [asked for asked in batch if asked.model is model])
            if ends:
                return

    def _answer(self, model: ServingModel, batch: list[Asked]) -> None:
        try:
            if len(batch) == 1:
                answers: Sequence[Answer] = [model.answer(batch[0].network_input)]
            elif model.contract.kind == "table":
                answers = [model.answer(asked.network_input) for asked in batch]  # each with what moved it
            else:
                answers = model.answer_many(np.stack([asked.network_input for asked in batch]))
            self._finish(batch, answers)
        except Exception as error:  # noqa: BLE001  told to everybody who asked
            for asked in batch:
                if not asked.future.done():
                    asked.future.set_exception(error)
