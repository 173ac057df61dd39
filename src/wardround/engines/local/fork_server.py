"""The process that has loaded torch once and forks a site's process whenever the coordinator asks (Linux).

    coordinator --"start 3" and one end of a socket--> fork_server --fork--> child 3 --the socket--> coordinator
    coordinator --"end 3 10.0"--> fork_server: waits, or kills after 10 s --"gone"--> coordinator

It is an interpreter of its own, not a copy of the user's program, so no main module is imported again and no lock of a user's
thread is copied. It only imports: no thread pool, of torch or any other library, may have started when it forks. Alone it
waits for its children, so their process numbers stay theirs until it has. When the coordinator's end of its socket closes, it
kills what is left and ends.
"""

import gc
import os
import signal
import socket
import time
import traceback

from wardround.engines.local.child import GONE, REQUEST_BYTES, leave_interrupts_to_the_parent
from wardround.engines.local.worker import keep_stdout_clean, serve
from wardround.values.standard_streams import open_closed_streams


def main() -> None:
    open_closed_streams()
    leave_interrupts_to_the_parent()
    keep_stdout_clean()
    requests = _take_requests()
    _load()
    children: dict[bytes, int] = {}
    try:
        while request := _next(requests):
            words, descriptors = request
            if words[0] == b"start":
                children[words[1]] = _fork(requests, descriptors[0])
            else:
                _end(children.pop(words[1], None), float(words[2]))
                requests.send(GONE)
    except ConnectionError:
        pass  # the coordinator went without waiting for the answer
    finally:
        for pid in children.values():
            os.kill(pid, signal.SIGKILL)


def _take_requests() -> socket.socket:
    """The coordinator's socket came as stdin, which must not be left for a library to read."""
    requests = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return requests


def _load() -> None:
    """All that a site with images needs. Not polars: it starts threads when it is imported, so a table's site loads it itself."""
    gc.disable()  # imports make no garbage worth a search: a fifth of the time
    import wardround.site.config
    import wardround.sources
    import wardround.training.loop
    import wardround.training.scoring  # noqa: F401

    gc.freeze()  # a child's collector then leaves these pages alone, and they stay shared
    gc.enable()


def _next(requests: socket.socket) -> tuple[list[bytes], list[int]] | None:
    data, descriptors, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 1)
    return (data.split(), descriptors) if data else None


def _fork(requests: socket.socket, descriptor: int) -> int:
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    try:
        requests.close()
        with socket.socket(fileno=descriptor) as link:
            serve(link.makefile("rb"), link.makefile("wb"))
    except ConnectionError:
        pass  # the coordinator is gone: nobody is left to answer
    except BaseException:  # noqa: BLE001  nothing may return into the fork server's own loop
        traceback.print_exc()
    finally:
        os._exit(1)


def _end(pid: int | None, grace_s: float) -> None:
    """Returns when the child is gone and reaped."""
    if pid is None:
        return
    until = time.monotonic() + grace_s
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
