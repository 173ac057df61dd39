"""A stream of a compound file: the container of old Office documents, a small file system of sectors and chains of them.

Source: [MS-CFB], 2.2 to 2.6.
"""

import struct
from collections.abc import Sequence

MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LAST_SECTOR = 0xFFFFFFFA
"""What is above stands for the end of a chain, or for no sector."""
_ENTRY, _IN_HEADER = 128, 109
_STREAM, _ROOT = 2, 5


def stream_of(content: bytes, names: Sequence[str]) -> bytes:
    """The stream of the first of the names, in lower case, that is there; b"" where none is, or the file is no compound file.

    IndexError or struct.error where it is cut short.
    """
    if not content.startswith(MARK):
        return b""
    size, small = 1 << _number(content, 30, "H"), 1 << _number(content, 32, "H")
    fat = _table(content, _fat_sectors(content, size), size)
    entries = _joined(content, fat, _number(content, 48), size, 1)
    root, streams = 0, dict[str, int]()
    for at in range(0, len(entries), _ENTRY):
        root = at if entries[at + 66] == _ROOT else root
        if entries[at + 66] == _STREAM:
            name = entries[at : at + max(_number(entries, at + 64, "H") - 2, 0)].decode("utf-16-le", "replace")
            streams.setdefault(name.casefold(), at)
    stream = next((streams[name] for name in names if name in streams), None)
    if stream is None:
        return b""
    start, length = _number(entries, stream + 116), _number(entries, stream + 120)
    if length >= _number(content, 56):
        return _joined(content, fat, start, size, 1)[:length]
    within = _joined(content, fat, _number(entries, root + 116), size, 1)
    short = _table(content, _chain(fat, _number(content, 60)), size)
    return _joined(within, short, start, small, 0)[:length]


def _number(content: bytes, at: int, form: str = "I") -> int:
    return int(struct.unpack_from(f"<{form}", content, at)[0])


def _fat_sectors(content: bytes, size: int) -> list[int]:
    """The sectors that hold the table of chains: some in the header, the others in a chain of their own."""
    sectors = list(struct.unpack_from(f"<{_IN_HEADER}I", content, 76))
    more, each = _number(content, 68), size // 4 - 1
    for _ in range(_number(content, 72)):
        if more > _LAST_SECTOR:
            break
        sectors += struct.unpack_from(f"<{each}I", content, (more + 1) * size)
        more = _number(content, (more + 1) * size + 4 * each)
    return [sector for sector in sectors if sector <= _LAST_SECTOR]


def _table(content: bytes, sectors: list[int], size: int) -> list[int]:
    return [entry for at in sectors for entry in struct.unpack_from(f"<{size // 4}I", content, (at + 1) * size)]


def _chain(table: list[int], start: int) -> list[int]:
    """The sectors of a chain, of which no sound file has more than its table."""
    chain: list[int] = []
    while start <= _LAST_SECTOR and len(chain) <= len(table):
        chain.append(start)
        start = table[start]
    return chain


def _joined(content: bytes, table: list[int], start: int, size: int, before: int) -> bytes:
    """What the sectors of a chain hold. before: sectors of the same size that stand before the first."""
    return b"".join(content[(at + before) * size : (at + before + 1) * size] for at in _chain(table, start))
