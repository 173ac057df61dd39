"""Every kind of question in a real browser: the form, the case, a tablet, dark and Chinese; and what axe says of it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clinic.kinds.made_questions import KINDS
from tests.clinic.kinds.test_doors_of_kinds import with_kind
from tests.clinic.web import test_browser
from tests.clinic.web.test_browser import Site, serious, shot, site_of
from tests.clinic.web.test_browser import browser as browser
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings

pytestmark = test_browser.pytestmark


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture(scope="module")
def site(folder: Path, browser: Any) -> Iterator[Site]:
    clinic = ClinicPlace.begin(folder / "clinic", ClinicSettings(hospital="St Anna"))
    yield from site_of(with_kind(clinic, KINDS[0], folder).path, browser)


def test_every_kind_is_asked_and_read(site: Site, folder: Path) -> None:
    """One model after the other comes into service; nothing is cut off at any width."""
    page = site.page("doctor", viewport={"width": 1100, "height": 900})
    for name in KINDS:
        with_kind(ClinicPlace.at(site.folder), name, folder)
        page.goto(f"http://{site.address}/ask")
        page.get_by_label("age (years)").fill("63")
        page.get_by_label("sex").select_option("m")
        page.get_by_label("pressure (mmHg)").fill("150")
        page.get_by_role("button", name="What if").click()
        page.locator("#tried", has_text=re.compile(r"\w")).wait_for()
        page.get_by_role("button", name="Get the answer").press("Enter")
        page.wait_for_url(re.compile("/cases/"))
        case = page.url
        assert serious(page) == [], name
        shot(page, f"kind-{name}")
        for drawing in page.locator("svg.drawing").all():
            assert drawing.get_attribute("role") == "img" and len(drawing.get_attribute("aria-label") or "") > 10
        for width in (420, 800):
            page.set_viewport_size({"width": width, "height": 1000})
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, width)
        shot(page, f"kind-{name}-tablet")
        page.set_viewport_size({"width": 1100, "height": 900})
        page.goto(f"{case}/sheet")
        assert serious(page) == [], name
        shot(page, f"kind-{name}-sheet")
    page.goto(f"http://{site.address}/")
    assert page.locator("tbody tr").count() == len(KINDS) and serious(page) == []
    shot(page, "kinds-worklist")
    page.goto(f"http://{site.address}/facts")
    assert serious(page) == []
    shot(page, "kinds-facts")
    assert page.problems == []


def test_dark_and_chinese(site: Site) -> None:
    """Colours that axe can read in the night, and no English sentence of ours."""
    page = site.page("doctor", color_scheme="dark", viewport={"width": 1100, "height": 900})
    page.get_by_role("button", name="中文").click()
    for number in range(len(KINDS)):
        page.goto(f"http://{site.address}/")
        page.locator("tbody a").nth(number).click()
        page.locator("#verdict").wait_for()
        assert serious(page) == []
        shot(page, f"kind-dark-chinese-{number}")
    assert page.problems == []
