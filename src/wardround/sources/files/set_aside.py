"""Files that no reader gets, each with the one reason why, and the account that every file of a source has one fate.

    walked = read + refused + unused (by reason)

What is refused is an error: nobody can tell what it holds, or which of two it is. What is unused is told, never dropped silently.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "forbidden-folder",
    "forbidden-file",
    "broken-link",
    "name-not-utf8",
    "reached-twice",
    "zip-doubled",
    "zip-link",
    "zip-names",
    "link-loop",
    "special-file",
    "unread-kind",
    "archive",
    "table",
    "other-file",
    "hidden",
    "litter",
    "manifest",
    "unlisted",
]

REASONS: Mapping[Reason, tuple[Literal["error", "warning", "note"], str, str]] = {
    "forbidden-folder": (
        "error",
        "Folders may not be opened by this user, and what they hold is not known",
        "ask their owner to let this user list and enter them, or take them out of the data",
    ),
    "forbidden-file": (
        "error",
        "Files may not be read by this user",
        "ask their owner to let this user read them, or take them out of the data",
    ),
    "broken-link": (
        "error",
        "Links lead to files that are not there",
        "fetch the files that they stand for, or remove the links",
    ),
    "name-not-utf8": (
        "error",
        "Names of files or folders are not in UTF-8",
        "rename them; letters without accents are always safe",
    ),
    "reached-twice": (
        "error",
        "Files are reached twice, through links, and would count as two records each",
        "remove the link or the other way to them, so that each is reached once",
    ),
    "zip-doubled": (
        "error",
        "The zip holds several files of one name",
        "make the zip again, with one file for each name",
    ),
    "zip-link": (
        "error",
        "The zip holds links in place of files",
        "make the zip again with the files themselves, or name the folder it was made from",
    ),
    "zip-names": (
        "error",
        "Names in the zip are in an encoding that it does not say",
        "unpack it where the names look right, and name that folder, or zip it with a program that writes UTF-8",
    ),
    "link-loop": (
        "warning",
        "Links to a folder above themselves were not followed; what lies there is read once",
        "remove the links if they are not meant",
    ),
    "special-file": ("warning", "Pipes, sockets or devices among the files were left out", "take them out of the data"),
    "unread-kind": (
        "warning",
        "Images of a kind that is not read were left out",
        "if they belong to the study, save them as PNG",
    ),
    "archive": (
        "warning",
        "Packed files (zip, gzip, tar, 7z, rar) among the others were not opened and were left out",
        "if they hold records of the study, unpack them, and take the packed files out",
    ),
    "table": (
        "warning",
        "Tables among the other files were left out",
        "if they hold records of the study, keep one source in the folder; a list of images is read as manifest.csv",
    ),
    "other-file": ("note", "Files of another kind were left out", ""),
    "hidden": ("note", "Hidden files or folders were left out", ""),
    "litter": ("note", "Files and folders that a system adds by itself (thumbnails, settings) were left out", ""),
}
"""Level, text and mend of each reason. `manifest` and `unlisted` are told by the reader of the manifest."""

REFUSALS = frozenset(reason for reason, (level, _, _) in REASONS.items() if level == "error")


@dataclass(frozen=True)
class SetAside:
    """name: within the source, printable. Folders that are not entered count as one and end in "/".

    other: the way by which a folder was entered before, where that is the reason.
    """

    name: str
    reason: Reason
    other: str = ""


@dataclass(frozen=True)
class FileAccount:
    """What became of the files of a source: each was read, refused with an error, or unused for one reason.

    Raises ValueError where the numbers do not add up: a file would have been lost.
    """

    walked: int
    read: int
    refused: int
    unused: Mapping[str, int]

    def __post_init__(self) -> None:
        if self.walked != self.read + self.refused + sum(self.unused.values()):
            raise ValueError(f"files were lost in counting: {self}")


def is_utf8(name: str) -> bool:
    """Whether a name of the file system is text: bytes that are not are kept as lone surrogates, which no file can hold."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
