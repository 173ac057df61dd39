"""The Python that README and tutorial show is run, with folders as the pages describe them: looking for words proves nothing."""

from pathlib import Path
from shutil import copyfile

import pytest

from wardround.sources.synthetic.folders import make_folders

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
    """study.toml, and what `wardround data make` writes into data/."""
    (tmp_path / "study.toml").write_text(STUDY, "utf-8")
    make_folders(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.slow
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
