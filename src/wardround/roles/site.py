"""A site: it answers orders with contributions, or says no. Only it touches its records.

    bytes -> message -> checks (study, cohort, round) -> stored answer, or work -> protect -> record the reply -> bytes

Nothing that leaves a site on failure carries data: a refusal is a fixed word. The reason, in full, goes to the site's own log.
"""

import json
import os
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from wardround.roles.plan import Plan
from wardround.roles.site_store import SiteState, SiteStore
from wardround.roles.site_work import SiteWork
from wardround.study.declaration import Study
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RefusedError, WardroundError, WireError
from wardround.values.ids import SiteId
from wardround.values.records import Records
from wardround.values.tree import Tree
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Contribution, ContributionHeader, Order, Refusal, RefusalHeader


class Site:
    """One hospital's side of one study. `handle` never raises for anything an order can do."""

    def __init__(
        self, name: SiteId, study: Study, load: Callable[[], Records], folder: Path, *, device: str = "auto", threads: int = 0
    ) -> None:
        self.name = name
        self.study_hash = study.hash
        self.minimum = study.sites.minimum
        self.store = SiteStore(folder)
        self.work = SiteWork(name, Plan(study), load, self.store, device=device, threads=threads)

    def close(self) -> None:
        self.store.close()

    def handle(self, data: bytes) -> bytes:
        """The answer to one message: a contribution or a refusal."""
        order_hash = sha256_hex(data)
        try:
            order = self._read(data)
            state = self.store.read()
            if state.order == order_hash:
                return state.reply
            return self._answer(order, order_hash, state)
        except WardroundError as error:
            self._log(error.code, str(error))
            return self._refusal(order_hash, error.code)
        except Exception as error:  # noqa: BLE001  a site's error must not end the run, and its text must not leave
            self._log("internal", "".join(traceback.format_exception(error)))
            return self._refusal(order_hash, "internal")

    def _read(self, data: bytes) -> Order:
        message = from_bytes(data)
        if not isinstance(message, Order):
            raise WireError("A site takes orders only", expected="an order", found=message.header.kind)
        return message

    def _answer(self, order: Order, order_hash: str, state: SiteState) -> bytes:
        self._check(order, state)
        header = order.header
        state = state.settled(header.counted.get(self.name, 0))
        arrays: Tree = {}
        match header.step:
            case "open":
                arrays, state = self.work.open(order)
            case "train":
                arrays, state = self.work.train(order, state)
            case "own":
                state = self.work.train_own(order, state)
            case "evaluate":
                arrays = self.work.evaluate(order, state)
            case "close":
                pass
        reply = to_bytes(
            Contribution(
                ContributionHeader(study=self.study_hash, step=header.step, round=header.round, site=self.name, order=order_hash),
                arrays,
            )
        )
        # Recorded before it is sent: a repeated order must get these bytes, whatever happens next.
        self.store.write(replace(state, order=order_hash, reply=reply))
        return reply

    def _check(self, order: Order, state: SiteState) -> None:
        header = order.header
        if header.study != self.study_hash:
            raise RefusedError("The order belongs to another study than the one this site approved", code="study")
        if self.name not in header.cohort:
            raise RefusedError("The order's cohort does not hold this site", code="cohort")
        if len(header.cohort) < self.minimum:
            raise RefusedError(
                f"The cohort has {len(header.cohort)} sites, the study asks for {self.minimum}", code="cohort-too-small"
            )
        if header.step != "open" and state.study != self.study_hash:
            raise RefusedError("This site has not opened this study", code="not-open")
        if header.step == "open" and state.round:
            # Opening anew would forget which rounds were answered, and let them be asked again over another cohort.
            raise RefusedError("This site has trained in this study already; it does not open it again", code="already-open")
        if header.step == "train" and header.round <= state.round:
            raise RefusedError(f"Round {header.round} is over: this site has answered round {state.round}", code="old-round")

    def _refusal(self, order_hash: str, code: str) -> bytes:
        return to_bytes(Refusal(RefusalHeader(study=self.study_hash, site=self.name, order=order_hash, code=code)))

    def _log(self, code: str, text: str) -> None:
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), "code": code, "text": text})
        # An error's text may quote records, so only this user may read the log.
        descriptor = os.open(self.store.folder / "log.ndjson", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(line + "\n")
