"""The clinic's DICOM side while it runs: films in, answers out.

    listener --film--> desk: decoded apart, answered, stored --results--> outbox --courier--> archives

A sender hears Success when the case is on the disk and its results are in the outbox. A film that comes again, because its sender
did not hear that, is the same case: its results are made from the answer that was given, and have the same names.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from wardround.clinic.answering.answer import AnyAnswer, answer_of
from wardround.clinic.answering.question import Question, question_of
from wardround.clinic.answering.serving import ServingModel
from wardround.clinic.dicom.answered_film import AnsweredFilm
from wardround.clinic.dicom.archive import WorklistStudy, study_films, worklist
from wardround.clinic.dicom.capture import displayed, over_film
from wardround.clinic.dicom.film_header import film_header
from wardround.clinic.dicom.listener import Received, listening
from wardround.clinic.dicom.loading import need_highdicom
from wardround.clinic.dicom.modality_worklist import Schedule
from wardround.clinic.dicom.outbox import Outbox, Unsent, outbox_path
from wardround.clinic.dicom.report import REPORT
from wardround.clinic.dicom.results import result_files
from wardround.clinic.dicom.sending import Courier
from wardround.clinic.intake.desk import Desk, Sender
from wardround.clinic.intake.film import Film
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.dicom_settings import ArchiveSection, DicomSection
from wardround.clinic.store.cases import case_of, known_content
from wardround.sources import network_input
from wardround.values.errors import DataError, RunError
from wardround.values.log import write_log
from wardround.values.private_files import private_folder

LOG_FOLDER = "dicom"
_LOCKS = 64
_WARM_UP_S = 2.0


@dataclass(frozen=True)
class DicomService:
    """A running one. port: where it listens. schedule: what a RIS has planned, where one is named."""

    desk: Desk
    settings: DicomSection
    outbox: Outbox
    courier: Courier
    port: int = 0
    schedule: Schedule | None = None
    locks: tuple[threading.Lock, ...] = field(default_factory=lambda: tuple(threading.Lock() for _ in range(_LOCKS)))

    def take(self, received: Received) -> str:
        """A film to a stored, answered case with its results in the outbox: its id. WardroundError where it cannot be."""
        # A sender that lost its patience sends again while the first is under way: the second waits, and finds the case.
        with self.locks[int(self.desk.mark(received.content)[:8], 16) % _LOCKS]:
            return self._take(received)

    def _take(self, received: Received) -> str:
        film, case_id, answer, model = self._answered(received, self.desk.model)
        if not self.settings.nodes:
            return case_id
        answered = AnsweredFilm(film_header(received.content), answer, self._question(model), datetime.now(UTC))
        if not all(self.outbox.holds(node.name, answered.uid(REPORT)) for node in self.settings.nodes):
            film = film or self.desk.decoders.film(received.content, model.contract, shown=True)
            self._put(answered, film, case_id, model)
            self.courier.wake()
        return case_id

    def worklist(self) -> tuple[WorklistStudy, ...]:
        """The latest studies of the archive. RunError where it does not answer, or none is named."""
        return worklist(self._archive)

    def take_study(self, study_uid: str) -> tuple[str, ...]:
        """Fetches the films of a study from the archive, each to a stored, answered case: their ids."""
        films = study_films(self._archive, study_uid)
        if not films:
            kinds = ", ".join(self._archive.modalities) or "any modality"
            raise DataError(
                "The study holds no film that is meant", expected=kinds, hint="correct modalities under [dicom.archive]"
            )
        return tuple(self.take(Received(one, film_header(one).sop_instance_uid, "archive")) for one in films)

    @property
    def _archive(self) -> ArchiveSection:
        if self.settings.archive is None:
            raise RunError("This clinic has no archive to ask", hint="name one under [dicom.archive] in clinic.toml")
        return self.settings.archive

    def _answered(self, received: Received, model: ServingModel) -> tuple[Film | None, str, AnyAnswer, ServingModel]:
        """The film where it was decoded now, the case, the answer that was given, and the model that gave it: another may have
        come into service meanwhile."""
        case_id = known_content(self.desk.store, self.desk.mark(received.content))
        known_case = None if case_id is None else case_of(self.desk.store, case_id)
        in_service = (model.acceptance.model, model.acceptance_id)
        if known_case is not None and (known_case.model, known_case.acceptance) == in_service:
            return None, known_case.id, answer_of(known_case.answer), model
        case = self.desk.submit(received.content, Sender("dicom", f"dicom {received.sender}", shown=True))
        return case.film, case.id, case.answer, case.model or model

    def _put(self, answered: AnsweredFilm, film: Film, case_id: str, model: ServingModel) -> None:
        pixels = heat = None
        if film.shown is not None and {"picture", "heat-map"} & set(self.settings.results):
            shown = film.shown
            pixels = displayed(shown.pixels, shown.window, inverted=shown.inverted)
            if "heat-map" in self.settings.results:
                hint = model.heat_map(network_input(model.contract, film.prepared[None])[0])
                heat = over_film(hint, (pixels.shape[0], pixels.shape[1]), model.contract.image.fit)
        files = result_files(answered, self.settings.results, pixels, heat)
        for node in self.settings.nodes:
            self.outbox.put(node.name, case_id, files)

    def _question(self, model: ServingModel) -> Question:
        settings, label = self.desk.clinic.settings, model.contract.label
        return question_of(label.name, settings.finding, research=not settings.clinical_use, asked=label.asked)


@contextlib.contextmanager
def dicom_service(desk: Desk, *, port: int | None = None, pause_s: float = 5.0) -> Iterator[DicomService | None]:
    """Listens and sends within the block, where clinic.toml has a [dicom] section; else it does nothing.

    Raises RunError where the port is taken. port: in place of that of the settings. pause_s: between looks into the outbox.
    """
    settings = desk.clinic.settings.dicom
    if settings is None:
        yield None
        return
    folder = desk.clinic.path / LOG_FOLDER
    private_folder(folder, signs=())
    tell = partial(write_log, folder)
    outbox = Outbox(outbox_path(desk.clinic.path))
    # Its 2 s are neither the first film's nor the start's.
    warm_up = threading.Timer(_WARM_UP_S, need_highdicom)
    warm_up.daemon = True
    warm_up.start()
    try:
        with Courier(settings.nodes, outbox, settings.ae_title, tell, pause_s) as courier:
            schedule = None if settings.worklist is None else Schedule(settings.worklist, settings.ae_title)
            service = DicomService(desk, settings, outbox, courier, schedule=schedule)
            with listening(settings, service.take, tell, port=port) as listener:
                yield replace(service, port=listener.port)
    finally:
        warm_up.cancel()
        outbox.close()


def unsent_results(clinic: ClinicPlace) -> tuple[Unsent, ...]:
    """What archives have not taken yet, for the screen; empty where nothing was ever to be sent."""
    path = outbox_path(clinic.path)
    if not path.exists():
        return ()
    outbox = Outbox(path)
    try:
        return outbox.unsent()
    finally:
        outbox.close()


def send_again(clinic: ClinicPlace, node: str = "") -> int:
    """Makes all that waits due now. How many objects."""
    path = outbox_path(clinic.path)
    if not path.exists():
        return 0
    outbox = Outbox(path)
    try:
        return outbox.again(node)
    finally:
        outbox.close()
