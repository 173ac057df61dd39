"""A real archive on loopback: Orthanc with its DICOMweb plug-in, with own settings and an own folder."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

HERE = "127.0.0.1"
TITLE = "ORTHANC"
_PLUGINS = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc/plugins"), Path("/usr/local/share/orthanc/plugins"))


@dataclass(frozen=True)
class Orthanc:
    """A running one."""

    port: int
    http: int

    @property
    def web(self) -> str:
        return f"http://{HERE}:{self.http}/dicom-web"

    def instances(self) -> list[bytes]:
        """Every file that it keeps."""
        with httpx.Client(base_url=f"http://{HERE}:{self.http}", trust_env=False) as client:
            return [client.get(f"/instances/{name}/file").content for name in client.get("/instances").json()]

    def send(self, modality: str) -> dict[str, object]:
        """Sends all that it keeps to a node that its settings name, and tells what came of it."""
        with httpx.Client(base_url=f"http://{HERE}:{self.http}", trust_env=False, timeout=60) as client:
            names = client.get("/instances").json()
            answer = client.post(f"/modalities/{modality}/store", json={"Resources": names, "Synchronous": True})
            return {"status": answer.status_code, **answer.json()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def orthanc(folder: Path, clinic_port: int) -> Iterator[Orthanc]:
    """Runs within the block. Skips the test where it is not installed. clinic_port: where it finds WARDROUND."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    plugin = next((path for place in _PLUGINS for path in place.glob("libOrthancDicomWeb.so*")), None)
    if program is None or plugin is None:
        pytest.skip("Orthanc with its DICOMweb plug-in is not installed (Debian: orthanc, orthanc-dicomweb)")
    archive = Orthanc(free_port(), free_port())
    settings = {
        "Name": "archive", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"),
        "HttpPort": archive.http, "DicomPort": archive.port, "DicomAet": TITLE, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "Plugins": [str(plugin)], "OverwriteInstances": True, "HttpVerbose": False,
        "DicomModalities": {"WARDROUND": ["WARDROUND", HERE, clinic_port]}, "DicomAlwaysAllowStore": True,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
        "DicomScuTimeout": 30, "DefaultEncoding": "Utf8",
    }  # fmt: skip
    folder.mkdir()
    (folder / "orthanc.json").write_text(json.dumps(settings), "utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(600):
            with contextlib.suppress(httpx.HTTPError), httpx.Client(trust_env=False) as client:
                if client.get(f"http://{HERE}:{archive.http}/dicom-web/studies").status_code == 200:
                    break
            assert process.poll() is None, (folder / "log").read_text("utf-8", "replace")[-2000:]
            time.sleep(0.1)
        yield archive
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
