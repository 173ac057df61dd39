"""The archive over DICOMweb, where it errs or is not what it should be: nothing else is asked, read or believed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.clinic.dicom import archive as archive_module
from wardround.clinic.dicom.archive import Door, archive_client, study_films, worklist
from wardround.clinic.dicom.results import ResultFile
from wardround.clinic.place.dicom_settings import ArchiveSection, NodeSection
from wardround.values.errors import DataError, RunError, WardroundError

from .films import film
from .web_archives import Reply, dicom_json, part, web_archive

TODAY = date(2025, 1, 3)
STUDY, SERIES, INSTANCE = "1.2.276.0.7.1.1", "1.2.276.0.7.1.2", "1.2.276.0.7.1.3"
TOLD = st.none() | st.integers() | st.text(max_size=6)
ROW = {"0020000D": STUDY, "0020000E": SERIES, "00080018": INSTANCE, "00080060": "CR", "00080016": "1.2.840.10008.5.1.4.1.1.1"}


def section(url: str, **settings: Any) -> ArchiveSection:
    return ArchiveSection(**{"url": url, "modalities": ("CR",), "timeout_s": 2.0, **settings})


def listing(film_reply: Reply) -> Callable[[str, str], Reply]:
    """An archive whose one study has one film."""
    return lambda _, path: film_reply if "/series/" in path else dicom_json(ROW)


def test_a_film_is_fetched_as_the_bytes_that_the_archive_keeps() -> None:
    """They go to the decoders unchanged: what the archive keeps is what is answered."""
    content = film()
    with web_archive(listing(part(content))) as web:
        assert study_films(section(web.url), STUDY) == (content,)
        assert web.asked[-1] == f"GET /dicom-web/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"
        assert "transfer-syntax=*" in web.headers["Accept"]


def test_another_film_than_was_asked_for_is_not_taken() -> None:
    """It would be answered in the wrong patient's name."""
    other = film(number=2)
    with (
        web_archive(
            lambda _, path: dicom_json(ROW) if "/instances?" in path or path.endswith("/instances") else part(other)
        ) as web,
        pytest.raises(DataError, match="another film"),
    ):
        study_films(section(web.url), STUDY)


def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would carry the token, and a patient's study, to an address that nobody configured; so would a proxy."""
    with web_archive(lambda *_: dicom_json()) as elsewhere:
        monkeypatch.setenv("HTTP_PROXY", elsewhere.url)
        monkeypatch.setenv("http_proxy", elsewhere.url)
        with web_archive(lambda *_: (302, {"Location": elsewhere.url + "/studies"}, b"")) as web:
            with pytest.raises(RunError, match="sends on to another address") as refusal:
                worklist(section(web.url), TODAY)
            assert elsewhere.asked == [] and len(web.asked) == 1 and STUDY not in str(refusal.value)


def test_no_address_in_an_answer_is_opened() -> None:
    """DICOM JSON may hold addresses of bulk data; a hostile one names a machine behind the hospital's wall."""
    with web_archive(lambda *_: dicom_json()) as elsewhere:
        row = {tag: {"vr": "UI", "Value": [value]} for tag, value in ROW.items()}
        row["7FE00010"] = {"vr": "OW", "BulkDataURI": elsewhere.url + "/bulk"}  # type: ignore[dict-item]
        row["0020000D"] = {"vr": "UI", "Value": [STUDY], "BulkDataURI": elsewhere.url + "/uid"}  # type: ignore[dict-item]
        reply: Reply = (200, {"Content-Type": "application/dicom+json"}, json.dumps([row]).encode())
        with web_archive(lambda *_: reply) as web:
            (study,) = worklist(section(web.url), TODAY)
        assert study.study_uid == STUDY and elsewhere.asked == []


def test_more_than_is_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without end would fill the memory of the clinic."""
    monkeypatch.setattr(archive_module, "LARGEST", 1 << 20)
    endless: Reply = (200, {"Content-Type": "application/dicom+json"}, b" " * (4 << 20))
    with web_archive(lambda *_: endless) as web, pytest.raises(DataError, match="more than is read"):
        worklist(section(web.url), TODAY)


def test_an_archive_that_is_silent_is_not_waited_for() -> None:
    """A doctor's page must not hang on it."""
    with web_archive(lambda *_: (time.sleep(4), dicom_json())[1]) as web:
        with archive_client(Door(web.url)):
            began = time.monotonic()  # the library is loaded
        with pytest.raises(RunError, match="cannot be reached"):
            worklist(section(web.url, timeout_s=0.3), TODAY)
        assert time.monotonic() - began < 3.5


@pytest.mark.parametrize("status", [400, 401, 404, 409, 500, 503])
def test_a_refusal_is_said_without_what_was_asked(status: int, tmp_path: Path) -> None:
    """The log of a clinic holds no UID of a patient's study, and the token nowhere."""
    token = tmp_path / "token"
    token.write_text("s3cret-token\n", "utf-8")
    token.chmod(0o600)
    with web_archive(lambda *_: (status, {}, b"Mustermann")) as web:
        with pytest.raises(RunError, match=str(status)) as refusal:
            study_films(section(web.url, token_file=token), STUDY)
        assert web.headers["Authorization"] == "Bearer s3cret-token"
        assert not any(word in str(refusal.value) for word in (STUDY, "s3cret", "Mustermann"))
        assert len(web.asked) == 1  # whoever asked tries again; the page does not


def test_a_token_that_is_none_or_open_to_others_is_refused(tmp_path: Path) -> None:
    """Line breaks in it would be headers of their own."""
    token = tmp_path / "token"
    token.write_text("a\r\nHost: evil", "utf-8")
    token.chmod(0o600)
    for words, mode in (("a\r\nHost: evil", 0o600), ("", 0o600), ("good", 0o644)):
        token.write_text(words, "utf-8")
        token.chmod(mode)
        with pytest.raises(RunError), archive_client(Door("http://127.0.0.1:9/x", token_file=token)):
            pass


@given(told=st.recursive(TOLD, lambda one: st.lists(one) | st.dictionaries(st.text(max_size=8), one)))
def test_any_json_is_a_worklist_or_an_error_in_words(told: Any) -> None:
    """An archive of another maker writes what it likes."""
    with web_archive(lambda *_: (200, {"Content-Type": "application/dicom+json"}, json.dumps(told).encode())) as web:
        try:
            assert worklist(section(web.url), TODAY) == ()
        except WardroundError as error:
            assert "DICOMweb" in str(error)


@pytest.mark.slow
@given(head=st.binary(max_size=60), cut=st.integers(0, 400))
def test_any_multipart_is_a_film_or_an_error_in_words(head: bytes, cut: int) -> None:
    """Cut short, without an end, with another boundary."""
    _, headers, body = part(film())
    replies = [
        (200, headers, head + body),
        (200, headers, body[:cut]),
        (200, {"Content-Type": "multipart/related; boundary=x"}, body),
    ]
    for reply in replies:
        with web_archive(listing(reply)) as web:
            try:
                assert study_films(section(web.url), STUDY) == (film(),)
            except WardroundError as error:
                assert "Mustermann" not in str(error)


def test_names_in_a_worklist_are_one_printable_line_each() -> None:
    """They are shown on a page and in a terminal."""
    row = ROW | {"00100010": {"Alphabetic": "A\x1b[2J^B\n"}, "00080020": "20250102", "00201208": 2}
    with web_archive(lambda *_: dicom_json(row, {"0020000D": "../../etc"}, {})) as web:
        (study,) = worklist(section(web.url), TODAY)
    assert (study.name, study.instances, study.day) == ("A[2J^B", 2, "20250102")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [INSTANCE]}}]}}, ""),
        (200, {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0x0111]}}]}}, ""),
        (200, {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xA700]}}]}}, "A700"),
        (200, {}, "does not say"),
        (200, {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}, "does not say"),
    ],
)
def test_a_result_counts_as_kept_only_where_the_archive_names_it(status: int, body: dict[str, Any], words: str) -> None:
    """Else it would be erased here, and be nowhere."""
    reply = (status, {"Content-Type": "application/dicom+json"}, json.dumps(body).encode())
    with web_archive(lambda *_: reply) as web, archive_client(Door(web.url)) as client:
        told = client.keep(ResultFile("1.2.840.10008.5.1.4.1.1.1", INSTANCE, film()))
    assert told == "" if not words else words in told


@pytest.mark.parametrize(
    "url",
    [
        "http://pacs.example/x",
        "ftp://127.0.0.1/x",
        "https://me:secret@pacs/x",
        "https://pacs/x?token=1",
        "file:///etc/passwd",
        "pacs",
    ],
)
def test_an_address_that_would_send_names_in_the_clear_is_refused(url: str) -> None:
    """A token and patients' films go there."""
    with pytest.raises(ValueError, match="https") as refusal:
        NodeSection(name="pacs", url=url)
    assert "127.0.0.1" not in str(refusal.value) or "ftp" in url
    assert NodeSection(name="pacs", url="http://127.0.0.1:8042/dicom-web").url


@pytest.mark.slow
def test_an_archive_is_asked_while_another_thread_loads_what_must_not_find_requests() -> None:
    """In the first seconds of a clinic a doctor was told that dicomweb-client is not installed."""
    code = (
        "import threading\n"
        "from wardround.clinic.dicom.archive import Door, archive_client\n"
        "from wardround.values.telemetry import library_absent\n"
        "inside, go_on = threading.Event(), threading.Event()\n"
        "def hidden():\n"
        "    with library_absent('requests'):\n"
        "        inside.set()\n"
        "        go_on.wait(1.0)\n"
        "threading.Thread(target=hidden).start()\n"
        "inside.wait()\n"
        "with archive_client(Door('https://pacs.example/dicom-web')) as client:\n"
        "    print('open')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == "open", done.stderr
