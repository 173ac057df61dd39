"""What the pages point at is there."""

from pathlib import Path

import pytest

from .pages import ROOT, anchors, links, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """A reader who follows a dead link stops reading."""
    dead = []
    for target in links(page):
        place, _, fragment = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        if not file.exists() or (fragment and file.suffix == ".md" and fragment not in anchors(file)):
            dead.append(target)
        elif not file.is_relative_to(ROOT):
            dead.append(f"{target} (outside the repository)")
    assert not dead


def test_every_page_can_be_reached_from_the_index() -> None:
    """A page that nothing points to is a page that nobody keeps true."""
    index = ROOT / "docs" / "index.md"
    reached = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}
    known = {path for page in reached for path in ([page] if page.is_file() else page.glob("*.md"))}
    assert set((ROOT / "docs").rglob("*.md")) - known <= {index}
