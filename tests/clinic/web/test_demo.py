"""`wardround clinic demo`: from nothing to an answered film in one command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest


@pytest.mark.slow
def test_one_command_leads_to_an_answered_film(tmp_path: Path) -> None:
    """And a second start uses what is there; the link is good once."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "wardround", "clinic", "demo", "--folder", str(tmp_path / "demo"), "--listen", "127.0.0.1:0"]
    for start in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
            said = ""
            while "/enter/" not in said:
                line = process.stdout.readline()
                said += line
                assert line, said
            assert len(list((tmp_path / "demo" / "films").glob("film-*.png"))) == 20
            link = re.findall(r"http://\S+/enter/\S+", said)[0]
            assert ("learn one model" in said) is (start == 0) and "Synthetic pictures" in said
            with httpx.Client(follow_redirects=True, timeout=60) as client:
                page = client.get(link)
                assert page.status_code == 200 and page.url.path == "/" and page.text.count("/cases/") >= 6
                case = re.findall("/cases/[0-9a-f]{32}", page.text)[0]
                assert "pneumonia" in client.get(str(page.url.join(case))).text
            assert httpx.get(link, timeout=60).status_code == 404
            process.terminate()
            process.communicate(timeout=60)
