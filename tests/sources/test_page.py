"""The page that shows a hospital its own data."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wardround.sources.opening import open_source
from wardround.sources.readiness.histograms import histograms
from wardround.sources.readiness.page import render_page, write_page
from wardround.sources.readiness.pictures import chosen_rows
from wardround.study.contract import ColumnContract, DataContract, ImageContract, LabelContract

IMAGES = DataContract(
    kind="image", image=ImageContract(size=(16, 16)), label=LabelContract(positive=("sick",), negative=("well",))
)
TABLE = DataContract(
    kind="table",
    columns=(
        ColumnContract(name="age", unit="years", range=(0, 120), max_missing=0.5),
        ColumnContract(name="pain", kind="category", categories=("none", "some")),
        ColumnContract(name="male", kind="binary"),
    ),
)


def image_folder(root: Path, hostile_name: str = "") -> Path:
    for label in ("sick", "well"):
        (root / label).mkdir(parents=True)
        for number in range(12):
            draw = np.random.default_rng(number + 100 * (label == "sick"))
            Image.fromarray(draw.integers(0, 256, (24, 20), np.uint8)).save(root / label / f"{number}.png")
    if hostile_name:
        (root / "well" / hostile_name).write_bytes(b"no image")
    return root


def page_of(path: Path, contract: DataContract) -> str:
    source = open_source(path, contract)
    readiness, read_result = source.look()
    return render_page(source.path, readiness, read_result, contract)


def table_file(path: Path) -> Path:
    rows = [f"p{k},{'' if k % 10 == 0 else 20 + k},{'none' if k % 3 else 'some'},{k % 2},{k % 2}" for k in range(60)]
    path.write_text("\n".join(["patient,age,pain,male,label", *rows]) + "\n", "utf-8")
    return path


def test_pictures_stand_beside_what_the_network_sees(tmp_path: Path) -> None:
    """An inverted or squashed film is seen at a glance, and in no count."""
    page = page_of(image_folder(tmp_path / "x"), IMAGES)
    assert page.count('alt="the file"') == page.count('class="network"') == 16
    assert "24 × 20" in page and "sick/" in page and "well/" in page


def test_the_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    """It holds patients' data: no byte of it may leave through the browser that shows it."""
    for page in (page_of(image_folder(tmp_path / "x"), IMAGES), page_of(table_file(tmp_path / "t.csv"), TABLE)):
        addresses = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
        assert all(address.startswith(("data:image/png;base64,", "file://")) for address in addresses)
        assert "<script" not in page and "http:" not in page and "https:" not in page and "url(" not in page
        assert "default-src 'none'" in page and "Not to be sent" in page


def test_a_name_from_the_data_is_no_html(tmp_path: Path) -> None:
    """Whoever sent the pictures chose their names."""
    page = page_of(image_folder(tmp_path / "x", '<img src=x onerror="alert(1)">.png'), IMAGES)
    assert "<img src=x" not in page and "&lt;img src=x onerror=" in page


def test_a_file_of_a_finding_can_be_opened(tmp_path: Path) -> None:
    """The data manager mends the file itself; a name that leads out of the folder is no link."""
    folder = image_folder(tmp_path / "x", "broken one.png")
    assert f'href="{(folder / "well" / "broken one.png").as_uri()}"' in page_of(folder, IMAGES)


def test_the_page_is_for_this_user_alone(tmp_path: Path) -> None:
    """A shared machine has other users."""
    source = open_source(table_file(tmp_path / "t.csv"), TABLE)
    write_page(tmp_path / "page.html", source.path, *source.look(), TABLE)
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600


def test_data_that_cannot_be_read_have_a_page_with_the_reason(tmp_path: Path) -> None:
    """What is wrong is what she looks for."""
    (tmp_path / "t.csv").write_text("patient,label\np1,1\n", "utf-8")
    page = page_of(tmp_path / "t.csv", TABLE)
    assert "NOT READY" in page and "lacks the column" in page and "<h2>Columns</h2>" not in page


def test_every_value_stands_in_one_bar(tmp_path: Path) -> None:
    """A bar chart that loses rows misleads more than none."""
    read_result = open_source(table_file(tmp_path / "t.csv"), TABLE).look()[1]
    assert read_result is not None
    drawn = {histogram.name: histogram for histogram in histograms(read_result, TABLE)}
    counted = {name: sum(sum(bar.counts) for bar in histogram.bars) for name, histogram in drawn.items()}
    assert counted == {"age": 54, "pain": 60, "male": 60}
    assert [bar.counts for bar in drawn["male"].bars] == [(30, 0), (0, 30)]
    assert drawn["age"].missing == pytest.approx(0.1)
    assert (drawn["age"].low, drawn["age"].high) == ("21", "79")


@given(st.lists(st.integers(0, 3), max_size=80))
def test_chosen_records_are_of_each_label_and_no_more_than_asked(labels: list[int]) -> None:
    """A page with one class would hide the other's mistake."""
    rows = chosen_rows(np.array(labels, np.int8), each=5)
    assert len(rows) == len(set(rows)) == sum(min(5, labels.count(label)) for label in set(labels))
