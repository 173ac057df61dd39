"""A hospital's data on one local page: pictures as the network will see them, each column by label, every finding with examples.

It is for the person at this machine, holds pictures, values and names of files, and says so at its head. It loads nothing, links
to files of the hospital alone, and runs no script. Whatever comes from the data is escaped.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.sources.places import Place, shortened
from wardround.sources.read_result import ReadResult
from wardround.sources.readiness.histograms import histograms, label_series
from wardround.sources.readiness.pictures import pictures
from wardround.sources.readiness.rendering import verdict
from wardround.sources.readiness.report import Finding, Readiness
from wardround.study.contract import DataContract
from wardround.values.durable import sweep, write_atomic

if TYPE_CHECKING:
    from jinja2 import Template

EXAMPLES_OF_A_FINDING = 8


@dataclass(frozen=True)
class Example:
    """Where a finding was met, in words. address: of the file, "" where it is none that can be opened by itself."""

    words: str
    value: str | None
    address: str


def write_page(path: Path, data: Path, readiness: Readiness, read_result: ReadResult | None, contract: DataContract) -> None:
    """Write the page, readable by this user alone. data: what was read. read_result: None where it could not be read."""
    sweep(path.parent, path.name)  # what a killed process left would hold values too
    write_atomic(path, render_page(data, readiness, read_result, contract).encode("utf-8", "backslashreplace"), private=True)


def render_page(data: Path, readiness: Readiness, read_result: ReadResult | None, contract: DataContract) -> str:
    """The page as text; the same data give the same page."""
    from markupsafe import Markup

    shown = read_result if read_result is not None and len(read_result) else None
    page: str = _template().render(
        css=Markup(_text("page.css")),
        data=str(data),
        verdict=verdict(readiness),
        ready=readiness.ready(),
        counts=readiness.counts,
        groups=_findings(readiness, data),
        label=contract.label.name,
        pictures=pictures(shown, data, contract.image) if shown and contract.kind == "image" else [],
        histograms=histograms(shown, contract) if shown and contract.kind == "table" else [],
        series=list(label_series(shown.labels)) if shown else [],
        size=contract.image.size,
    )
    return page


def _findings(readiness: Readiness, data: Path) -> list[tuple[str, list[tuple[Finding, list[Example]]]]]:
    titles = {"error": "To mend", "warning": "To look at", "note": "To know"}
    groups = []
    for level, title in titles.items():
        findings = [finding for finding in readiness.findings if finding.level == level]
        if findings:
            groups.append((title, [(finding, _examples(finding, data)) for finding in findings]))
    return groups


def _examples(finding: Finding, data: Path) -> list[Example]:
    return [_example(spot, data) for spot in finding.places[:EXAMPLES_OF_A_FINDING]]


def _example(spot: Place, data: Path) -> Example:
    return Example(spot.words(), None if spot.value is None else shortened(spot.value), _address(spot, data))


def _address(spot: Place, data: Path) -> str:
    """Only of a file that lies in the folder that was read: a name cannot lead elsewhere."""
    if not spot.file or not data.is_dir():
        return ""
    file = (data / spot.file).absolute()
    return file.as_uri() if ".." not in Path(spot.file).parts and file.is_file() else ""


def _text(name: str) -> str:
    return (files("wardround.sources.readiness") / name).read_text("utf-8")


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_text("page.html.j2"))
