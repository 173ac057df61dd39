"""Where a case comes in, by whatever door: one film or one row becomes one stored case with one answer.

    bytes --decoder--> film --batch--> answer of the model in service --one transaction--> case and answer, on the disk
    row   --prepare----------^      of a molecule in a child process (`intake.molecules`)

A case that was acknowledged is on the disk with its answer; one that was not can be sent again. If the model in service changes
while a case is under way, the case is answered anew by the one that is in service now.
"""

import hashlib
import hmac
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from wardround.clinic.answering.answer import AnyAnswer
from wardround.clinic.answering.public_bins import bins_of
from wardround.clinic.answering.serving import ServingModel, in_service, in_shadow
from wardround.clinic.intake.batching import Asked, Batching
from wardround.clinic.intake.decoders import Decoders
from wardround.clinic.intake.film import Film
from wardround.clinic.intake.films import Films
from wardround.clinic.intake.kept_films import KeptFilms
from wardround.clinic.intake.limits import Limits
from wardround.clinic.intake.molecules import Molecules
from wardround.clinic.intake.pseudonyms import pseudonym_key, pseudonym_of
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.service import stamp
from wardround.clinic.store.cases import NewCase, answer_row, figure_row, insert_cases
from wardround.clinic.store.database import Store
from wardround.sources import network_input, prepare
from wardround.values.cores import usable_cores
from wardround.values.errors import RunError

Row = Mapping[str, Any]
Content = bytes | Path | Row
_ATTEMPTS = 3
_READS = {"table": "a table's row", "molecule": "a molecule, in a row with its SMILES", "image": "an image"}


@dataclass(frozen=True)
class Sender:
    """Who brings a case. source: page, rest, dicom, folder, fhir, hooks. name: an account or a key, for the audit. person: the
    account's id, "" of a machine. shown: whether somebody will look at the film."""

    source: str
    name: str = "machine"
    person: str = ""
    shown: bool = False


@dataclass(frozen=True)
class Case:
    """A case that is on the disk, with its answer. film: None of a table. network_input: what the model read."""

    id: str
    received: float
    source: str
    answer: AnyAnswer
    film: Film | None
    patient: str = ""
    model: ServingModel | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _Pending:
    new_case: NewCase
    sender: Sender
    content: bytes | Row
    film: Film | None
    attempt: int = 1


class Desk:
    """The intake of a running clinic, for many threads. It keeps the model in service loaded, and follows its changes.

    Raises RunError where no model is in service. keep: whether films that somebody looks at are kept on the disk. follow: is
    told of every case when it comes in.
    """

    def __init__(
        self,
        clinic: ClinicPlace,
        store: Store,
        *,
        limits: Limits | None = None,
        processes: int | None = None,
        workers: int = 0,
        keep: bool = False,
    ) -> None:
        self.clinic, self.store, self.films = clinic, store, Films()
        self.kept = KeptFilms(clinic.path / "films") if keep else None
        key = pseudonym_key(clinic)
        self._key, self._workers = key, workers or usable_cores()
        self.decoders = Decoders(key, limits, processes=processes)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._model: ServingModel | None = None
        self._shadow: ServingModel | None = None
        self._batching = Batching(self._finish, self._workers)
        self.molecules = Molecules()
        self.follow: Callable[[Sender, Future[Case]], None] | None = None

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Answers what is under way, and ends."""
        self.decoders.close()
        self.molecules.close()
        self._batching.close()

    @property
    def model(self) -> ServingModel:
        """The model in service, loaded anew where the log of the service has changed. RunError where there is none."""
        model = self.model_or_none
        if model is None:
            raise RunError(
                "No model is in service at this clinic",
                hint="wardround clinic accept MODEL --data NAME, then: wardround clinic activate",
            )
        return model

    @property
    def model_or_none(self) -> ServingModel | None:
        now = stamp(self.clinic)
        with self._lock:
            if now != self._stamp:
                self._model = in_service(self.clinic)
                self._shadow = in_shadow(self.clinic)
                self._stamp = now
            return self._model

    def submit(self, content: Content, sender: Sender) -> Case:
        """One case, answered and on the disk. DataError where the record cannot be read or breaks the contract."""
        return self.later(content, sender).result()

    def later(self, content: Content, sender: Sender) -> "Future[Case]":
        """As `submit`, when it is done."""
        done: Future[Case] = Future()
        if self.follow is not None:
            self.follow(sender, done)
        try:
            model = self.model
            if isinstance(content, Mapping) != (model.contract.kind != "image"):
                raise RunError(
                    f"The model in service reads {_READS[model.contract.kind]}", hint="look at its facts: what goes in"
                )
            data = content.read_bytes() if isinstance(content, Path) else content
            self._begin(model, data, sender, done, 1)
        except Exception as error:  # noqa: BLE001  whoever waits for the future is told
            done.set_exception(error)
        return done

    def film(self, case_id: str) -> Film | None:
        """The film of a case, from memory or, where films are kept, from the disk; None where it is gone."""
        film = self.films.get(case_id)
        return film if film is not None or self.kept is None else self.kept.read(case_id)

    def prepared(self, row: Row) -> NDArray[np.float32]:
        """A row as the network reads it, of a molecule its SMILES. DataError where it breaks the contract."""
        contract = self.model.contract
        if contract.kind == "molecule":
            return self.molecules.later(contract, row).result()
        record: NDArray[np.float32] = network_input(contract, prepare(contract, row)[None])[0]
        return record

    def mark(self, content: bytes) -> str:
        """By which the bytes of a file are known again, without saying anything of them."""
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()[:32]

    def pseudonym(self, patient: str) -> str:
        """The hash under which a patient's cases stand; "" of nobody."""
        return pseudonym_of(self._key, patient)

    def _begin(self, model: ServingModel, content: bytes | Row, sender: Sender, done: "Future[Case]", attempt: int) -> None:
        if isinstance(content, Mapping):
            patient = self.pseudonym(str(content.get(model.contract.patient.column) or ""))
            new_case = NewCase(sender.source, "table", self.store.clock(), patient, person=sender.person, sender=sender.name)
            pending = _Pending(new_case, sender, content, None, attempt)
            if model.contract.kind == "molecule":
                read = self.molecules.later(model.contract, content)
                read.add_done_callback(partial(self._molecule_read, model, pending, done))
            else:
                self._ask(model, pending, self.prepared(content), done)
            return
        decoded = self.decoders.later(content, model.contract, shown=sender.shown)
        decoded.add_done_callback(partial(self._decoded, model, content, sender, done, attempt))

    def _molecule_read(
        self, model: ServingModel, pending: _Pending, done: "Future[Case]", read: "Future[NDArray[np.float32]]"
    ) -> None:
        try:
            self._ask(model, pending, read.result(), done)
        except Exception as error:  # noqa: BLE001  whoever waits is told
            done.set_exception(error)

    def _decoded(
        self, model: ServingModel, content: bytes, sender: Sender, done: "Future[Case]", attempt: int, decoded: "Future[Film]"
    ) -> None:
        try:
            film = decoded.result()
            warnings = [(warned.code, warned.text, warned.hint) for warned in film.warnings]
            who = (film.patient, self.mark(content), film.study, warnings, sender.person, sender.name)
            keeps = self.kept is not None and sender.shown
            new_case = NewCase(sender.source, "image", self.store.clock(), *who, kept=keeps)
            pending = _Pending(new_case, sender, content if attempt < _ATTEMPTS else b"", film, attempt)
            self._ask(model, pending, network_input(model.contract, film.prepared[None])[0], done)
        except Exception as error:  # noqa: BLE001  also a cancelled decoder: whoever waits is told
            closing = RunError("The clinic is closing", hint="send it again")
            done.set_exception(closing if isinstance(error, CancelledError) else error)

    def _ask(self, model: ServingModel, pending: _Pending, record: NDArray[np.float32], done: "Future[Case]") -> None:
        self._batching.ask(Asked(model, record, done, pending))

    def _finish(self, batch: Sequence[Asked], answers: Sequence[AnyAnswer]) -> None:
        """Stores a whole batch in one transaction; then everybody is told."""
        current, shadow = self.model_or_none, self._shadow
        settled = [(asked, asked.carried, answer) for asked, answer in zip(batch, answers, strict=True)]
        if current is not batch[0].model:
            for asked, pending, _ in settled:
                self._again(asked, pending)
            return
        if self.kept is not None:
            for _, pending, _ in settled:
                if pending.film is not None and pending.new_case.kept:
                    self.kept.keep(pending.new_case.id, pending.film)
        now = self.store.clock()
        case_rows = [pending.new_case.row() for _, pending, _ in settled]
        answer_rows = [answer_row(pending.new_case.id, as_json(answer), now) for _, pending, answer in settled]
        figure_rows = _figure_rows(batch, [pending for _, pending, _ in settled])
        lines = [(pending.sender.name, "case-answered", pending.new_case.id) for _, pending, _ in settled]

        def work(connection: Connection) -> None:
            insert_cases(connection, case_rows, answer_rows, figure_rows)

        stored = self.store.later(work, *lines)
        stored.add_done_callback(lambda future: self._tell(future, settled))
        if shadow is not None:
            try:
                self._answer_in_shadow(shadow, batch, settled, now)
            except Exception as error:  # noqa: BLE001  what is tried beside must cost nobody an answer
                self.store.later(lambda _: None, ("clinic", "shadow-failed", type(error).__name__))

    def _tell(self, stored: "Future[None]", settled: Sequence[tuple[Asked, _Pending, AnyAnswer]]) -> None:
        error = stored.exception()
        for asked, pending, answer in settled:
            if error is not None:
                asked.future.set_exception(error)
                continue
            new_case = pending.new_case
            if pending.film is not None and pending.sender.shown:
                self.films.put(new_case.id, pending.film)
            if isinstance(pending.content, Mapping) and asked.model.contract.kind == "molecule":
                self.molecules.remember(new_case.id, str(pending.content[asked.model.contract.molecule_rules.column]))
            asked.future.set_result(
                Case(new_case.id, new_case.received, new_case.source, answer, pending.film, new_case.patient, asked.model)
            )

    def _again(self, asked: Asked, pending: _Pending) -> None:
        """The model changed under way: nothing was stored or said of its answer."""
        try:
            if pending.attempt >= _ATTEMPTS:
                raise RunError("The model in service keeps changing", hint="send the case again when it stays")
            self._begin(self.model, pending.content, pending.sender, asked.future, pending.attempt + 1)
        except Exception as error:  # noqa: BLE001  told to whoever waits
            asked.future.set_exception(error)

    def _answer_in_shadow(
        self, shadow: ServingModel, batch: Sequence[Asked], settled: Sequence[tuple[Asked, _Pending, AnyAnswer]], now: float
    ) -> None:
        """A model that is tried beside: its answers are stored, and shown to nobody. Of other data it says nothing."""
        if shadow.contract != batch[0].model.contract:
            return
        answers = shadow.answer_many(np.stack([asked.network_input for asked in batch]))
        rows = [
            answer_row(pending.new_case.id, as_json(answer), now, shadow=True)
            for (_, pending, _), answer in zip(settled, answers, strict=True)
        ]
        self.store.later(lambda connection: insert_cases(connection, [], rows))


def _figure_rows(batch: Sequence[Asked], waiting: Sequence[_Pending]) -> list[dict[str, Any]]:
    """Of each case the public bins that its input lies in, by which drift is counted."""
    films = [pending.film for pending in waiting]
    sizes = [(film.facts.get("rows", 0), film.facts.get("columns", 0)) for film in films if film is not None]
    inputs = np.stack([asked.network_input for asked in batch])
    bins = bins_of(batch[0].model.contract, inputs, np.array(sizes, np.int64).reshape(-1, 2))
    return [
        figure_row(pending.new_case.id, {name: int(own[row]) for name, own in bins.items()})
        for row, pending in enumerate(waiting)
    ]


def as_json(answer: AnyAnswer) -> dict[str, Any]:
    """The answer as JSON, the same on every door."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(answer).items()}


def submit(clinic: ClinicPlace, store: Store, content: Content, sender: Sender) -> Case:
    """One case without a running desk: opened, answered, closed."""
    with Desk(clinic, store, processes=1) as desk:
        return desk.submit(content, sender)
