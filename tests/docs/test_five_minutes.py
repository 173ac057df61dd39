"""The five commands of docs/clinic.md, run as they stand there: from a model file to the first answered film."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pyotp
import pytest
from PIL import Image

from tests.clinic.made_models import SIDE, film_model
from wardround.clinic.acceptance.card import REQUIRED
from wardround.values.randomness import generator

from .pages import ROOT, blocks

SHOWN_ADDRESS = "http://127.0.0.1:8479/"


def commands() -> list[str]:
    """The lines of the block that begins with the installation, without the editor's."""
    found = [block for block in blocks("bash") if block.page.name == "clinic.md" and "pip install" in block.text]
    assert len(found) == 1
    return [line for line in found[0].text.splitlines() if not line.startswith("#")]


class Hospital:
    """Somebody who follows the page in a folder of her own, with a model file and labelled films."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = os.environ | {
            "WARDROUND_HOME": str(folder / "home"),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONUNBUFFERED": "1",
        }
        (folder / "model.onnx").write_bytes(film_model())
        random = generator("five minutes", 1)
        for patient in range(240):
            pixels = random.normal(80, 12, (SIDE, SIDE))
            if patient % 2:
                row, column = random.integers(6, SIDE - 12, 2)
                pixels[row : row + 8, column : column + 8] += 130
            path = folder / "films" / "2025" / str(patient % 2) / f"p{patient}" / "film.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._words(command), capture_output=True, text=True, env=self._environment, cwd=self.folder, check=False, timeout=600
        )

    def fill_in(self, file: str, *, but: str = "") -> list[str]:
        """As with an editor: a text in place of each blank. The numbers that the file asks for."""
        path = self.folder / file
        text = path.read_text("utf-8")
        asked = re.findall(r'^(\w+) = ""$', text, re.MULTILINE)
        for number in set(asked) - {but}:
            text = re.sub(rf'^{number} = ""$', f'{number} = "Said."', text, flags=re.MULTILINE)
        path.write_text(text, "utf-8")
        return asked

    @contextmanager
    def up(self, command: str) -> Iterator[str]:
        """The address that it prints; the shown port may be another's on this machine."""
        words = [*self._words(command), "--listen", "127.0.0.1:0"]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environment, cwd=self.folder
        ) as process:
            assert process.stdout is not None
            said = ""
            while "http://" not in said:
                line = process.stdout.readline()
                said += line
                assert line, said
            try:
                yield said.rpartition("http://")[2].partition("/")[0]
            finally:
                process.terminate()
                process.communicate(timeout=30)

    @staticmethod
    def _words(command: str) -> list[str]:
        return [sys.executable, "-m", *shlex.split(command)]


def first_answer(address: str, password: str, film: Path) -> str:
    """The page of a film that anna drops, after her first login."""
    with httpx.Client(base_url=f"http://{address}", follow_redirects=True, timeout=120) as browser:
        page = browser.post("/login", data={"name": "anna", "password": password}).text
        secret, token = (re.findall(pattern, page)[0] for pattern in (r'id="secret">([\w-]+)<', r'name="token" value="([^"]+)"'))
        page = browser.post("/second", data={"code": pyotp.TOTP(secret).now(), "token": token}).text
        token = re.findall(r'name="token" value="([^"]+)"', page)[0]
        reply = browser.post("/cases", data={"token": token}, files={"file": (film.name, film.read_bytes())})
        assert "/cases/" in str(reply.url), reply.text
        return reply.text


@pytest.mark.slow
def test_five_commands_lead_from_a_model_to_the_first_answered_film(tmp_path: Path) -> None:
    """A doctor has five minutes, and a command that fails is one too many. Also what the page says on the way."""
    install, init, accept, activate, up = commands()
    assert re.fullmatch(r"pip install 'wardround\[clinic\]'", install) and "\nclinic = [" in (ROOT / "pyproject.toml").read_text()
    anna = Hospital(tmp_path)
    begun = anna.run(init)
    assert begun.returncode == 0, begun.stderr
    password = re.findall(r"Password, shown only now: (\S+)", begun.stdout)[0]
    accepted = anna.run(accept)
    assert accepted.returncode == 0 and "model-card.toml" in accepted.stdout, accepted.stdout + accepted.stderr

    refused = anna.run(activate)
    assert refused.returncode == 6 and all(f"{number}," in refused.stderr for number in REQUIRED), refused.stderr
    assert sorted(anna.fill_in("model-card.toml", but="26")) == sorted(REQUIRED)
    refused = anna.run(activate)
    words = " ".join(refused.stderr.split())
    assert refused.returncode == 6 and "26, limitations" in words and "27," not in words and "model-card.toml" in words
    assert anna.fill_in("model-card.toml") == ["26"]
    told = re.findall(r"wardround clinic activate [0-9a-f]{6} --card model-card.toml --by NAME", words)
    assert len(told) == 1 and shlex.split(told[0])[3] in accepted.stdout

    in_service = anna.run(activate)
    assert in_service.returncode == 0 and "In service" in in_service.stdout, in_service.stderr
    with anna.up(up) as address:
        page = first_answer(address, password, tmp_path / "films" / "2025" / "1" / "p1" / "film.png")
    assert "pneumonia" in page and 'id="probability"' in page
    assert SHOWN_ADDRESS in (ROOT / "docs" / "clinic.md").read_text("utf-8")
