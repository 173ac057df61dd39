"""What a running clinic consists of, for its pages: folder, database, desk, accounts."""

from dataclasses import dataclass, field

from wardround.clinic.answering.serving import ServingModel
from wardround.clinic.dicom.service import DicomService
from wardround.clinic.fhir.tokens import Tokens
from wardround.clinic.intake.desk import Desk
from wardround.clinic.place.acceptance_record import AcceptanceRecord, read_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.store.database import Store
from wardround.clinic.store.people import People
from wardround.clinic.watch.metrics import Metrics
from wardround.clinic.watch.withdrawal import LearntFrom
from wardround.clinic.web.access import KeyNames
from wardround.clinic.web.oidc import Provider
from wardround.clinic.web.sheets import Privacy, promised_privacy
from wardround.clinic.web.watched_folder import WatchedFolder
from wardround.values.errors import WardroundError
from wardround.values.network_address import TryCount


@dataclass
class ClinicState:
    """One for a process. settings: as they were at its start."""

    place: ClinicPlace
    settings: ClinicSettings
    store: Store
    desk: Desk
    people: People
    metrics: Metrics
    folder: WatchedFolder | None = None
    dicom: DicomService | None = None
    tokens: Tokens | None = None
    provider: Provider | None = None
    learnt: LearntFrom | None = None
    """Of a patient who withdraws; None where nobody here knows."""
    keys: KeyNames = field(init=False)
    entry: str = ""
    """Of the demo: a code in a link that lets one browser in as `demo`, once. Empty elsewhere, and then there is no such page."""
    logins: TryCount = field(default_factory=lambda: TryCount(30, 60.0))
    _records: dict[str, AcceptanceRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = KeyNames(self.people)

    @property
    def model(self) -> ServingModel | None:
        return self.desk.model_or_none

    def acceptance(self, name: str) -> AcceptanceRecord | None:
        """The record of that id; None where it is gone or cannot be trusted. Records never change, so each is read once."""
        if name not in self._records:
            model = self.model
            try:
                whole = model is not None and model.acceptance_id == name
                self._records[name] = model.acceptance if model and whole else read_acceptance(self.place, name)
            except WardroundError:
                return None
        return self._records[name]

    @property
    def privacy_of_model(self) -> Privacy | None:
        """What the study of the model in service promised, as its acceptance noted it; None where nobody could tell."""
        return promised_privacy(self.desk.model.acceptance.origin)
