"""Study files of earlier versions: settings that only one machine needs, and the exact lines that move them to the run file.

A statement of TOML can take several lines (a list of hospitals). It ends where it first is valid TOML by itself.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from wardround.study.positions import key_lines, line_of
from wardround.study.run_settings import run_file_of
from wardround.study.toml_reading import KeyPath
from wardround.values.errors import StudyError

MOVED: dict[tuple[str, ...], tuple[str, ...]] = {
    ("training", "device"): ("run", "device"),
    ("sites", "deadline_s"): ("run", "deadline_s"),
    ("evaluation", "external", "dataset"): ("external", "dataset"),
    ("evaluation", "external", "path"): ("external", "path"),
    ("evaluation", "external", "split"): ("external", "split"),
    ("simulation",): ("simulation",),
}
"""Where a setting stood in the study, and where it stands in the run file."""


def refuse_moved_settings(study: Mapping[str, Any], text: str, path: Path) -> None:
    """StudyError where a study file still holds them, with the lines to take out and those to write into the run file.

    study: what the file's `text` says. path: of the file.
    """
    moved = {old: value for old in MOVED if (value := _at(study, old)) is not None}
    if not moved:
        return
    present = _present(run_file_of(path))
    raise StudyError(
        "\n".join(
            [
                f"{path} has settings that only the machine that runs it needs; they stand in a file of their own now, "
                "so that no hospital has to agree to them.",
                f"Write these lines into {run_file_of(path)}{', in place of what it holds' if present else ''}:",
                "",
                *_run_lines(moved, present),
                "",
                f"And change {path.name} from the bottom up, so that its line numbers stay as they are here:",
                *(f"  {change}" for change in _changes(study, text, moved)),
                f"Then check both files: wardround study check {path}",
            ]
        )
    )


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _present(path: Path) -> dict[str, Any]:
    """What a run file that is there already says; nothing where it says nothing that could be kept."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _run_lines(moved: Mapping[tuple[str, ...], Any], present: Mapping[str, Any]) -> list[str]:
    """The whole run file: what it says already, and what moves there. A data set and a path would contradict each other, so
    [external] and [simulation] are replaced whole."""
    replaced = {MOVED[old][0] for old in moved} - {"run"}
    run = {name: dict(section) for name, section in present.items() if name not in replaced and isinstance(section, Mapping)}
    for old, value in moved.items():
        *sections, name = MOVED[old]
        inside: dict[str, Any] = run
        for section in sections:
            inside = inside.setdefault(section, {})
        inside[name] = value
    return tomli_w.dumps(run).splitlines()


def _changes(study: Mapping[str, Any], text: str, moved: Mapping[tuple[str, ...], Any]) -> Iterator[str]:
    """One sentence for each statement, from the bottom up."""
    positions = key_lines(text)
    lines = text.splitlines()
    sentences: dict[int, str] = {}
    for old in moved:
        own = {line for path, line in positions.items() if path[: len(old)] == old}
        for line in own:
            sentences[line] = f"{_range(lines, line)}: remove ({lines[line - 1].strip()})"
        holder_line = line_of(old, positions)
        if not own and holder_line:  # it stands in an inline table, which stays without it
            line = holder_line
            holder = max((old[:end] for end in range(1, len(old)) if positions.get(old[:end]) == line), key=len)
            kept = _without(_at(study, holder), [path[len(holder) :] for path in moved if path[: len(holder)] == holder])
            key = lines[line - 1].partition("=")[0].strip()
            sentences[line] = f"{_range(lines, line)}: write {key} = {_inline(kept)}"
    return (sentences[line] for line in sorted(sentences, reverse=True))


def _range(lines: list[str], line: int) -> str:
    last = next((end for end in range(line, len(lines) + 1) if _is_whole("\n".join(lines[line - 1 : end]))), line)
    return f"line {line}" if last == line else f"lines {line} to {last}"


def _is_whole(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _without(value: Mapping[str, Any], paths: list[KeyPath]) -> dict[str, Any]:
    kept = {}
    for name, inner in value.items():
        if (name,) in paths:
            continue
        deeper = [path[1:] for path in paths if path[0] == name]
        kept[name] = _without(inner, deeper) if deeper else inner
    return kept


def _inline(value: Any) -> str:
    """A value as it stands behind an equals sign."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_inline(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(inner) for inner in value) + "]"
    return json.dumps(value) if isinstance(value, str | bool) else str(value)
