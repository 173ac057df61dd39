"""report.html: self-contained, harmless, whole."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.evidence.report import render_report, write_report
from wardround.evidence.text import SYNTHETIC
from wardround.study.label import LabelContract
from wardround.study.record.run_record import Evaluation, Pooled, RoundRecord, RunRecord, SiteRecord
from wardround.tasks.binary import BinaryTask
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.evaluation import evaluation_of

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}$x^2$&amp;"


class Page(HTMLParser):
    """Elements, attributes, ids and text; fails on tags that do not nest."""

    VOID = frozenset({"meta", "br", "img", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="session")
def html(record: RunRecord) -> str:
    return render_report(record)


def test_the_page_loads_nothing_and_runs_nothing(html: str) -> None:
    """It is mailed, archived and opened on machines without a network."""
    page = Page(html)
    assert not {"script", "img", "iframe", "link", "object", "embed", "form", "a"} & set(page.tags)
    for name, value in page.attributes:
        assert name not in {"src", "srcset", "action"} and not name.startswith("on")
        assert name != "href" or (value or "").startswith("#")
    assert "http" not in re.sub(r'http-equiv="', "", html)
    assert "@import" not in html and not re.search(r"url\((?!#)", html)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_every_name_is_used_once_and_every_reference_leads_somewhere(html: str) -> None:
    """Five charts share one page: a clip path of one must not cut another."""
    names = [value for name, value in Page(html).attributes if name == "id"]
    assert len(names) == len(set(names)) > 0
    wanted = set(re.findall(r"url\(#([^)]+)\)", html)) | set(re.findall(r' href="#([^"]+)"', html))
    assert wanted == set(names)


def test_the_page_shows_every_part(html: str) -> None:
    """What the reader was promised is on the page."""
    page = Page(html)
    assert page.tags.count("svg") == 5
    for part in (
        "On the held-out test patients of all hospitals together",
        "What each hospital gains",
        "Every model at every hospital",
        "At the threshold",
        "false alarms",
        "external: another country",
        "west (deadline)",
        "Privacy, candidly",
        "no patient is protected by a mathematical guarantee",
        "algorithm.rounds",
        "PyTorch 2.13.0",
        "not a medical device",
        'description = "Does this chest radiograph show an opacity?"',
    ):
        assert part in page.text, part


def test_charts_follow_the_colours_of_the_page(html: str) -> None:
    """A chart drawn in black would vanish on dark paper."""
    assert "prefers-color-scheme: dark" in html
    drawn = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert {"var(--ink)", "var(--faint)", "var(--series-0)", "var(--series-1)"} <= set(re.findall(r"var\(--[a-z0-9-]+\)", drawn))
    assert re.findall(r"#[0-9a-f]{6}\b", drawn) == []
    assert set(re.findall(r"var\((--[a-z0-9-]+)\)", drawn)) <= set(re.findall(r"(--[a-z0-9-]+):", html))


def test_synthetic_data_are_called_so_at_both_ends_and_under_every_chart(
    html: str, make_record: Callable[..., RunRecord]
) -> None:
    """A screenshot of one chart must not pass for medicine."""
    assert Page(html).text.count(SYNTHETIC) == 2
    assert html.count("Synthetic data.</figcaption>") == 5
    assert "ynthetic" not in Page(render_report(make_record(synthetic=False))).text


def hostile(make_record: Callable[..., RunRecord]) -> RunRecord:
    found = make_record().sites["north"]
    rounds = (RoundRecord(round=1, seconds=1, counted=(EVIL,), lost={EVIL + "2": EVIL}, train_loss=1.0),)
    return make_record(
        study_title=EVIL,
        study_toml=f"a = '''{EVIL}'''",
        sites={EVIL: found},
        pooled=Pooled(federated=found.federated, own={EVIL: found.own}),
        external={EVIL: found.federated},
        cross={EVIL: {EVIL: found.own}},
        rounds=rounds,
        algorithm=EVIL,
        engine=EVIL,
        privacy_mode=EVIL,
        model=make_record().model.changed(files={EVIL: EVIL}),  # type: ignore[union-attr]
    )


def test_no_text_of_the_record_becomes_markup(make_record: Callable[..., RunRecord]) -> None:
    """A study title or a hospital's name comes from somebody else's file."""
    page = Page(render_report(hostile(make_record)))
    assert not {"script", "img"} & set(page.tags)
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert EVIL in "".join(page.words)
    assert "49" not in re.findall(r"\b49\b", page.text)


TASK = BinaryTask(LabelContract())
BARE: dict[str, Any] = {"pooled": None, "sites": {}, "external": {}, "cross": {}, "rounds": (), "model": None, "finished": None}


def one_class() -> dict[str, Any]:
    found = evaluation_of(TASK, TASK.sums(np.zeros(3), np.zeros(3)), 0.5)
    nobody = evaluation_of(TASK, ScoreSums.zero().as_sums(), 0.5)
    lone = SiteRecord(patients=0, images=0, positives=0, own=nobody, federated=found)  # type: ignore[call-arg]
    return {"pooled": Pooled(federated=found, own={"a": nobody}), "sites": {"a": lone}, "external": {"b": nobody}, "cross": {}}


@pytest.mark.parametrize(
    "changes",
    [
        BARE,
        one_class(),
        {"pooled": Pooled(federated=Evaluation(values={}))},
        {"study_toml": "= broken"},
        {"rounds": (RoundRecord(round=1, seconds=1, counted=(), train_loss=None),)},
    ],
)
def test_a_record_with_gaps_still_makes_a_page(make_record: Callable[..., RunRecord], changes: dict[str, Any]) -> None:
    """The run that went wrong is the one whose report is read most carefully."""
    text = Page(render_report(make_record(**changes))).text
    assert "Opacities on chest radiographs" in text
    assert "nan" not in text.lower().split() and "None" not in text


def test_many_hospitals_with_long_and_foreign_names_fit(make_record: Callable[..., RunRecord]) -> None:
    """Twenty sites, names beyond matplotlib's own letters, a leading underscore."""
    one = make_record().sites["west"]
    names = ["北京医院", "_hidden", "The Very Long Name of a University Hospital by the River", *(f"site {k}" for k in range(17))]
    html = render_report(make_record(sites=dict.fromkeys(names, one)))
    assert all(name in html for name in names)


@pytest.mark.slow
def test_the_same_record_gives_the_same_bytes_in_another_process(record: RunRecord, html: str, tmp_path: Path) -> None:
    """A report can be made again from the record and compared."""
    (tmp_path / "record.json").write_bytes(record.to_json())
    code = (
        "import sys, pathlib; from wardround.evidence.report import write_report; assert 'matplotlib' not in sys.modules;"
        "from wardround.study.record.run_record import RunRecord; here = pathlib.Path(sys.argv[1]);"
        "write_report(RunRecord.from_json((here / 'record.json').read_bytes()), here / 'report.html');"
        "assert 'torch' not in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html


def test_the_page_is_written_where_it_was_asked(record: RunRecord, html: str, tmp_path: Path) -> None:
    """`wardround report RUN` prints this path."""
    assert write_report(record, tmp_path / "report.html") == tmp_path / "report.html"
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
