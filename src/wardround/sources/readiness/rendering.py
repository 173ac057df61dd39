"""The readiness report as text for a terminal or a mail."""

import textwrap
from typing import TYPE_CHECKING

from wardround.sources.readiness.report import Finding, Readiness
from wardround.values.printable import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

WIDTH = 100
_WORDS = {"error": "To mend", "warning": "To look at", "note": "To know"}
_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def verdict(readiness: Readiness) -> str:
    errors = sum(finding.level == "error" for finding in readiness.findings)
    if readiness.ready():
        return "READY: these data can take part."
    return f"NOT READY: {errors} thing{'s' if errors != 1 else ''} to mend first."


def render(readiness: Readiness, *, where: bool = True) -> str:
    """Plain text, lines up to 100 characters. `where` is for this machine: places, values and exact counts."""
    lines = [verdict(readiness), ""]
    width = max((len(count.name) for count in readiness.counts), default=0)
    lines += [f"  {count.name:<{width}}  {(where and count.exact) or count.value}" for count in readiness.counts]
    for level, title in _WORDS.items():
        findings = [finding for finding in readiness.findings if finding.level == level]
        if findings:
            lines += ["", title]
        for finding in findings:
            lines += _wrapped(f"- {(where and finding.exact) or finding.text}.", "  ")
            if finding.where and where:
                lines += _wrapped(f"({finding.where})", "    ")
            if hint := (where and finding.exact_hint) or finding.hint:
                lines += _wrapped(f"-> {hint}", "    ")
    return printable_lines("\n".join(lines) + "\n")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")


def render_rich(readiness: Readiness) -> "Group":
    """The same for a colour terminal of this machine."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    counts = Table(show_header=False, box=None, padding=(0, 2))
    for count in readiness.counts:
        counts.add_row(count.name, count.exact or count.value)
    parts: list[Text | Table] = [Text(verdict(readiness), style="bold green" if readiness.ready() else "bold red"), counts]
    for level, title in _WORDS.items():
        findings = [finding for finding in readiness.findings if finding.level == level]
        if findings:
            parts.append(Text(f"\n{title}", style=_STYLES[level]))
        parts += [_told(finding) for finding in findings]
    return Group(*parts)


def _told(finding: Finding) -> "Table":
    """A finding with every line set in under its dash, however narrow the terminal is."""
    from rich.table import Table
    from rich.text import Text

    lines = Table.grid(padding=(0, 1))
    lines.add_row("-", Text(printable(f"{finding.exact or finding.text}.")))
    if finding.where:
        lines.add_row("", Text(printable(f"({finding.where})")))
    if hint := finding.exact_hint or finding.hint:
        lines.add_row("", Text(printable(f"-> {hint}")))
    return lines
