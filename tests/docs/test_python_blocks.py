"""The Python that README and tutorial show is run, with folders as the pages describe them: looking for words proves nothing."""

from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
from PIL import Image

from .pages import Block, blocks

SHOWN = [block for block in blocks("python") if block.page.name in ("README.md", "tutorial.md")]
NEEDED = 'format = 1\nquestion = { title = "Pneumonia on chest X-rays" }\n[data]\nkind = "image"\nimage = { size = [64, 64] }\n'
STUDY = f"""{NEEDED}label = {{ name = "pneumonia", negative = ["NORMAL"], positive = ["PNEUMONIA"] }}
[network]
name = "logistic"
[algorithm]
rounds = 1
"""


@pytest.fixture
def folder_of_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """study.toml, and data/NAME/LABEL/PATIENT/image.png for the three hospitals that the pages name."""
    (tmp_path / "study.toml").write_text(STUDY, "utf-8")
    rng = np.random.default_rng(1)
    for hospital in ("north", "south", "west"):
        for patient in range(20):
            label = "PNEUMONIA" if patient % 2 else "NORMAL"
            folder = tmp_path / "data" / hospital / label / f"p{patient}"
            folder.mkdir(parents=True)
            pixels = rng.integers(0, 200, (64, 64)) + 40 * (patient % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "a.png")
    Image.fromarray(rng.integers(0, 255, (200, 180)).astype(np.uint8)).save(tmp_path / "scan.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize("page", sorted({block.page for block in SHOWN}), ids=lambda page: page.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, folder_of_the_pages: Path) -> None:
    """The documented example with two hospitals failed, and nobody had run it."""
    names: dict[str, object] = {}
    for block in (one for one in SHOWN if one.page == page):
        exported = folder_of_the_pages / "runs/b/model.onnx"
        if exported.exists():
            copyfile(exported, folder_of_the_pages / "model.onnx")  # what `wardround models export` does on the page
        exec(compile(block.text, str(block), "exec"), names)
    assert (folder_of_the_pages / "runs").is_dir()


def test_there_is_python_to_run() -> None:
    """Or the test above proves nothing."""
    assert {block.page.name for block in SHOWN} == {"README.md", "tutorial.md"} and all(isinstance(one, Block) for one in SHOWN)
