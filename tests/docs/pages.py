"""The written pages as data: headings, links and code blocks of README, CHANGELOG and docs/."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced code block. line: of its first line, from 1."""

    page: Path
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks(language: str) -> Iterator[Block]:
    for page in pages():
        text = page.read_text("utf-8")
        for found in _FENCE.finditer(text):
            if found[1] == language:
                yield Block(page, language, found[2], text[: found.start(2)].count("\n") + 1)


def without_code(text: str) -> str:
    """The page without fenced blocks, indented blocks and inline code, in which brackets are not links."""
    kept = "\n".join(line for line in _FENCE.sub("", text).splitlines() if not line.startswith("    "))
    return re.sub(r"`[^`\n]*`", "`", kept)


def links(page: Path) -> list[str]:
    """Targets of the page's links that lead to files of the repository, fragments included."""
    found = _LINK.findall(without_code(page.read_text("utf-8")))
    return [target for target in found if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def anchors(page: Path) -> set[str]:
    """Fragments that the page's headings give, by the rule of the usual Markdown viewers."""
    headings = re.findall(r"^#{1,6} +(.+)$", _FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def sections(text: str) -> dict[str, str]:
    """Second-level headings, without their code marks, and the text below each."""
    parts = re.split(r"^## +(.+)$", text, flags=re.MULTILINE)
    return {title.strip().strip("`"): body for title, body in zip(parts[1::2], parts[2::2], strict=True)}
