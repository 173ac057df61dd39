"""A site's post: takes what the hub signed and has not said before, and gives its answer back, signed and sealed.

    receive -> open_sealed -> number, durable -> body -> answer -> seal -> reply        whatever is refused: one line of the log

The hub sends a message again until it has the answer; the very message that came last is answered once more.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from wardround.crypto.sealing import Readable, sealed_size
from wardround.engines.remote.carrier import Carried, SiteCarrier
from wardround.engines.remote.numbers import LastMessage, Numbers
from wardround.values.chained_log import ChainedLog
from wardround.values.errors import RunError, WardroundError, WireError
from wardround.wire.sealed import (
    HUB,
    LARGEST_BODY,
    KeyCard,
    Party,
    Sealed,
    SealedBody,
    SealedHeader,
    Subject,
    Topic,
    open_sealed,
    seal,
)

Answer = Callable[[SealedHeader, bytes], tuple[Topic, bytes] | None]
Limit = Callable[[SealedHeader], int]
MayLeave = Callable[[SealedHeader], bool]
WAIT_S = 20.0
_LOOKED_EVERY_S = 0.5
_PAUSE_S = 5.0  # after a fault of this machine, such as a full disk
_SHORTEST_MS = 60_000


class BodyLine(Protocol):
    """How bodies come and go that are too long for a message."""

    def open(self, sha256: str, size: int) -> "ClosingReadable": ...

    def put(self, body: SealedBody) -> None: ...

    def close(self) -> None: ...


class ClosingReadable(Readable, Protocol):
    def close(self) -> None: ...


class SitePost:
    """Serves one hospital. hub: whose messages are taken. folder: of the numbers. log: gets a line for whatever was refused."""

    def __init__(self, carrier: SiteCarrier, party: Party, hub: KeyCard, folder: Path, bodies: BodyLine, log: ChainedLog) -> None:
        self._carrier, self._party, self._hub, self._bodies, self._log = carrier, party, hub, bodies, log
        self._numbers = Numbers(folder)
        self._trouble, self._refused = "", 0
        self._may_leave: MayLeave = lambda _: True

    @property
    def state(self) -> str:
        """How the line stands: "connected", or what is wrong and its mend."""
        return self._trouble or self._carrier.state

    def serve(
        self,
        answer: Answer,
        stop: threading.Event,
        limit: Limit = lambda _: LARGEST_BODY,
        may_leave: MayLeave = lambda _: True,
    ) -> None:
        """Receives and answers, one message at a time, until `stop` is set; carrier and bodies are closed then. limit: bytes of
        the body that are taken of a message with this header; a larger one is refused before any of it is fetched. may_leave:
        whether the answer to this message may still leave; it is asked each time before it is brought on its way."""
        self._may_leave = may_leave
        receiver = _Receiver(self._carrier)
        try:
            while not stop.is_set():
                carried = receiver.next(_LOOKED_EVERY_S)
                if carried is not None:
                    self._handle(carried, answer, stop, limit)
                    receiver.done()
        finally:
            receiver.stop()
            self._carrier.close()
            self._bodies.close()

    def _handle(self, carried: Carried, answer: Answer, stop: threading.Event, limit: Limit) -> None:
        """A fault of this machine or of the line costs this message, which comes again."""
        try:
            self._answer(carried, answer, limit)
            self._trouble = ""
        except WireError as error:
            self._refuse(error)
        except WardroundError as error:
            self._trouble = str(error)
            self._refuse(error)
            stop.wait(_PAUSE_S)

    def _refuse(self, error: WardroundError) -> None:
        """The first, second, fourth, eighth ... is a line of the log: no flood of messages fills the disk."""
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:
            with suppress(RunError):  # a log that cannot be written is what the state says
                self._log.append("message-refused", str(error), times=self._refused)

    def _answer(self, carried: Carried, answer: Answer, limit: Limit) -> None:
        sealed = open_sealed(carried.data, {HUB: self._hub}, self._party.name, now_ms=_now_ms())
        self._require_new_or_last(sealed)
        said = answer(sealed.header, self._body(sealed, limit(sealed.header)))
        if said is not None:
            self._reply(carried, sealed, *said)

    def _require_new_or_last(self, sealed: Sealed) -> None:
        header = sealed.header
        last = self._numbers.last(header.study)
        if header.number > last.number:
            if not last.number:
                self._numbers.require_room()
            self._numbers.record(header.study, LastMessage(header.number, sealed.sha256))
        elif (header.number, sealed.sha256) != (last.number, last.sha256):
            raise WireError(
                "A message is replayed: the hub has said something later about this study",
                expected=f"a number above {last.number}",
                found=str(header.number),
            )

    def _body(self, sealed: Sealed, limit: int) -> bytes:
        header = sealed.header
        if not header.detached:
            return sealed.body(self._party.sealing, limit=limit)
        if header.size > sealed_size(limit):
            raise WireError("A message is larger than any of its kind", expected=f"at most {limit} bytes", found=f"{header.size}")
        with _closing(self._bodies.open(header.body, header.size)) as file:
            return sealed.body(self._party.sealing, file, limit=limit)

    def _reply(self, carried: Carried, asked: Sealed, topic: Topic, data: bytes) -> None:
        header, now_ms = asked.header, _now_ms()
        lifetime_ms = max(_SHORTEST_MS, header.expires - now_ms)
        subject = Subject(topic, header.study, header.number, asked.sha256, lifetime_ms)
        body = SealedBody.of(data)
        if body.detached:
            self._bodies.put(body)
        message = seal(subject, body, self._party, self._hub, now_ms=now_ms, log=self._log.head)
        if not self._carrier.reply(carried, message, lambda: self._may_leave(header)):
            kept = not self._may_leave(header)
            text = (
                "The answer stays here: it may not leave any more." if kept else "The hub did not wait for the answer any more."
            )
            self._log.append("reply-kept" if kept else "reply-late", text, study=header.study, number=header.number)


class _Receiver:
    """Waits for messages beside the one who answers, so that he hears of `stop` at once. Asks for the next when told to."""

    def __init__(self, carrier: SiteCarrier) -> None:
        self._carrier = carrier
        self._messages: queue.Queue[Carried | BaseException] = queue.Queue()
        self._ready = threading.Semaphore(1)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="wardround-receive", daemon=True)
        self._thread.start()

    def next(self, wait_s: float) -> Carried | None:
        """None after `wait_s` seconds. Raises what the carrier raised."""
        try:
            message = self._messages.get(timeout=wait_s)
        except queue.Empty:
            return None
        if isinstance(message, BaseException):
            raise message
        return message

    def done(self) -> None:
        self._ready.release()

    def stop(self) -> None:
        self._stopped = True
        self._ready.release()

    def _run(self) -> None:
        try:
            while (carried := self._received()) is not None:
                self._messages.put(carried)
        except BaseException as error:
            self._messages.put(error)  # whoever waits for messages must not wait for a thread that has ended
            raise

    def _received(self) -> Carried | None:
        self._ready.acquire()
        carried = None
        while carried is None and not self._stopped:
            carried = self._carrier.receive(WAIT_S)
        return carried


@contextmanager
def _closing(file: ClosingReadable) -> Iterator[ClosingReadable]:
    try:
        yield file
    finally:
        file.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
