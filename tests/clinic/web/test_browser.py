"""The clinic in a real browser: mouse, keyboard, a tablet, dark, Chinese; and what axe says of every page.

Skipped where Debian's Chromium or Playwright is not installed. With WARDROUND_SCREENSHOTS=FOLDER each page is written there.
"""

import base64
import os
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyotp
import pytest
import tomli_w
from sqlalchemy import update

from tests.clinic.dicom_files import dicom
from tests.clinic.made_clinics import film_clinic, table_clinic
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.store.database import Store
from wardround.clinic.store.people import People
from wardround.clinic.store.tables import people as people_table
from wardround.clinic.web.server import store_url
from wardround.sources.synthetic.hospitals import demo_hospitals

from .login_provider import login_provider
from .served import served
from .test_oidc import section_of
from .visitors import NAMES, PASSWORD, secret_in

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]
SCREENSHOTS = os.environ.get("WARDROUND_SCREENSHOTS", "")


@dataclass
class Site:
    """A served clinic, a browser, and the second factors of its people."""

    address: str
    browser: Any
    folder: Path
    secrets: dict[str, str]

    def page(self, role: str = "", **settings: object) -> Any:
        """A new window; logged in where a role is named."""
        context = self.browser.new_context(locale=str(settings.pop("locale", "en-GB")), **settings)
        page = context.new_page()
        page.set_default_timeout(20_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.problems = problems
        page.goto(f"http://{self.address}/login")
        if role:
            self.login(page, NAMES[role])
        return page

    def login(self, page: Any, name: str) -> None:
        page.locator("#name").fill(name)
        page.locator("#password").fill(PASSWORD)
        page.locator("main button").click()
        page.wait_for_url("**/second")
        if name not in self.secrets:
            self.secrets[name] = secret_in(page.content())
        forget_used_codes(self.folder)
        page.locator("#code").fill(pyotp.TOTP(self.secrets[name]).now())
        page.locator("main button").click()
        page.wait_for_url(lambda url: "/second" not in url)


def forget_used_codes(folder: Path) -> None:
    """A test logs in more than once within 30 seconds."""
    with Store(store_url_of(folder)) as store:
        store.write(lambda connection: connection.execute(update(people_table).values(last_step=0)).rowcount)


def store_url_of(folder: Path) -> str:
    return store_url(ClinicPlace.at(folder))


def chest_film() -> bytes:
    """A drawn chest film of 1024 pixels and 12 bits."""
    drawn = demo_hospitals(1)["north"].inputs[0].astype(np.uint16)
    large = np.kron(drawn, np.ones((1024 // drawn.shape[0], 1024 // drawn.shape[1]), np.uint16)) * 16
    return dicom(large, BitsStored=12, WindowCenter=2048, WindowWidth=3000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield opened
        opened.close()


def site_of(folder: Path, browser: Any) -> Iterator[Site]:
    with Store(store_url_of(folder)) as store:
        accounts = People(store, folder)
        for role, name in NAMES.items():
            accounts.add(name, role, PASSWORD, actor="test")
    with served(folder) as (address, _):
        yield Site(address, browser, folder, {})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Site]:
    yield from site_of(film_clinic(tmp_path_factory.mktemp("films") / "clinic").path, browser)


@pytest.fixture(scope="module")
def table_site(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Site]:
    yield from site_of(table_clinic(tmp_path_factory.mktemp("tables") / "clinic").path, browser)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.dcm"
    path.write_bytes(chest_film())
    return path


def shot(page: Any, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}.png"), full_page=True)


def dropped(page: Any, film: Path) -> None:
    """Chooses the film as a drop does, and waits until it is drawn."""
    page.locator("#file").set_input_files(film)
    page.wait_for_url(re.compile("/cases/[0-9a-f]{32}"))
    page.locator("#viewer[data-drawn=true]").wait_for()


def pixels(page: Any, canvas: str = "#stage") -> list[int]:
    """Grey values along the middle row of a canvas."""
    script = "c => Array.from(c.getContext('2d').getImageData(0, c.height >> 1, c.width, 1).data).filter((_, i) => i % 4 == 0)"
    return list(page.locator(canvas).evaluate(script))


def serious(page: Any) -> list[str]:
    """What axe finds serious or critical on the page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    results = axe.Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in results if one["impact"] in ("serious", "critical")]


def test_a_doctor_reads_a_film_with_the_mouse(site: Site, film: Path) -> None:
    """Log in, second factor, drop, read, window, invert, mirror, heat map, opinion, sheet."""
    page = site.page("doctor", viewport={"width": 1360, "height": 900})
    shot(page, "worklist-empty")
    dropped(page, film)
    assert "pneumonia" in page.locator("#probability").inner_text() and re.search(
        "Of 100? films", page.locator("#frequency").inner_text()
    )
    first = pixels(page)
    assert max(first) - min(first) > 50
    shot(page, "case")
    page.locator("[data-set=width]").fill("20")
    narrow = pixels(page)
    assert narrow != first and sum(value in (0, 255) for value in narrow) > sum(value in (0, 255) for value in first)
    page.get_by_role("button", name="As it came").click()
    assert pixels(page) == first
    page.get_by_role("button", name="Invert").click()
    assert abs(np.mean(pixels(page)) - np.mean(first)) > 1
    page.get_by_role("button", name="As it came").click()
    page.get_by_role("button", name="mirror").click()
    left, right = pixels(page), pixels(page, "#mirrored")
    assert np.abs(np.array(left[::-1], int) - np.array(right, int)).mean() < 12 and left != right
    shot(page, "mirror")
    page.get_by_role("button", name="mirror").click()
    page.get_by_role("button", name="Heat map").click()
    page.locator("#viewer[data-heat-shown=true]").wait_for()
    assert page.locator("#heat-hint").is_visible() and "not a proof" in page.locator("#heat-hint").inner_text()
    shot(page, "heat")
    page.get_by_label("I disagree").check()
    page.get_by_label("Comment").fill("a fold of skin")
    page.get_by_role("button", name="Keep").click()
    page.get_by_text("Your opinion is kept.").wait_for()
    assert "a fold of skin" in page.content()
    page.get_by_role("link", name="Sheet for the patient").click()
    page.get_by_role("heading", name="What the computer saw").wait_for()
    shot(page, "sheet")
    page.emulate_media(media="print")
    assert not page.locator("header").is_visible()
    assert page.problems == []


def test_the_whole_flow_by_keyboard(site: Site, film: Path) -> None:
    """A doctor with a cold hand on a key, or without a mouse."""
    page = site.page()
    choosers: list[Any] = []
    # From the start: a browser that is told just before the key may not know it yet.
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    page.keyboard.type("anna")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/second")
    site.secrets.setdefault("anna", secret_in(page.content()) if 'id="secret"' in page.content() else "")
    forget_used_codes(site.folder)
    page.keyboard.type(pyotp.TOTP(site.secrets["anna"]).now())
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/second" not in url)
    page.locator("#file").wait_for(state="attached")
    tab_to(page, "document.activeElement.id === 'file'")
    page.keyboard.press("Enter")
    while not choosers:  # pytest's timeout ends it
        page.wait_for_timeout(50)
    choosers[0].set_files(film)
    page.wait_for_url(re.compile("/cases/[0-9a-f]{32}"))
    page.locator("#viewer[data-drawn=true]").wait_for()
    tab_to(page, "document.activeElement.id === 'stage'")
    first = pixels(page)
    for key in ("+", "-", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "[", "]", ",", ".", "i"):
        page.keyboard.press(key)
        assert pixels(page) != first, f"{key} does nothing"
        page.keyboard.press("0")
        assert pixels(page) == first, f"0 does not take {key} back"
    page.keyboard.press("m")
    assert page.locator("#mirrored").is_visible()
    page.keyboard.press("m")
    assert not page.locator("#mirrored").is_visible()
    page.keyboard.press("h")
    page.locator("#viewer[data-heat-shown=true]").wait_for()
    tab_to(page, "document.activeElement.name === 'opinion'")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("Your opinion is kept.").wait_for()
    case = page.url
    for path in ("/sheet", "/facts"):
        tab_to(page, f"(document.activeElement.getAttribute('href') || '').endsWith('{path}')")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{path}")
        page.goto(case)


def tab_to(page: Any, reached: str) -> None:
    """Presses Tab until what is wanted has the focus, as somebody without a mouse does."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(reached):
            return
    raise AssertionError(f"80 times Tab, and never: {reached}")


def test_a_file_is_dropped_on_the_page(site: Site, film: Path) -> None:
    """Anywhere on it; and one that is no film is refused where it was dropped."""
    page = site.page("doctor")
    drop = """(content) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], 'a.dcm'));
        document.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
    }"""
    page.evaluate(drop, base64.b64encode(b"no film at all").decode())
    page.locator("#state.error").wait_for()
    assert "What to do" in page.locator("#state").inner_text()
    page.evaluate(drop, base64.b64encode(film.read_bytes()).decode())
    page.wait_for_url(re.compile("/cases/"))


@pytest.mark.parametrize(("scheme", "locale"), [("light", "en-GB"), ("dark", "zh-CN")])
def test_axe_finds_nothing_serious_on_any_page(site: Site, film: Path, scheme: str, locale: str) -> None:
    """Every page of every role: light in English, dark in Chinese."""
    settings = {"color_scheme": scheme, "locale": locale}
    page = site.page(**settings)
    problems = {"/login": serious(page)}
    shot(page, f"login-{scheme}-{locale}")
    visits = {"data-manager": ["/register", "/leaflet"], "auditor": ["/audit", "/watch"], "administrator": ["/people"]}
    page = site.page("doctor", **settings)
    if locale == "zh-CN":
        page.get_by_role("button", name="中文").click()
    dropped(page, film)
    case = page.url
    page.keyboard.press("Tab")
    problems |= {"case": serious(page)}
    shot(page, f"case-{scheme}-{locale}")
    for path in (f"http://{site.address}/", f"http://{site.address}/facts", f"{case}/sheet", f"http://{site.address}/none"):
        page.goto(path)
        problems[path] = serious(page)
        shot(page, f"{path.rstrip('/').rpartition('/')[2].replace(':', '-')}-{scheme}-{locale}")
    if locale == "zh-CN":
        assert page.locator("html").get_attribute("lang") == "zh"
        page.get_by_role("button", name="English").click()
    for role, paths in visits.items():
        page = site.page(role, **settings)
        for path in paths:
            page.goto(f"http://{site.address}{path}")
            problems[path] = serious(page)
            shot(page, f"{path.strip('/')}-{scheme}-{locale}")
    assert {path: one for path, one in problems.items() if one} == {}


@pytest.mark.parametrize(("scheme", "locale"), [("light", "en-GB"), ("dark", "zh-CN")])
def test_axe_finds_nothing_serious_where_people_come_once(site: Site, table_site: Site, scheme: str, locale: str) -> None:
    """The set-up of a second factor, a form and its answer, what is shown once."""
    settings, name, problems = {"color_scheme": scheme, "locale": locale}, f"new-{scheme}-{locale}", {}
    with Store(store_url_of(site.folder)) as store:
        People(store, site.folder).add(name, "doctor", PASSWORD, actor="test")
    page = site.page(**settings)
    page.locator("#name").fill(name)
    page.locator("#password").fill(PASSWORD)
    page.locator("main button").click()
    page.wait_for_url("**/second")
    problems["/second"] = serious(page)
    shot(page, f"second-{scheme}-{locale}")
    page = site.page("administrator", **settings)
    page.goto(f"http://{site.address}/people")
    page.locator("#key").fill(f"key-{name}")
    page.locator("form[action='/keys'] button").click()
    page.locator("#secret").wait_for()
    problems["shown once"] = serious(page)
    page = table_site.page("doctor", **settings)
    page.goto(f"http://{table_site.address}/ask")
    problems["/ask"] = serious(page)
    page.locator("#f0").fill("70")
    page.locator("#f1").select_option("m")
    page.locator("#f2").select_option("1")
    page.locator("#ask > button").first.click()
    page.wait_for_url(re.compile("/cases/"))
    problems["a table's case"] = serious(page)
    shot(page, f"table-case-{scheme}-{locale}")
    assert {path: one for path, one in problems.items() if one} == {}


def test_a_tablet_shows_the_film_above_the_answer_and_nothing_is_cut_off(site: Site, film: Path) -> None:
    """At the bedside."""
    page = site.page("doctor", viewport={"width": 800, "height": 1100}, has_touch=True, is_mobile=True)
    dropped(page, film)
    stage, answer = page.locator(".stages").bounding_box(), page.locator(".answer").bounding_box()
    assert stage and answer and stage["y"] + stage["height"] <= answer["y"] and stage["width"] > 600
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    small = [one for one in page.locator("button:visible").all() if (one.bounding_box() or {"height": 0})["height"] < 24]
    assert small == []
    assert serious(page) == []
    shot(page, "tablet")
    case = page.url
    for path in (f"http://{site.address}/", f"http://{site.address}/facts", f"{case}/sheet"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        assert serious(page) == [], path


def test_fingers_move_and_size_the_film(site: Site, film: Path) -> None:
    """One finger moves it, two size it about the place between them, and lifting one goes on with the other."""
    page = site.page("doctor", viewport={"width": 800, "height": 1100}, has_touch=True, is_mobile=True)
    dropped(page, film)
    touch = page.context.new_cdp_session(page)
    box = page.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def put(kind: str, *points: tuple[float, float]) -> list[int]:
        fingers = [{"x": x + dx, "y": y + dy, "id": number} for number, (dx, dy) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
        return pixels(page)

    first = pixels(page)
    width = dark_width(first)
    put("touchStart", (0, 0))
    moved = put("touchMove", (60, 0))
    put("touchEnd")
    assert moved != first and abs(dark_width(moved) - width) <= 2
    page.get_by_role("button", name="As it came").click()
    put("touchStart", (-50, 0))
    put("touchStart", (-50, 0), (50, 0))
    wide = put("touchMove", (-75, 0), (75, 0))
    assert abs(dark_width(wide) - min(1.5 * width, len(first))) <= 4
    assert put("touchEnd", (-75, 0)) == wide
    put("touchEnd")
    page.get_by_role("button", name="As it came").click()
    assert pixels(page) == first and page.problems == []


def dark_width(row: list[int]) -> int:
    """How many points of a row the film takes: beside it the canvas is black."""
    lit = [number for number, value in enumerate(row) if value > 0]
    return lit[-1] - lit[0] if lit else 0


def test_dark_stays_where_it_was_chosen(site: Site) -> None:
    """In a reading room the system's own choice may be wrong."""
    page = site.page(color_scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert dark != light and page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_a_role_sees_its_own_pages_alone(site: Site) -> None:
    """An auditor opens no film."""
    page = site.page("auditor")
    assert "/audit" in page.url and page.locator("nav").inner_text().count("\n") <= 3
    reply = page.goto(f"http://{site.address}/")
    assert reply is not None and reply.status == 403 and "Your role may not do this" in page.content()


def test_the_hospitals_login_lets_a_doctor_in(tmp_path: Path, browser: Any) -> None:
    """From another site and back: our own policy, strict cookies and a browser's rules for redirects all stand in the way."""
    with login_provider() as provider, socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        clinic = film_clinic(tmp_path / "clinic")
        section = {**section_of(provider, tmp_path), "address": f"http://{address}"}
        (clinic.path / "clinic.toml").write_text(tomli_w.dumps({"hospital": "St Anna", "listen": address, "oidc": section}))
        taken.close()
        with served(clinic.path, address):
            site = Site(address, browser, clinic.path, {})
            for scheme, locale in (("light", "en-GB"), ("dark", "zh-CN")):
                page = site.page(color_scheme=scheme, locale=locale)
                assert serious(page) == []
                shot(page, f"hospital-login-{scheme}-{locale}")
                page.locator("a[href='/oidc/start']").click()
                page.locator("#upload").wait_for()
                assert page.url == f"http://{address}/" and "anna.berg" in page.locator("header").inner_text()
                assert "code=" not in page.content() and page.problems == []
            provider.claims["groups"] = []
            page = site.page()
            page.locator("a[href='/oidc/start']").click()
            page.get_by_text("none of your groups has a role").wait_for()
            shot(page, "hospital-login-refused")


def test_a_form_is_asked_and_what_if_changes_nothing(table_site: Site) -> None:
    """The answer moves with the value, and the worklist stays as it was."""
    page = table_site.page("doctor")
    page.get_by_role("link", name="Ask about a patient").first.click()
    page.get_by_label("age (years)").fill("70")
    page.get_by_label("sex").select_option("m")
    page.get_by_label("smoker").select_option("1")
    page.get_by_role("button", name="What if").click()
    page.locator("#tried", has_text="heart disease").wait_for()
    old = page.locator("#tried").inner_text()
    page.get_by_label("age (years)").fill("20")
    page.get_by_role("button", name="What if").click()
    page.wait_for_function("old => document.getElementById('tried').textContent != old", arg=old)
    shot(page, "ask")
    assert serious(page) == []
    page.get_by_role("button", name="Get the answer").click()
    page.wait_for_url(re.compile("/cases/"))
    assert "heart disease" in page.content() and serious(page) == []
    shot(page, "table-case")
    assert page.problems == []
