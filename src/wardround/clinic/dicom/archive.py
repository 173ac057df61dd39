"""A hospital's archive over DICOMweb: which studies are there (QIDO-RS), their films (WADO-RS), results back (STOW-RS).

It is asked by one address that clinic.toml names, and by no other: no redirect is followed, no proxy of the environment is used,
and no URL that an answer holds is opened. What it sends is read up to a limit.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from wardround.clinic.dicom.film_header import film_header
from wardround.clinic.dicom.loading import mute, need_pydicom, silent
from wardround.clinic.dicom.results import ResultFile
from wardround.clinic.dicom.uids import is_uid
from wardround.clinic.place.dicom_settings import ArchiveSection, NodeSection
from wardround.values.errors import DataError, MissingExtraError, RunError
from wardround.values.private_files import read_private
from wardround.values.telemetry import no_library_absent

LARGEST = 256 << 20
_CHUNK = 1 << 16
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^;\s]{1,200}))', re.IGNORECASE)
_TOKEN = re.compile(rb"[\x21-\x7e]{1,8192}")


@dataclass(frozen=True)
class WorklistStudy:
    """A study of the archive. patient, name, day, description: as the archive writes them, for the doctor's screen alone."""

    study_uid: str
    patient: str
    name: str
    day: str
    description: str
    modalities: tuple[str, ...]
    accession: str
    instances: int


@dataclass(frozen=True)
class WorklistFilm:
    """One object of a study, as an archive names it."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str


class ArchiveClient:
    """An open one; see `archive_client`. RunError where the archive cannot be reached or refuses."""

    def __init__(self, client: Any, session: Any, url: str) -> None:
        self._client, self._session, self._url = client, session, url

    def studies(self, section: ArchiveSection, today: date | None = None) -> tuple[WorklistStudy, ...]:
        """The studies of the last days with one of the section's modalities, newest first."""
        last = today or date.today()
        filters: dict[str, Any] = {"StudyDate": f"{last - timedelta(days=section.days):%Y%m%d}-{last:%Y%m%d}"}
        listed: dict[str, WorklistStudy] = {}
        for modality in section.modalities or ("",):
            asked = filters | ({"ModalitiesInStudy": modality} if modality else {})
            rows = self._asked(
                lambda asked=asked: self._client.search_for_studies(
                    limit=section.most,
                    search_filters=asked,
                    fields=["StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"],
                )
            )
            for row in self._rows(rows)[: section.most]:
                study = _study(row)
                if study is not None:
                    listed.setdefault(study.study_uid, study)
        return tuple(sorted(listed.values(), key=lambda study: (study.day, study.study_uid), reverse=True)[: section.most])

    def films(self, study_uid: str) -> tuple[WorklistFilm, ...]:
        """The objects of a study."""
        rows = self._asked(lambda: self._client.search_for_instances(study_instance_uid=_sound(study_uid)))
        films = (_film(row, study_uid) for row in self._rows(rows)[:1000])
        return tuple(film for film in films if film is not None)

    def fetch(self, film: WorklistFilm) -> bytes:
        """The film as a DICOM file, in the transfer syntax in which the archive keeps it."""
        study, series, instance = (_sound(uid) for uid in (film.study_uid, film.series_uid, film.sop_instance_uid))
        # Not by the library, which would unpack and decode it in this process: the bytes go to the decoders as they are.
        accepted = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        url = f"{self._url}/studies/{study}/series/{series}/instances/{instance}"
        content = self._asked(lambda: _only_part(self._got(url, accepted)))
        if film_header(content).sop_instance_uid != film.sop_instance_uid:
            raise DataError("The archive sent another film than it was asked for", hint="ask the archive's people")
        return bytes(content)

    def keep(self, result: ResultFile) -> str:
        """Sends one object. "" where the archive keeps it, else why not."""
        with silent():
            dataset = need_pydicom().dcmread(io.BytesIO(result.content))
        answer = self._asked(lambda: self._client.store_instances([dataset]))
        kept = {str(item.get("ReferencedSOPInstanceUID")) for item in answer.get("ReferencedSOPSequence") or ()}
        if result.sop_instance_uid in kept:
            return ""
        reasons = [int(item.get("FailureReason") or 0) for item in answer.get("FailedSOPSequence") or ()]
        if reasons == [0x0111]:
            return ""  # it has this instance already
        return f"the archive refused with reason {reasons[0]:04X}" if reasons else "the archive does not say that it keeps it"

    def _rows(self, answer: Any) -> list[Any]:
        """What a search gave; nothing is none."""
        if answer is None:
            return []
        if not isinstance(answer, list):
            raise DataError(f"The archive {self._url} sent what is no DICOMweb answer", hint="look at its log")
        return answer

    def _got(self, url: str, accepted: str) -> Any:
        response = self._session.get(url, headers={"Accept": accepted})
        response.raise_for_status()
        return response

    def _asked(self, question: Any) -> Any:
        """Errors of the library quote URLs with UIDs and parts of answers: none of that is passed on."""
        import requests

        try:
            with silent():
                return question()
        except requests.HTTPError as error:
            code = getattr(error.response, "status_code", None)
            raise RunError(f"The archive {self._url} answered with {code}", hint="look at its log, and at the token") from None
        except requests.TooManyRedirects:
            raise RunError(
                f"The archive {self._url} sends on to another address", hint="write that address into clinic.toml"
            ) from None
        except _TooMuch:
            raise DataError(
                "The archive sent more than is read", expected=f"at most {LARGEST >> 20} MiB", hint="fetch less"
            ) from None
        except (requests.RequestException, OSError) as error:
            raise RunError(
                f"The archive {self._url} cannot be reached",
                found=type(error).__name__,
                hint="look whether it runs, and at tls_ca",
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, EOFError):
            raise DataError(f"The archive {self._url} sent what is no DICOMweb answer", hint="look at its log") from None


@dataclass(frozen=True)
class Door:
    """How a DICOMweb service is asked. token_file: holds the bearer token, 0600. certificate: file and key that we show."""

    url: str
    tls_ca: Path | None = None
    certificate: tuple[Path, Path] | None = None
    token_file: Path | None = None
    timeout_s: float = 20.0

    @classmethod
    def of_archive(cls, section: ArchiveSection) -> "Door":
        shown = _pair(section.tls_certificate, section.tls_key)
        return cls(section.url, section.tls_ca, shown, section.token_file, section.timeout_s)

    @classmethod
    def of_node(cls, node: NodeSection, timeout_s: float) -> "Door":
        """Of a node by STOW-RS."""
        return cls(str(node.url), node.tls_ca, _pair(node.tls_certificate, node.tls_key), node.token_file, timeout_s)


def _pair(certificate: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    return None if certificate is None or key is None else (certificate, key)


@contextmanager
def archive_client(door: Door) -> Iterator[ArchiveClient]:
    """A client of a DICOMweb service. RunError where its token cannot be read."""
    web = _need_dicomweb()
    session = _session(door, _token(door.token_file))
    try:
        with silent():
            client = web.DICOMwebClient(door.url, session=session)
            client.set_http_retry_params(retry=False)  # the outbox and the doctor try again, and neither waits half a minute
            yield ArchiveClient(client, session, door.url)
    finally:
        session.close()


def worklist(section: ArchiveSection, today: date | None = None) -> tuple[WorklistStudy, ...]:
    """What the doctor's page lists. RunError where the archive does not answer."""
    with archive_client(Door.of_archive(section)) as client:
        return client.studies(section, today)


def study_films(section: ArchiveSection, study_uid: str) -> tuple[bytes, ...]:
    """The films of one study, as DICOM files: those of the section's modalities."""
    with archive_client(Door.of_archive(section)) as client:
        films = [film for film in client.films(study_uid) if not section.modalities or film.modality in section.modalities]
        return tuple(client.fetch(film) for film in films)


@cache
def _need_dicomweb() -> ModuleType:
    """Only where an archive is configured: it needs requests, whose urllib3 binds a socket to see whether there is IPv6."""
    need_pydicom()
    try:
        with no_library_absent(), silent():  # highdicom is loaded in another thread, without requests
            import dicomweb_client
            import requests  # noqa: F401
    except ImportError:
        raise MissingExtraError("DICOMweb needs dicomweb-client", hint="pip install 'wardround[clinic]'") from None
    mute()
    return dicomweb_client


def _only_part(response: Any) -> bytes:
    """The one part of a multipart/related answer (RFC 2046, 5.1.1), or the whole of another. ValueError where it is none."""
    kind = response.headers.get("Content-Type", "")
    match = _BOUNDARY.search(kind)
    if not kind.strip().lower().startswith("multipart/") or match is None:
        return bytes(response.content)
    mark = b"--" + (match[1] or match[2]).encode("ascii")
    content = response.content
    head = content.index(mark) + len(mark)
    start = content.index(b"\r\n\r\n", head) + 4
    end = content.index(b"\r\n" + mark, start)
    return bytes(content[start:end])


class _TooMuch(Exception):
    """The archive sent more than LARGEST."""


def _session(door: Door, token: str) -> Any:
    import requests
    from requests.adapters import HTTPAdapter

    class Bounded(HTTPAdapter):
        """Waits no longer than door.timeout_s for a byte, and reads no more than LARGEST."""

        def send(self, request: Any, **settings: Any) -> Any:  # type: ignore[override]
            response = super().send(request, **{**settings, "timeout": door.timeout_s, "stream": True})
            content = bytearray()
            for chunk in response.iter_content(_CHUNK):
                content += chunk
                if len(content) > LARGEST:
                    response.close()
                    raise _TooMuch
            response._content = bytes(content)
            return response

    session = requests.Session()
    session.trust_env = False  # no proxy and no password of the environment
    session.max_redirects = 0
    session.verify = True if door.tls_ca is None else str(door.tls_ca)
    if door.certificate is not None:
        session.cert = (str(door.certificate[0]), str(door.certificate[1]))
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    for scheme in ("http://", "https://"):
        session.mount(scheme, Bounded())
    return session


def _token(path: Path | None) -> str:
    if path is None:
        return ""
    content = (read_private(path, 8193) or b"").strip()
    if not _TOKEN.fullmatch(content):
        raise RunError(
            f"{path} holds no token", expected="one line of ASCII without spaces", hint="write the bearer token into it"
        )
    return content.decode("ascii")


def _sound(uid: str) -> str:
    """A UID that may stand in a URL."""
    if not is_uid(uid):
        raise DataError("This is no UID", expected="numbers and dots, at most 64 signs", hint="choose a study of the worklist")
    return uid


def _study(row: Any) -> WorklistStudy | None:
    uid = _value(row, "0020000D")
    if not is_uid(uid):
        return None
    count = _value(row, "00201208")
    return WorklistStudy(
        uid, _value(row, "00100020"), _value(row, "00100010"), _value(row, "00080020"), _value(row, "00081030"),
        tuple(_values(row, "00080061")), _value(row, "00080050"), int(count) if count.isdecimal() else 0,
    )  # fmt: skip


def _film(row: Any, study_uid: str) -> WorklistFilm | None:
    series, instance, kind = (_value(row, tag) for tag in ("0020000E", "00080018", "00080016"))
    if not (is_uid(series) and is_uid(instance)):
        return None
    return WorklistFilm(study_uid, series, instance, kind if is_uid(kind) else "", _value(row, "00080060"))


def _values(row: Any, tag: str) -> list[str]:
    """The values of an element of DICOM JSON, each as one line of printable text."""
    element = row.get(tag) if isinstance(row, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    texts = [value.get("Alphabetic", "") if isinstance(value, dict) else value for value in values or [] if value is not None]
    return ["".join(sign for sign in str(text) if sign.isprintable())[:120] for text in texts]


def _value(row: Any, tag: str) -> str:
    values = _values(row, tag)
    return values[0] if values else ""
