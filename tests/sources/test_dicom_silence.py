"""What the DICOM library says of a file's elements is not shown: it may quote one."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from .test_dicom import write

pydicom = pytest.importorskip("pydicom")

READ = """
import sys
from pathlib import Path
from wardround.sources.dicom.reading import decode_dicom
assert decode_dicom(Path(sys.argv[1]).read_bytes()).pixels is not None
"""


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    """A file whose PatientID and RescaleSlope are longer than the standard allows, as exports have them."""
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    elements = {"RescaleIntercept": "0", "RescaleSlope": "1.00000000000000000000"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return write(tmp_path / "a.dcm", pixels, patient="Mustermann" * 9, **elements)


def test_the_library_would_say_something(doubtful: Path) -> None:
    """Or the silence below proves nothing."""
    with pytest.warns(UserWarning, match="exceeds the maximum length"):
        pydicom.dcmread(doubtful).get("PatientID")


def test_a_reader_s_process_says_nothing_of_an_element(doubtful: Path) -> None:
    """Terminals are copied into mails, and the standard error of a service into a log that many read."""
    command = [sys.executable, "-W", "always::UserWarning", "-c", READ, str(doubtful)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "exceeds" not in process.stderr and "Mustermann" not in process.stdout + process.stderr


def test_reading_loads_no_library_that_opens_a_socket_when_it_is_loaded(doubtful: Path) -> None:
    """pydicom takes `requests` where it is installed, and its urllib3 binds a socket: a firewall's log would tell of it."""
    pytest.importorskip("requests")
    loaded = "assert not {'requests', 'urllib3'} & sys.modules.keys()\nimport requests"
    subprocess.run([sys.executable, "-c", READ + loaded, str(doubtful)], check=True)
