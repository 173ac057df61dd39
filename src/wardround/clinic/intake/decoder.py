"""The decoder's process: `python -m wardround.clinic.intake.decoder`. Requests come in at stdin, films go out at stdout.

    request   length | JSON {"contract", "shown", "limits", "key"} | length | bytes of the file
    reply     length | JSON {"error"} or {"film"} | length | prepared pixels | length | pixels for the viewer

It has no other file open, may write none, and is held to a limit of memory. Time is watched from outside: the parent ends it.
"""

import contextlib
import gc
import json
import os
import struct
import sys
import warnings
from functools import lru_cache
from typing import IO, Any, BinaryIO

import numpy as np

from wardround.clinic.intake.decoding import film_of
from wardround.clinic.intake.film import Film
from wardround.clinic.intake.limits import Limits
from wardround.study.contract import DataContract
from wardround.values.errors import DataError, MissingExtraError, WardroundError
from wardround.values.telemetry import library_absent

LENGTH = struct.Struct("<Q")


def main() -> None:
    import wardround.tasks  # noqa: F401  so that a contract of any kind of question is understood

    warnings.simplefilter("ignore")  # pydicom quotes the values of elements, which may name a patient
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not write into a reply
    with contextlib.suppress(ImportError), library_absent("requests"):
        import pydicom.data.download
        import pydicom.pixels.decoders  # noqa: F401
    _warm()
    _confine(int(sys.argv[1]))
    gc.freeze()
    _send(sink, {"ready": True}, b"", b"")
    while (request := received(source)) is not None:
        content = received(source)
        if content is None:
            return
        _answer(sink, json.loads(request), content)


def received(source: IO[bytes]) -> bytes | None:
    """One part of a message; None at the end of the stream."""
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    return source.read(length)


def _answer(sink: BinaryIO, request: dict[str, Any], content: bytes) -> None:
    try:
        limits = Limits(**request["limits"])
        film = film_of(content, _contract(request["contract"]), limits, bytes.fromhex(request["key"]), shown=request["shown"])
    except WardroundError as error:
        words = {"what": error.what, "expected": error.expected, "found": error.found, "hint": error.hint}
        _send(sink, {"error": words}, b"", b"")
    except MemoryError:
        words = {"what": "The image needs more memory than one may take", "hint": "export it at a smaller size"}
        _send(sink, {"error": {**words, "expected": "", "found": ""}}, b"", b"")
    else:
        _send(sink, {"film": _described(film)}, film.prepared, b"" if film.shown is None else film.shown.pixels)


def _described(film: Film) -> dict[str, Any]:
    shown = film.shown
    return {
        "prepared": [film.prepared.dtype.str, film.prepared.shape],
        "shown": None if shown is None else [shown.pixels.shape, shown.window, shown.inverted, shown.reduced],
        "warnings": [[warned.code, warned.text, warned.hint] for warned in film.warnings],
        "patient": film.patient,
        "study": film.study,
        "identity": dict(film.identity),
        "facts": dict(film.facts),
    }


def _send(sink: BinaryIO, head: dict[str, Any], *arrays: Any) -> None:
    for part in (json.dumps(head).encode(), *arrays):
        data = memoryview(part) if isinstance(part, bytes) else np.ascontiguousarray(part).data.cast("B")
        sink.write(LENGTH.pack(data.nbytes))
        sink.write(data)
    sink.flush()


@lru_cache(maxsize=8)
def _contract(text: str) -> DataContract:
    return DataContract.model_validate_json(text)


def _warm() -> None:
    """Loads what the first film would load, so that the limit of memory counts films alone."""
    from PIL import Image

    Image.preinit()
    with contextlib.suppress(DataError, MissingExtraError):
        film_of(b"\x89PNG\r\n\x1a\n", DataContract(kind="image"), Limits(), b"", shown=False)


def _confine(memory_bytes: int) -> None:
    """Limits that this process cannot lift again. Windows has none of them."""
    if os.name != "posix":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold a patient's film
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        ceiling = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))


if __name__ == "__main__":
    main()
