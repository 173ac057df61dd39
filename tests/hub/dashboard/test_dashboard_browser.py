"""The hub's page in a real browser, over a real hub at work: what it draws, what it says, and what no name can do to it.

Skipped where Debian's Chromium or Playwright is not installed. With WARDROUND_SCREENSHOTS=FOLDER each view is written there.
"""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wardround.hub.daemon.service import HubService
from wardround.hub.daemon.status import Lines, hub_view
from wardround.hub.daemon.studies import StudyFolder, fitted, submit
from wardround.hub.daemon.study_state import StudyState
from wardround.hub.dashboard.access import Sessions, login_code
from wardround.hub.dashboard.app import Dashboard
from wardround.hub.dashboard.feed import Feed
from wardround.hub.dashboard.server import served
from wardround.values.errors import RefusedError
from wardround.values.ids import SiteId
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Order

from ...federation.tiny_federation import NAMES, study
from ..daemon.hub_ward import HOUR, HubWard, hub_ward

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]
SCREENSHOTS = os.environ.get("WARDROUND_SCREENSHOTS", "")
HOSTILE = "</script><img src=x onerror=alert(1)><svg onload=alert(2)>"
WORDS = "ant bee cow dog eel fox gnu hen"
ROUNDS, LOST_IN, HELD_IN = 6, 2, 5
TABLET, DESK, TELEPHONE = ({"width": width, "height": height} for width, height in ((820, 1180), (1280, 900), (390, 800)))


@dataclass(frozen=True)
class Member:
    """A hospital of the roster, as the page shows it."""

    name: SiteId
    state: str = "confirmed"
    words: str = ""


@dataclass
class Ward:
    """A hub whose first study stands in round HELD_IN until `gate` opens: south is awaited. Its second study is not approved by
    north, which signed for another hospital. Every text that a person or another hub can choose is hostile."""

    hub: HubWard
    browser: Any
    feed: Feed = field(default_factory=Feed)
    gate: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def view(self, service: HubService) -> dict[str, Any]:
        members = [*(Member(SiteId(name)) for name in NAMES), Member(SiteId("harbour"), "waiting", WORDS)]
        east, south = SiteId("east"), SiteId("south")
        lines = Lines({east: time.time(), south: time.time() - 400}, {south: 7.3, east: 0.1})
        view = hub_view(self.hub.home, members, service.studies(), lines=lines, damaged={"f" * 64: HOSTILE}, up=True)
        stranger = {**view["hospitals"][0], "name": HOSTILE, "release": HOSTILE}
        return {**view, "hub": {**view["hub"], "title": HOSTILE}, "hospitals": [*view["hospitals"], stranger]}

    def page(self, **settings: object) -> Any:
        """A new window, logged in. problems: what went wrong in it. asked: every address that it asked for."""
        page = self.browser.new_context(**{"viewport": DESK, **settings}).new_page()
        page.set_default_timeout(60_000)
        page.problems, page.asked = [], []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: page.problems.append(dialog.message) or dialog.dismiss())
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(f"http://127.0.0.1:{self.port}/#{login_code(self.hub.path / 'hub')}")
        page.locator("article.card").first.wait_for()
        return page

    def hold(self, name: str) -> None:
        """South answers no order of round HELD_IN before the gate opens; east refuses that of round LOST_IN."""

        def before(data: bytes) -> None:
            message = from_bytes(data)
            number = message.header.round if isinstance(message, Order) and message.header.step == "train" else 0
            if name == "east" and number == LOST_IN:
                raise RefusedError("not at this hour", code="hours")
            if name == "south" and number == HELD_IN:
                assert self.gate.wait(300)

        self.hub.hospitals[name].before = before

    def submit(self, title: str, rounds: int) -> StudyFolder:
        declared = study(mode="masked", rounds=rounds, collusion=0)
        named = declared.revised(question={**declared.question.model_dump(), "title": title})
        folder, _ = submit(self.hub.home, fitted(named, self.hub.roster), HOUR, synthetic=True, lead=HOSTILE)
        return folder

    @contextmanager
    def served(self, service: HubService) -> Iterator[None]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        ours = f"127.0.0.1:{self.port}"
        sessions = Sessions(self.hub.home.path)
        page = Dashboard(lambda: self.view(service), {}, sessions, self.feed, frozenset({ours}))
        with served(page.app(), ours):
            try:
                yield
            finally:
                self.feed.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Ward]:
    with hub_ward(tmp_path_factory.mktemp("ward")) as hub:
        made = Ward(hub, browser)
        hub.changed = made.feed.changed
        second = made.submit(f"Stroke {HOSTILE}", 3)
        for name, hospital in hub.hospitals.items():
            hospital.forge = lambda statement: statement.revised(by=HOSTILE)
            made.hold(name)
        hub.hospitals["north"].forge = lambda statement: statement.revised(
            by=HOSTILE, site="west" if statement.study == second.hash else statement.site
        )
        with hub.up() as service, made.served(service):
            try:
                until_seen(service, second, lambda state: {one.state for one in state.sites.values()} == {"approved", "unproved"})
                until_seen(service, made.submit(f"Sepsis {HOSTILE}", ROUNDS), is_held)
                yield made
            finally:
                made.gate.set()


def until_seen(service: HubService, folder: StudyFolder, there: Callable[[StudyState], bool]) -> None:
    """The folder's file says less than the page: who has answered stands in no file."""
    until = time.monotonic() + 240
    while not any(one == folder and there(state) for one, state in service.studies()):
        assert time.monotonic() < until
        time.sleep(0.05)


def is_held(state: StudyState) -> bool:
    now = state.exchange
    return now is not None and (now.step, now.number) == ("train", HELD_IN) and set(now.answered) == {"east", "north"}


def shot(page: Any, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=str(Path(SCREENSHOTS) / f"hub-{name}.png"), full_page=True)


def serious(page: Any) -> list[str]:
    """What axe finds serious or critical on the page. It is put into the page past the page's own rules for scripts."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    results = axe.Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in results if one["impact"] in ("serious", "critical")]


def study_card(page: Any, title: str) -> Any:
    return page.locator("article.card").filter(has_text=title)


def test_a_running_study_shows_its_curve_its_hospitals_and_whom_it_waits_for(ward: Ward) -> None:
    """The person at the hub sees where a round stands without asking anybody."""
    page = ward.page()
    card = study_card(page, "Sepsis")
    card.get_by_text(f"Round {HELD_IN} of {ROUNDS}: 2 of 3 hospitals answered, waits for south").wait_for()
    path = card.locator("svg path.curve").get_attribute("d")
    assert path.count("L") == HELD_IN - 3 and card.locator("svg circle").count() == HELD_IN - 2
    # Of the round that east missed there is no figure: its patients would stand out by the difference.
    assert "AUC by round" in card.locator("svg").get_attribute("aria-label")
    rows = card.locator("table.stack tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == sorted(NAMES) and all("approved" in row for row in rows)
    assert f"{HELD_IN - 1} of {ROUNDS}" in card.locator(".figures").inner_text()
    assert card.get_by_text("Lost in rounds, by word: hours 1×").is_visible()
    card.locator("summary").click()
    assert "east (hours)" in card.locator("details tbody tr").nth(HELD_IN - 1 - LOST_IN).inner_text()
    other = study_card(page, "Stroke")
    other.get_by_text("Waits for the approval of north.").wait_for()
    assert other.locator("tbody tr").nth(1).get_by_text("not proved").is_visible()
    assert page.locator("tr", has=page.get_by_role("rowheader", name="south", exact=True)).last.get_by_text("Sepsis").is_visible()
    assert page.get_by_text("harbour has joined and waits for you").is_visible() and page.get_by_text(WORDS).is_visible()
    assert page.problems == []
    shot(page, "running")


def test_a_name_is_text_and_nothing_else(ward: Ward) -> None:
    """Titles, leads, people, hospitals and faults come from others: none becomes an element, none runs."""
    page = ward.page()
    study_card(page, "Stroke").wait_for()
    for place in ("h3", "article p.faint", "td", "tbody th", ".card.bad p", "#title"):
        assert page.locator(place).filter(has_text=HOSTILE).count(), place
    assert page.locator("img, iframe, svg[onload], main script, style, [style], [onerror]").count() == 0
    assert page.locator("script").count() == 1
    assert page.problems == []


def test_nothing_is_asked_of_anybody_else_and_the_policy_holds(ward: Ward) -> None:
    """A page that could be made to speak to another would carry out what the hub knows."""
    page = ward.page()
    ours = f"http://127.0.0.1:{ward.port}/"
    assert page.asked and all(one.startswith(ours) for one in page.asked)
    assert "#" not in page.url and page.context.cookies() == []
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        outside = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        tries = (
            ("connect-src", f"fetch('{outside}').catch(() => 0)"),
            ("img-src", f"new Image().src = '{outside}'"),
            ("style-src-attr", "document.body.setAttribute('style', 'color: red')"),
            (
                "require-trusted-types-for",
                "try { document.createElement('script').text = 'window.stolen = 1' } catch {}",
            ),
            ("require-trusted-types-for", "try { document.body.innerHTML = '<b>x</b>' } catch {}"),
        )
        for directive, attempt in tries:
            told = "document.addEventListener('securitypolicyviolation', e => done(e.effectiveDirective), {once: true})"
            assert page.evaluate(f"new Promise(done => {{ {told}; {attempt} }})") == directive
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()  # nobody has come
    assert page.evaluate("window.stolen") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, TABLET, TELEPHONE], ids=["desk", "tablet", "telephone"])
def test_every_width_shows_everything_in_light_and_in_dark(ward: Ward, scheme: str, size: dict[str, int]) -> None:
    """Beside the machine, on a tablet, at night: nothing is cut off, and what is written can be read."""
    page = ward.page(viewport=size, color_scheme=scheme)
    study_card(page, "Stroke").wait_for()
    study_card(page, "Sepsis").locator("summary").click()
    shot(page, f"{size['width']}-{scheme}")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    drawn = page.locator("svg").first.bounding_box()
    assert drawn and drawn["width"] > 250 and drawn["height"] > 100
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(246, 247, 248)"
    assert light == (scheme == "light")
    assert serious(page) == []


def test_what_changes_is_drawn_without_a_reload(ward: Ward) -> None:
    """The last of the file: the round that was held goes on, and the study ends before the eyes of who watches."""
    page = ward.page()
    card = study_card(page, "Sepsis")
    page.evaluate("window.stayed = true")
    card.get_by_text("waits for south").wait_for()
    ward.gate.set()
    card.locator(".badge", has_text="finished").first.wait_for(timeout=240_000)
    card.get_by_text("Model, record and report").wait_for()
    assert card.locator("svg path.curve").get_attribute("d").count("L") == ROUNDS - 2
    assert page.evaluate("window.stayed") and page.problems == []
    assert [one for one in page.asked if one.endswith("/feed")] == [f"http://127.0.0.1:{ward.port}/feed"]
    assert page.locator("#line").inner_text() == "live"
    shot(page, "finished")
