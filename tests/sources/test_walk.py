"""The one walk through a hospital's folders and zips: nothing vanishes, and every file has one fate."""

import io
import os
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wardround.sources.files.file_tree import open_file_tree
from wardround.sources.files.set_aside import FileAccount
from wardround.sources.files.walk import shown_files, walked
from wardround.sources.images.image_folder import read_image_folder
from wardround.sources.opening import open_source
from wardround.sources.read_result import ReadResult
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.values.errors import DataError

from .file_conformance import codes, unprivileged
from .source_conformance import Item
from .test_image_folder import CONTRACT, WORDS, folder_of, png

TABLE = DataContract(kind="table", columns=(ColumnContract(name="x", range=(0, 1)),))
GREY = Item(77, "", "").image()


def read(path: Path) -> ReadResult:
    return read_image_folder(path, CONTRACT)


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


_CONTENTS: dict[str, Callable[[int], bytes]] = {
    "png": lambda number: png(Item(number, "", "").image()),
    "cut": lambda number: png(Item(number, "", "").image())[:60],
    "empty": lambda _: b"",
    "text": lambda _: b"a report",
    "gif": lambda _: b"GIF89a" + bytes(40),
    "zip": lambda _: b"PK\x03\x04" + bytes(40),
}
_NAMES = st.sampled_from(
    ["a.png", "b", "c.txt", "d.gif", ".e.png", "Thumbs.db", "f.csv", "g.jfif", ".git/h.png", "@eaDir/i.jpg", "x/j.png", "x/k"]
)
_TREES = st.dictionaries(st.tuples(st.sampled_from(["0", "1", "0/p", "other"]), _NAMES), st.sampled_from(sorted(_CONTENTS)))


def entries(names: list[str]) -> set[str]:
    """What a walk meets, by a reading of its own: hidden folders and those of a system count as one each."""
    met = set()
    for name in names:
        parts = name.split("/")
        closed = [k for k, part in enumerate(parts[:-1]) if part in (".git", "@eaDir")]
        met.add("/".join(parts[: closed[0] + 1]) + "/" if closed else name)
    return met


@given(_TREES)
def test_every_file_of_a_folder_and_of_a_zip_has_one_fate(tree: dict[tuple[str, str], str]) -> None:
    """walked = read + unused + refused: a file that is in none of them was lost, and nobody would know."""
    files = {f"{top}/{name}": _CONTENTS[kind](at) for at, ((top, name), kind) in enumerate(sorted(tree.items()))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "d"
        folder.mkdir()
        for file, content in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        accounts = [read(path) for path in (folder, zipped(Path(name) / "d.zip", files))]
    for result in accounts:
        account = result.account
        assert account is not None
        assert account.walked == len(entries(list(files)))
        assert account.read == len(result) == len(result.names)
        told = {spot.file for problem in result.problems for spot in problem.places if spot.file}
        assert told | set(result.names.tolist()) == entries(list(files))
    assert accounts[0].account == accounts[1].account


def test_an_account_that_does_not_add_up_is_refused() -> None:
    """The law is checked where the numbers are made, not only here."""
    with pytest.raises(ValueError, match="lost"):
        FileAccount(walked=3, read=1, refused=0, unused={"hidden": 1})


def test_images_under_other_names_are_read(tmp_path: Path) -> None:
    """C04: JPEG is called .jfif, .jpe or nothing at all by some programs; half of a class was left out in silence."""
    folder = folder_of(tmp_path / "d", 20)
    content = io.BytesIO()
    Image.fromarray(GREY).save(content, "JPEG")
    for name in ("a.jfif", "b.jpe", "c", "d.dat"):
        (folder / "NORMAL" / name).write_bytes(content.getvalue())
    Image.fromarray(GREY).save(folder / "NORMAL" / "e", "PNG")
    assert len(open_source(folder, WORDS).load()) == 25


def test_a_class_folder_that_is_a_link_is_followed(tmp_path: Path) -> None:
    """Hospitals link to the archive; the whole class had no record, and the data were READY."""
    archive = folder_of(tmp_path / "archive")
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "NORMAL").symlink_to(archive / "NORMAL")
    (folder / "PNEUMONIA").symlink_to(archive / "PNEUMONIA")
    assert len(open_source(folder, WORDS).load()) == 24


LITTER = ("__MACOSX/._person.csv", ".DS_Store", "@eaDir/person.csv/SYNO", ".git/config", "lost+found/x", "Thumbs.db")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("person.csv", "concept.csv"), "omop"),
        (("export\\person.csv", "export\\concept.csv"), "omop"),
        (("Patient.ndjson",), "fhir"),
        (("north.csv", "south.xlsx"), "foreign"),
        (("a.csv", "@eaDir/Patient.ndjson"), "foreign"),
        (("a.csv", ".old/person.csv", ".old/concept.csv"), "foreign"),
    ],
    ids=str,
)
def test_what_is_hidden_in_a_zip_never_decides_what_the_zip_is(tmp_path: Path, names: tuple[str, ...], kind: str) -> None:
    """Zips made on a Mac or beside a Synology hold small files of the system; each reader had a rule of its own for them."""
    plain = zipped(tmp_path / "a.zip", dict.fromkeys(names, b"x"))
    littered = zipped(tmp_path / "b.zip", dict.fromkeys((*names, *LITTER), b"x"))
    assert [open_source(path, TABLE).kind for path in (plain, littered)] == [kind, kind]


def test_a_link_to_a_folder_above_ends_and_is_told(tmp_path: Path) -> None:
    """A walk without a guard would read the same files for ever."""
    folder = folder_of(tmp_path / "d")
    (folder / "NORMAL" / "up").symlink_to(folder)
    report = open_source(folder, WORDS).check()
    assert report.ready()
    assert codes(report)["link-loop"] == ["NORMAL/up/"]
    assert len(open_source(folder, WORDS).load()) == 24


@pytest.mark.parametrize("as_folder", [False, True])
def test_a_file_that_links_reach_twice_is_refused_by_both_names(tmp_path: Path, as_folder: bool) -> None:
    """One image with two labels, or one patient on both sides of a split; which way counts must not hang on an alphabet."""
    folder = folder_of(tmp_path / "d")
    if as_folder:
        (folder / "PNEUMONIA" / "again").symlink_to(folder / "NORMAL")
    else:
        (folder / "PNEUMONIA" / "again.png").symlink_to(folder / "NORMAL" / "000.png")
    report = open_source(folder, WORDS).check()
    assert not report.ready()
    twice = next(finding.places for finding in report.findings if finding.code == "reached-twice")
    names = [name for spot in twice for name in (spot.value, spot.file) if name]
    assert names == (["NORMAL/", "PNEUMONIA/again/"] if as_folder else ["NORMAL/000.png", "PNEUMONIA/again.png"])
    with pytest.raises(DataError, match="reached twice"):
        open_source(folder, WORDS).load()


def test_a_link_into_a_hidden_store_is_read_once(tmp_path: Path) -> None:
    """Data sets under git-annex are links into a hidden folder; a link whose content was not fetched leads nowhere."""
    folder = folder_of(tmp_path / "d")
    store = folder / ".git" / "annex"
    store.mkdir(parents=True)
    (folder / "NORMAL" / "000.png").rename(store / "x")
    (folder / "NORMAL" / "000.png").symlink_to(store / "x")
    assert len(open_source(folder, WORDS).load()) == 24
    (store / "x").unlink()
    assert codes(open_source(folder, WORDS).check())["broken-link"] == ["NORMAL/000.png"]


def test_names_that_are_not_utf8_are_refused_by_name(tmp_path: Path) -> None:
    """An old share has names in Latin-1; they ended in a traceback."""
    folder = folder_of(tmp_path / "d")
    try:
        (folder / "NORMAL" / os.fsdecode(b"R\xf6ntgen.png")).write_bytes(png(GREY))
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    report = open_source(folder, WORDS).check()
    assert codes(report)["name-not-utf8"] == ["NORMAL/R\\xf6ntgen.png"]
    assert "xf6" not in str(report.to_json())
    with pytest.raises(DataError, match="not in UTF-8"):
        open_source(folder, WORDS).load()


def test_folders_and_files_without_permission_are_named(tmp_path: Path) -> None:
    """Half of a class was gone, and READY: the rights of a share are the commonest reason."""
    folder = folder_of(tmp_path / "d")
    (folder / "NORMAL" / "000.png").chmod(0)
    closed = folder / "PNEUMONIA" / "closed"
    closed.mkdir()
    (closed / "x.png").write_bytes(png(GREY))
    closed.chmod(0)
    listed = folder / "PNEUMONIA" / "listed"
    listed.mkdir()
    (listed / "y.png").write_bytes(png(GREY))
    listed.chmod(0o744)
    open_source(tmp_path / "d", WORDS).check()  # loads what the other user may not load
    with unprivileged(folder):
        told = codes(open_source(folder, WORDS).check())
    assert told["forbidden-file"] == ["NORMAL/000.png", "PNEUMONIA/listed/y.png"]
    assert told["forbidden-folder"] == ["PNEUMONIA/closed/"]
    folder.chmod(0)
    with unprivileged(folder), pytest.raises(DataError, match="may not be read by this user"):
        open_source(folder, WORDS)
    with unprivileged(folder), pytest.raises(DataError, match="may not be read by this user"):
        open_source(folder / "NORMAL", WORDS)
    folder.chmod(0o755)


def test_shown_files_refuses_what_it_cannot_reach(tmp_path: Path) -> None:
    """Readers of tables and databases take the list as whole: a file that is missing in it must stop them."""
    (tmp_path / "a.csv").write_text("x")
    assert shown_files(tmp_path) == [tmp_path / "a.csv"]
    (tmp_path / "b.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"not there.*b\.csv"):
        shown_files(tmp_path)


def test_what_a_system_adds_by_itself_is_no_record(tmp_path: Path) -> None:
    """Synology keeps real JPEG thumbnails beside the images: each patient would count twice."""
    folder = folder_of(tmp_path / "d")
    thumb = folder / "NORMAL" / "@eaDir" / "000.png"
    thumb.mkdir(parents=True)
    Image.fromarray(GREY).save(thumb / "SYNOPHOTO_THUMB_M.jpg")
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf")
    (folder / ".DS_Store").write_bytes(b"x")
    report = open_source(folder, WORDS).check()
    assert codes(report)["litter"] == [".DS_Store", "NORMAL/@eaDir/", "Thumbs.db"]
    assert {finding.level for finding in report.findings if finding.code == "litter"} == {"note"}
    assert len(open_source(folder, WORDS).load()) == 24


def test_files_beside_the_only_table_are_told(tmp_path: Path) -> None:
    """part1.csv and part2.tsv: the second half was never mentioned."""
    from .test_table import TestCsv

    conformance = TestCsv()
    conformance.write(tmp_path / "d", [Item(k, f"p{k}", str(k % 2)) for k in range(40)])
    (tmp_path / "d" / "part2.tsv").write_bytes(b"a\tb\n1\t2")
    report = open_source(tmp_path / "d", conformance.contract()).check()
    assert codes(report)["table"] == ["part2.tsv"]


def test_backslashes_in_a_zip_are_folders(tmp_path: Path) -> None:
    """C15: some programs on Windows write them, and every label was called wrong."""
    files = {f"{word}\\p{k}\\a.png": png(Item(k, "", "").image()) for k in range(12) for word in [("NORMAL", "PNEUMONIA")[k % 2]]}
    records = open_source(zipped(tmp_path / "z.zip", files), WORDS).load()
    assert (len(records), records.patient_count, int(records.labels.sum())) == (12, 12, 6)


def test_names_in_a_zip_are_read_as_utf8_where_they_are(tmp_path: Path) -> None:
    """Older programs write UTF-8 without saying so; an accent may not split a patient or lose a line of the list."""
    path = zipped(tmp_path / "z.zip", {"Röntgen/0.png": png(GREY), "manifest.csv": b""})
    path.write_bytes(path.read_bytes().replace("Röntgen".encode(), "Röntgen".encode()))
    whole = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the mark of UTF-8 is bit 11 of the flags
        start = whole.find(mark)
        whole[start + at + 1] &= ~0x08 & 0xFF
    path.write_bytes(whole)
    with open_file_tree(path) as file_tree:
        assert "Röntgen/0.png" in file_tree.names


@pytest.mark.parametrize(("encoding", "right"), [("cp437", True), ("cp850", True), ("latin-1", False)])
def test_names_in_a_zip_of_an_unsaid_encoding_are_refused(tmp_path: Path, encoding: str, right: bool) -> None:
    """Windows writes ä of code page 437 or 850, which are one; in Latin-1 it would be read as Σ, and no list would find it."""
    path = zipped(tmp_path / "z.zip", {"0/__.png": png(GREY)})
    path.write_bytes(path.read_bytes().replace(b"__", "äß".encode(encoding)))
    with open_file_tree(path) as file_tree:
        assert file_tree.names == (("0/äß.png",) if right else ())
        assert [spot.reason for spot in file_tree.aside] == ([] if right else ["zip-names"])


def test_a_path_that_is_not_utf8_is_refused_before_a_run(tmp_path: Path) -> None:
    """A run writes down where its data lie, and ended with a fault of the program."""
    path = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder_of(path)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    with pytest.raises(DataError, match=r"caf\\xe9 is not in UTF-8"):
        open_source(path, WORDS)


def test_a_list_and_its_files_agree_on_accents(tmp_path: Path) -> None:
    """macOS writes an accent as a sign of its own: the line and the file look alike and are not equal."""
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / unicodedata.normalize("NFD", "Röntgen.png")).write_bytes(png(GREY))
    (folder / "manifest.csv").write_text(unicodedata.normalize("NFC", "file,label\n./Röntgen.png,1"), "utf-8")
    assert len(read(folder)) == 1


def test_a_class_folder_from_a_mac_has_its_label(tmp_path: Path) -> None:
    """The two ways to write an accent look alike, and every label of the class was outside the contract."""
    words = WORDS.changed(label=LabelContract(positive=("Entzündung",), negative=("NORMAL",)))
    folder = folder_of(tmp_path / "d")
    (folder / "PNEUMONIA").rename(folder / unicodedata.normalize("NFD", "Entzündung"))
    assert int(open_source(folder, words).load().labels.sum()) == 12


def test_a_list_says_why_it_leads_to_no_image(tmp_path: Path) -> None:
    """Absent, of another kind, and one name for two files have three mends."""
    folder = tmp_path / "d"
    for part in ("a", "b"):
        (folder / part).mkdir(parents=True)
        (folder / part / "x.png").write_bytes(png(GREY))
    Image.fromarray(GREY).save(folder / "y.bmp")
    (folder / "manifest.csv").write_text("file,label\nx.png,1\ny.bmp,0\nz.png,1")
    problems = {problem.code: problem.places[0].line for problem in read(folder).problems if problem.level == "error"}
    assert problems == {"file-ambiguous": 2, "file-not-read": 3, "file-absent": 4}


def test_two_lists_are_refused_by_name(tmp_path: Path) -> None:
    """The first by alphabet was taken, and the other's labels were lost."""
    folder = folder_of(tmp_path / "d")
    for part in (folder, folder / "NORMAL"):
        (part / "Manifest.csv").write_text("file,label\n000.png,NORMAL")
    with pytest.raises(DataError, match=r"more than one manifest\.csv.*Manifest\.csv, NORMAL/Manifest\.csv"):
        open_source(folder, WORDS).load()


@pytest.mark.parametrize("packed", [False, True])
def test_images_of_a_kind_that_is_not_read_are_named_where_there_are_no_others(tmp_path: Path, packed: bool) -> None:
    """ "Holds one kind of data" was said to a manager whose folder holds one kind of data."""
    folder = tmp_path / "d"
    folder.mkdir()
    Image.fromarray(GREY).save(folder / "a.bmp")
    path = zipped(tmp_path / "d.zip", {"a.bmp": (folder / "a.bmp").read_bytes()}) if packed else folder
    report = open_source(path, WORDS).check()
    assert not report.ready()
    assert codes(report)["unread-kind"] == ["a.bmp"]


def test_a_pipe_is_told_and_never_opened(tmp_path: Path) -> None:
    """Opening one waits for ever."""
    folder = folder_of(tmp_path / "d")
    os.mkfifo(folder / "NORMAL" / "pipe.png")
    assert codes(open_source(folder, WORDS).check())["special-file"] == ["NORMAL/pipe.png"]
    with pytest.raises(DataError, match="neither a file nor a folder"):
        open_source(folder / "NORMAL" / "pipe.png", WORDS)


def test_a_walk_is_the_same_in_any_order(tmp_path: Path) -> None:
    """Names are sorted, whatever the file system says first."""
    folder = folder_of(tmp_path / "d")
    assert walked(folder).names == tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")))


def test_threads_give_the_records_of_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run must not depend on how many cores read its data."""
    folder = folder_of(tmp_path / "d", 60)
    results = []
    for threads in (1, 4):
        monkeypatch.setattr("wardround.sources.images.image_folder.spare_threads", lambda count=threads: count)
        results.append(read_image_folder(folder, WORDS))
    assert np.array_equal(results[0].inputs, results[1].inputs)
    assert results[0].names.tolist() == results[1].names.tolist()
