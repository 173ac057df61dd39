"""Words of others on a person's terminal, whoever wrote them."""

from pathlib import Path

from typer.testing import CliRunner

from wardround.cli.main import app
from wardround.study.starter import starter


def run(*words: object) -> str:
    result = CliRunner().invoke(app, list(map(str, words)), color=True)  # without it the runner takes control signs out
    assert result.exit_code == 0, result.output
    return result.output


def test_a_title_says_nothing_to_the_terminal(tmp_path: Path) -> None:
    """A study file comes by mail: `study check` is what a person does first with it."""
    path = tmp_path / "study.toml"
    text = starter("table")
    title = next(line for line in text.splitlines() if line.startswith("title"))
    path.write_text(text.replace(title, 'title = "a \\u001b[2J \\u202e"'))
    told = run("study", "check", path)
    assert "\x1b" not in told and "\u202e" not in told and "\\x1b[2J" in told
