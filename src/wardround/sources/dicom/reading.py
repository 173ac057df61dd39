"""DICOM images in a folder or a zip, brought to what a radiologist's screen would show; no identifier leaves this reader.

    file --file_format--> data set --picture--> pixels, and what is doubtful of them --pixels.prepared--> the study's size

The patient becomes HMAC-SHA256(site salt, PatientID). The salt is random, made once on this machine and never sent, so that
neither a list of possible ids nor another hospital's data can undo it. Labels come from a manifest or sub-folders. pydicom is
imported only here and in `picture/`, and only when DICOM is read.
"""

import hashlib
import hmac
import secrets
import unicodedata
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wardround.sources.dicom.looks import FileLook, look_of, problems_of
from wardround.sources.dicom.picture.fields import values_of, word
from wardround.sources.dicom.picture.file_format import DICOMDIR, HEAD_BYTES, object_of, read_dataset
from wardround.sources.dicom.picture.file_format import has_dicom_mark as has_dicom_mark
from wardround.sources.dicom.picture.findings import HeaderFinding, HeaderRefusal
from wardround.sources.dicom.picture.picture import show_picture
from wardround.sources.files.candidate import Candidate
from wardround.sources.files.damage import DAMAGE
from wardround.sources.files.file_tree import FileTree, open_file_tree
from wardround.sources.files.known_files import MANIFEST, Known, known_files, note_labels, note_manifest
from wardround.sources.images.image_decoding import Decoded
from wardround.sources.images.image_folder import read_listed
from wardround.sources.images.picture_kinds import SUFFIXES, suffix_of
from wardround.sources.patient_words import SPELLINGS, SPELLINGS_HINT, SPELLINGS_TEXT, folded
from wardround.sources.places import PLACES_KEPT, Place
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.read_result import Labels, Problem, ReadResult, Values
from wardround.sources.reader import Reader
from wardround.study.contract import DataContract, ImageContract
from wardround.study.missing_words import names_nobody
from wardround.values.durable import kept_secret
from wardround.values.errors import DataError, MissingExtraError
from wardround.values.home import default_home
from wardround.values.telemetry import library_absent

SALT_BYTES = 32


def site_salt() -> bytes:
    """32 random bytes of this machine's user, made on first use. Losing them only divides patients anew."""
    path = default_home() / "site-salt"
    salt = kept_secret(path, SALT_BYTES + 1, lambda: secrets.token_bytes(SALT_BYTES))
    if len(salt) != SALT_BYTES:
        raise DataError(
            f"{path} is not a salt of {SALT_BYTES} bytes", hint="remove it; patients are then divided into splits anew"
        )
    return salt


def pseudonym(patient_id: str, salt: bytes) -> str:
    """ "" for an empty id; else 24 hex digits."""
    return hmac.new(salt, patient_id.encode(), hashlib.sha256).hexdigest()[:24] if patient_id else ""


@dataclass
class _Reading:
    """One pass over the files of a source.

    modalities: of each file that was read. refused_for: what the header of a refused file says, for the person at this machine.
    """

    contract: DataContract
    salt: bytes
    counter: ProblemCounter
    positions: dict[str, int]
    modalities: dict[str, str] = field(default_factory=dict)
    refused_for: dict[str, str] = field(default_factory=dict)
    identities: dict[str, "_Identity"] = field(default_factory=dict)
    looks: dict[str, FileLook] = field(default_factory=dict)

    def decode(self, content: bytes, file: Known) -> Decoded:
        """The pixels of a file, with everything doubtful of it noted."""
        read_file = _read_file(content, file, self.contract.image.modalities, self.salt)
        image_place = Place(self.positions[file.name], file.name)
        for doubt in read_file.doubts:
            self.counter.problem(doubt.level, doubt.code, doubt.text, doubt.hint, replace(image_place, value=doubt.value))
        if read_file.decoded.pixels is not None:
            self.modalities[file.name] = read_file.modality
            self.identities[file.name] = read_file.identity
            self.looks[file.name] = read_file.look
        elif read_file.refused_for is not None:
            self.refused_for[file.name] = read_file.refused_for
        return read_file.decoded

    def with_values(self, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        """The problems, with what stands in the header of each refused file: of a file there is one refusal, and no doubt."""
        return tuple(
            replace(
                problem, places=tuple(replace(spot, value=self.refused_for.get(spot.file, spot.value)) for spot in problem.places)
            )
            for problem in problems
        )

    def several_modalities(self) -> list[Problem]:
        """A warning of the pictures whose modality is not the commonest, where the contract does not say which are meant."""
        counts = Counter(self.modalities.values())
        if self.contract.image.modalities or len(counts) < 2:
            return []
        commonest = min(counts, key=lambda modality: (-counts[modality], modality))
        others = {name: modality for name, modality in self.modalities.items() if modality != commonest}
        places = tuple(Place(self.positions[name], name, value=modality) for name, modality in others.items())
        text = "DICOM files are of another modality than most"
        hint = 'take them out, or name those that are meant: modalities = ["CR", "DX"] under [data.image]'
        return [Problem("warning", "several-modalities", text, hint, len(others), places)]

    def doubtful_patients(self) -> list[Problem]:
        """Patients of two spellings, of which a hash shows nothing any more, and one identifier from two issuers."""
        alike, issuers = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
        for identity in self.identities.values():
            alike[identity.folded].add(identity.patient)
            issuers[identity.patient].add(identity.issuer)
        named = {name: identity for name, identity in self.identities.items() if identity.patient}
        spelled = {name: len(alike[identity.folded]) > 1 for name, identity in named.items()}
        issued = {name: len(issuers[identity.patient] - {""}) > 1 for name, identity in named.items()}
        count = sum(len(patients) for folded, patients in alike.items() if folded and len(patients) > 1)
        problems = []
        if count:
            places = self._places(spelled)
            problems.append(Problem("warning", SPELLINGS, SPELLINGS_TEXT, SPELLINGS_HINT, count, places, private_error=True))
        if shared := len({named[name].patient for name, doubtful in issued.items() if doubtful}):
            text = "A PatientID comes from several issuers (IssuerOfPatientID), and counts as one patient"
            hint = "where they are different people, name the patients in manifest.csv"
            problems.append(Problem("warning", "patient-issuers", text, hint, shared, self._places(issued)))
        return problems

    def _places(self, chosen: dict[str, bool]) -> tuple[Place, ...]:
        """Of the chosen files, without what their headers say of the patient."""
        return tuple(Place(self.positions[name], name) for name, is_chosen in chosen.items() if is_chosen)[:PLACES_KEPT]


@dataclass(frozen=True)
class _Identity:
    """Hashes that are equal where the patient is the same, where two spellings may be one patient, and where the issuer is."""

    patient: str = ""
    folded: str = ""
    issuer: str = ""


def read_dicom(
    path: Path,
    contract: DataContract,
    labels: Labels = "required",
    _values: Values = "prepared",
    *,
    salt: bytes | None = None,
) -> ReadResult:
    """Every DICOM image under a folder or in a zip. `salt`: this site's, by default `site_salt()`.

    A patient in the manifest goes before PatientID (de-identified files often carry a fresh one each); folders name none.
    """
    _need_pydicom()
    key = site_salt() if salt is None else salt
    with open_file_tree(path) as file_tree:
        counter = ProblemCounter("of the DICOM files in name order")
        pictures = _dicom_files(file_tree, counter)
        beside = path.with_name(MANIFEST) if path.is_file() else None
        listed_files, absent = known_files(file_tree, pictures, contract, beside, labels)
        note_manifest(counter, absent, pictures, listed_files, present=pictures)
        note_labels(counter, listed_files, contract)
        plain = [file if file.listed else Known(file.name, file.label, "", file.split, file.site) for file in listed_files]
        reading = _Reading(contract, key, counter, {name: position for position, name in enumerate(pictures, 1)})
        read_result = read_listed(
            file_tree, pictures, plain, full_scale(contract), counter, reading.decode, labels, headers_name_patients=True
        )
        problems = (*reading.with_values(read_result.problems), *reading.several_modalities(), *reading.doubtful_patients())
        return replace(read_result, problems=(*problems, *problems_of(reading.looks, reading.positions)))


def _dicom_files(file_tree: FileTree, counter: ProblemCounter) -> tuple[str, ...]:
    """The DICOM files that may be pictures. The others are left out, and counted by their reason."""
    pictures: list[str] = []
    for name in file_tree.names:
        head = file_tree.read(name, HEAD_BYTES) or b""
        if not has_dicom_mark(head):
            continue
        kind = object_of(head)
        if not kind:
            pictures.append(name)
        elif kind == DICOMDIR:
            text = "A DICOMDIR lists files and holds no picture; it was left out"
            counter.problem("note", "dicomdir", text, "", Place(file=name))
        else:
            text = "DICOM objects that are no pictures, such as reports and presentation states, were left out"
            counter.warning("no-picture", text, "nothing is to be done unless pictures are missing", Place(file=name, value=kind))
    return tuple(pictures)


def full_scale(contract: DataContract) -> DataContract:
    """The contract for decoded DICOM: its 16-bit pixels are at full scale already, so that `white_16` has nothing left to say."""
    image = ImageContract(**{**dict(contract.image), "white_16": 65535})
    return DataContract(**{**dict(contract), "image": image})


def decode_dicom(content: bytes, modalities: tuple[str, ...] = ()) -> Decoded:
    """The pixels of one DICOM file as a screen would show them; no patient. modalities: those accepted, any where empty."""
    _need_pydicom()
    return _read_file(content, Known(""), modalities, b"").decoded


@dataclass(frozen=True)
class ReadPicture:
    """decoded: as a screen would show it, or why not. doubts: what is said of a picture that is shown."""

    decoded: Decoded
    doubts: tuple[HeaderFinding, ...] = ()


def decode_dataset(dataset: Any, modalities: tuple[str, ...] = ()) -> ReadPicture:
    """`decode_dicom` of a data set that is open already. Raises what the decoders raise on damage, and HeaderRefusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_file = _understood(dataset, Known(""), modalities, b"")
    return ReadPicture(read_file.decoded, read_file.doubts)


def _need_pydicom() -> None:
    """Loads it, with the part that would fetch its own test files, which we never ask for."""
    try:
        with library_absent("requests"):
            import pydicom.data.download  # noqa: F401
    except ImportError:
        raise MissingExtraError("Reading DICOM needs pydicom", hint="pip install 'wardround[dicom]'") from None


@dataclass(frozen=True)
class _ReadFile:
    decoded: Decoded
    doubts: tuple[HeaderFinding, ...] = ()
    modality: str = ""
    refused_for: str | None = None
    identity: _Identity = _Identity()
    look: FileLook = field(default_factory=FileLook)


def _read_file(content: bytes, file: Known, modalities: tuple[str, ...], salt: bytes) -> _ReadFile:
    """Warnings are silenced, because pydicom's quote the values of elements, which may name a patient."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _understood(read_dataset(content), file, modalities, salt)
        except HeaderRefusal as refusal:
            return _refused(refusal.finding)
        except (InvalidDicomError, BytesLengthException):
            return _ReadFile(Decoded(None))
        except DAMAGE:
            return _ReadFile(Decoded(None))


def _understood(dataset: Any, file: Known, modalities: tuple[str, ...], salt: bytes) -> _ReadFile:
    modality = word(dataset, "Modality")
    if modalities and modality not in modalities:
        text = f"DICOM files have another modality than the study's {', '.join(modalities)}"
        hint = "take them out, or name their modality under modalities in [data.image]"
        return _ReadFile(Decoded(None, problem=("modality", text, hint)), refused_for=modality)
    missing = _missing_decoder(dataset)
    if missing is not None:
        return _ReadFile(Decoded(None, problem=missing))
    shown = show_picture(dataset)
    patient, doubts = _patient(dataset, file)
    findings = (*doubts, *shown.findings, *_purposes(dataset))
    refusal = next((finding for finding in findings if finding.level == "error"), None)
    if refusal is not None:
        return _refused(refusal)
    issuer = "\\".join(str(part).strip(" \0") for part in values_of(dataset, "IssuerOfPatientID"))
    identity = _Identity(*(pseudonym(text, salt) for text in (patient, folded(patient), issuer)))
    decoded = Decoded(shown.pixels, identity.patient, padding=shown.padding)
    return _ReadFile(decoded, findings, modality, identity=identity, look=look_of(dataset))


def _purposes(dataset: Any) -> list[HeaderFinding]:
    """What a picture was made for, where that is no examination."""
    kinds = [str(part).strip(" \0").upper() for part in values_of(dataset, "ImageType")]
    findings = [HeaderFinding("localizer", "LOCALIZER")] if "LOCALIZER" in kinds else []
    return findings + ([HeaderFinding("quality-control", "YES")] if word(dataset, "QualityControlImage") == "YES" else [])


def _refused(finding: HeaderFinding) -> _ReadFile:
    return _ReadFile(Decoded(None, problem=(finding.code, finding.text, finding.hint)), refused_for=finding.value)


def _patient(dataset: Any, file: Known) -> tuple[str, list[HeaderFinding]]:
    """The patient that the manifest or the file names; "" for nobody.

    A PatientID of zeros only is what exports write for an id that was taken out. In a manifest a person wrote it as a name.
    """
    if not names_nobody(file.patient):
        return file.patient, []
    words = "\\".join(str(part) for part in values_of(dataset, "PatientID"))
    name = unicodedata.normalize("NFC", words.strip(" \0"))
    if "\ufffd" in name:
        return "", [HeaderFinding("patient-unreadable", name)]
    if not names_nobody(name) and name.strip("0"):
        return name, []
    return "", [HeaderFinding("patient-word", name)] if name else []


def _missing_decoder(dataset: Any) -> tuple[str, str, str] | None:
    """Told apart from a corrupt file beforehand, because the same exception speaks for both."""
    from pydicom._uid_dict import UID_dictionary
    from pydicom.pixels.decoders.base import get_decoder

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not syntax or not syntax.is_compressed or syntax.is_deflated:
        return None
    title = syntax.name if syntax in UID_dictionary else "a syntax that is not in the standard"
    text = f"DICOM files are compressed as {title}, for which no decoder is installed"
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        return ("decoder-missing", text, "export them uncompressed")
    return None if available else ("decoder-missing", text, "pip install 'wardround[dicom]', or export them uncompressed")


def holds_dicom(candidate: Candidate) -> bool:
    """A folder or a zip with a DICOM file in it, whatever it is called."""
    return any(has_dicom_mark(head) for _, head in candidate.heads(132, lambda name: suffix_of(name) not in SUFFIXES))


READER = Reader("dicom", "image", "DICOM", frozenset({".zip"}), holds_dicom, read_dicom)
