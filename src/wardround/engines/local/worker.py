"""The process of one site: reads its site_config, then answers orders until its parent is gone.

Run as a program it is a fresh interpreter (`subprocess_child`); on Linux the fork server forks it (`fork_server`).
"""

import json
import os
import queue
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from wardround.engines.local.child import leave_interrupts_to_the_parent
from wardround.engines.local.frames import read_frame, write_frame
from wardround.values.errors import WardroundError
from wardround.values.log import write_log
from wardround.values.standard_streams import open_closed_streams

if TYPE_CHECKING:
    from wardround.site.config import SiteConfig
    from wardround.site.site import Site


def main() -> None:
    open_closed_streams()
    leave_interrupts_to_the_parent()
    answers = os.fdopen(os.dup(1), "wb")
    keep_stdout_clean()
    serve(sys.stdin.buffer, answers)


def keep_stdout_clean() -> None:
    """What a library prints goes to stderr, line by line: stdout belongs to messages, and to the parent's `--json`."""
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a text file of Python's own


def serve(orders: IO[bytes], answers: IO[bytes]) -> None:
    """Never returns once it has its site_config: it answers until `orders` ends."""
    first = read_frame(orders)
    if first is None:
        return
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders, waiting), daemon=True).start()
    from wardround.site.config import SiteConfig  # only now: loading takes time, in which an interrupt must be left alone already

    site_config = SiteConfig.from_json(json.loads(first))
    _name_process(site_config.name)
    site = _opened(site_config)
    if site_config.study.analysis is None:
        import wardround.training.loop  # noqa: F401  loaded while the coordinator still prepares the first order

    while True:
        write_frame(answers, _answer(site, waiting.get(), site_config.folder))


def _opened(site_config: "SiteConfig") -> "Site":
    """A site that cannot be opened says why in its own log and is gone; whoever runs the study hears that it did not answer, and
    a traceback would only come between."""
    try:
        return site_config.open()
    except WardroundError as error:
        write_log(site_config.folder, error.code, str(error))
        os._exit(error.exit_code)


def _answer(site: "Site", message: bytes, folder: Path) -> bytes:
    """A site that fails in a way that nobody foresaw is gone, and the run hears that it did not answer. Its own log has the
    traceback, which may quote records; the screen of whoever runs the study gets one line."""
    try:
        return site.handle(message)
    except Exception as error:  # noqa: BLE001  whatever it was, this process ends by it
        write_log(folder, "fault", traceback.format_exc())
        full = isinstance(error, OSError) and error.strerror
        print(f"{folder.name} ends: {full or 'a fault of Wardround, ' + type(error).__name__}", file=sys.stderr, flush=True)
        os._exit(WardroundError.exit_code)


def _name_process(name: str) -> None:
    """`top` and `ps -o comm` then say which hospital is at work. Linux alone has this file, and keeps 15 bytes of it."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name[:15])


def _listen(orders: IO[bytes], waiting: "queue.SimpleQueue[bytes]") -> None:
    """Ends the process the moment the parent is gone, even in the middle of training: nobody is left to answer."""
    while (data := read_frame(orders)) is not None:
        waiting.put(data)
    os._exit(0)


if __name__ == "__main__":
    main()
