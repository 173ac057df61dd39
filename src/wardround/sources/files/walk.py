"""The one way in which files of a folder are come by: links are followed, and nothing is left out without being named.

    folder --walked--> names that can be read, and SetAside(name, reason) for every other file or folder

A folder without permission, a broken link, a name that is not UTF-8 and a file that is reached twice are set aside as refused.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wardround.sources.files.set_aside import REASONS, REFUSALS, Reason, SetAside, is_utf8
from wardround.values.errors import DataError
from wardround.values.printable import printable

LITTER_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", ".directory", "icon\r"})
LITTER_FOLDERS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"})
"""Written by Windows, macOS and network stores by themselves. Some hold small copies of the images beside them."""

_Identity = tuple[int, int | str]
"""Device and inode; the real path where a file system numbers nothing."""


@dataclass(frozen=True)
class Walked:
    """names: of the files that can be read, relative, with forward slashes, sorted. aside: every other, sorted."""

    names: tuple[str, ...]
    aside: tuple[SetAside, ...]


def walked(folder: Path) -> Walked:
    """Every file in and below a folder."""
    walk = _Walk(folder)
    walk.enter()
    return walk.ended()


def shown_files(folder: Path) -> list[Path]:
    """The files in and below a folder, sorted; hidden ones left out. DataError where one of them cannot be come by."""
    walk = walked(folder)
    require_reached(walk.aside)
    return [folder / name for name in walk.names]


def require_reached(aside: Iterable[SetAside]) -> None:
    """DataError for the first file that is refused: for readers that need every file of a source."""
    for spot in aside:
        if spot.reason in REFUSALS:
            _, text, hint = REASONS[spot.reason]
            raise DataError(text, found=spot.name, hint=hint)


def hidden_part(name: str) -> tuple[str, Reason] | None:
    """The hidden file or folder that a name leads through, and why it is left out; None where there is none.

    >>> hidden_part("a/.git/x"), hidden_part("a/Thumbs.db"), hidden_part("a/b.png")
    (('a/.git/', 'hidden'), ('a/Thumbs.db', 'litter'), None)
    """
    parts = name.split("/")
    for depth, part in enumerate(parts, 1):
        is_file = depth == len(parts)
        litter = part.casefold() in (LITTER_FILES if is_file else LITTER_FOLDERS)
        if litter or part.startswith("."):
            return "/".join(parts[:depth]) + ("" if is_file else "/"), "litter" if litter else "hidden"
    return None


@dataclass
class _Walk:
    root: Path
    files: list[str] = field(default_factory=list)
    aside: dict[str, Reason] = field(default_factory=dict)
    folders: dict[_Identity, str] = field(default_factory=dict)
    ways: dict[_Identity, list[str]] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    earlier: dict[str, str] = field(default_factory=dict)

    def enter(self) -> None:
        root = os.fspath(self.root)
        self.folders[_identity(self.root)] = ""
        for top, folders, files in os.walk(root, onerror=self._refused, followlinks=True):
            above = os.path.relpath(top, root).replace(os.sep, "/")
            prefix = "" if above == "." else f"{above}/"
            folders[:] = [name for name in sorted(folders) if self._enters(f"{prefix}{name}")]
            for name in files:
                self._meet(f"{prefix}{name}", link_above=prefix[:-1] in self.linked)

    def _refused(self, error: OSError) -> None:
        name = os.path.relpath(error.filename, self.root).replace(os.sep, "/")
        self.aside[f"{name}/"] = "forbidden-folder"

    def _enters(self, name: str) -> bool:
        """Whether a folder is walked: not where it is hidden, nor twice."""
        if (part := hidden_part(f"{name}/")) is not None:
            self.aside[part[0]] = part[1]
            return False
        path = self.root / name
        try:
            identity, is_link = _identity(path), path.is_symlink()
        except OSError:
            self.aside[f"{name}/"] = "forbidden-folder"
            return False
        above = name.rpartition("/")[0]
        if is_link or above in self.linked:
            self.linked.add(name)
        earlier = self.folders.setdefault(identity, name)
        if earlier == name:
            return True
        is_loop = earlier == "" or name.startswith(f"{earlier}/")
        self.aside[f"{name}/"] = "link-loop" if is_loop else "reached-twice"
        self.earlier[f"{name}/"] = f"{earlier}/" if earlier else "./"
        return False

    def _meet(self, name: str, *, link_above: bool) -> None:
        if (part := hidden_part(name)) is not None:
            self.aside[part[0]] = part[1]
            return
        path = self.root / name
        try:
            state = path.stat()
        except PermissionError:
            self.aside[name] = "forbidden-file"
        except OSError:
            self.aside[name] = "broken-link"
        else:
            if (reason := _fault(path, name, state)) is not None:
                self.aside[name] = reason
                return
            self.files.append(name)
            self.ways.setdefault((state.st_dev, state.st_ino or os.path.realpath(path)), []).append(name)
            if link_above or path.is_symlink():
                self.linked.add(name)

    def ended(self) -> Walked:
        """Hard links are copies, which the report counts; what a symbolic link doubles is refused, whichever way came first."""
        for ways in self.ways.values():
            if len(ways) > 1 and any(name in self.linked for name in ways):
                self.aside.update(dict.fromkeys(ways, "reached-twice"))
        names = tuple(sorted(name for name in self.files if name not in self.aside))
        aside = (
            SetAside(printable(name), reason, printable(self.earlier.get(name, "")))
            for name, reason in sorted(self.aside.items())
        )
        return Walked(names, tuple(aside))


def _identity(path: Path) -> _Identity:
    state = path.stat()
    return state.st_dev, state.st_ino or os.path.realpath(path)


def _fault(path: Path, name: str, state: os.stat_result) -> Reason | None:
    if not stat.S_ISREG(state.st_mode):
        return "special-file"
    if not is_utf8(name):
        return "name-not-utf8"
    return None if _may_read(path) else "forbidden-file"


def _may_read(path: Path) -> bool:
    """Asked without opening, which on a network store costs a journey for each file; a "no" is tried before it is believed."""
    if os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        return True
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
