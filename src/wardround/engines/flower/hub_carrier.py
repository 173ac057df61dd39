"""The hub's end of Flower: messages to sites and their answers, sent again until they are answered or it is too late.

    waiting --site is there--> sent --reply taken--> answered
       ^-----------------------'  the site asks for more without having answered; Flower lost the message, the run or the site;
                                  the reply was none

Flower delivers at most once. A site that asks for the next message has done with all before: what it has not answered was lost.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flwr.proto.message_pb2 import Message
from flwr.server.superlink.linkstate import LinkState

from wardround.engines.flower.flower_run import FlowerRun
from wardround.engines.flower.letters import data_of, order
from wardround.engines.flower.mailroom import Mailroom
from wardround.engines.flower.nodes import NodeTable
from wardround.values.errors import EngineError, WireError
from wardround.values.ids import SiteId

RUN_MESSAGES = 2000
"""A run is replaced after so many messages when nothing is under way: Flower keeps a little of each until its run ends."""
_LOOK_S = 2.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 30.0
_SPARE_S = 60.0
Arrived = Callable[[SiteId, bytes], bool]


@dataclass
class _Letter:
    """What is to be said to one site. message_id: of what was sent and is awaited; empty where nothing is. looked: when a reply
    was looked for last. due: when it may be sent again."""

    site: SiteId
    data: bytes
    message_id: str = ""
    sent: float = 0.0
    looked: float = 0.0
    due: float = 0.0
    pause_s: float = _FIRST_PAUSE_S

    def lost(self, came: float = 0.0) -> None:
        """It is sent once more, after a pause that grows; but soon to a site that came anew since: it was ended and started, and
        has no part in it. came: when it did last."""
        self.message_id = ""
        anew = came > self.sent
        self.due = time.monotonic() + (_FIRST_PAUSE_S if anew else self.pause_s)
        self.pause_s = self.pause_s if anew else min(2 * self.pause_s, _LONGEST_PAUSE_S)


class FlowerHubCarrier:
    """Implements `HubCarrier`. start_run: opens a run of Flower."""

    def __init__(self, state: LinkState, nodes: NodeTable, mailroom: Mailroom, start_run: Callable[[], FlowerRun]) -> None:
        self._state, self._nodes, self._mailroom, self._start_run = state, nodes, mailroom, start_run
        self._lock = threading.Lock()
        self._run: FlowerRun | None = None
        self._messages = 0
        self._exchanges = 0
        self._closed = False

    def exchange(self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Arrived) -> frozenset[SiteId]:
        until = time.monotonic() + deadline_s
        letters = {site: _Letter(site, data) for site, data in outbox.items()}
        self._begin()
        try:
            while letters and time.monotonic() < until and not self._closed:
                self._step(letters, until, arrived)
        finally:
            self._forget([letter.message_id for letter in letters.values() if letter.message_id])
            with self._lock:
                self._exchanges -= 1
        return frozenset(outbox.keys() - letters.keys())

    def close(self) -> None:
        """Ends every exchange and the run."""
        self._closed = True
        self._mailroom.tell()
        with self._lock:
            self._end_run()

    def _step(self, letters: dict[SiteId, _Letter], until: float, arrived: Arrived) -> None:
        news = self._mailroom.count
        idle = {site: self._mailroom.idle_since(site) for site in letters}  # before replies are looked for
        try:
            run = self._current_run()
            if self._take(run, letters, arrived):
                return
            self._send(run, letters, until)
        except EngineError:
            self._drop_run(letters)
            self._mailroom.wait(news, _FIRST_PAUSE_S)
            return
        for site, letter in letters.items():
            if letter.message_id and idle[site] > letter.sent:
                self._forget([letter.message_id])
                letter.lost(self._mailroom.came_at(site))
        due = [letter.due for letter in letters.values() if not letter.message_id and letter.due > time.monotonic()]
        self._mailroom.wait(news, max(0.0, min([until, time.monotonic() + _LOOK_S, *due]) - time.monotonic()))

    def _send(self, run: FlowerRun, letters: dict[SiteId, _Letter], until: float) -> None:
        now = time.monotonic()
        batch: list[tuple[_Letter, Message]] = []
        for letter in letters.values():
            node = self._nodes.node_of(letter.site)
            if not letter.message_id and letter.due <= now and node is not None and self._nodes.online(letter.site):
                batch.append((letter, order(run.number, node, letter.data, until - now + _SPARE_S)))
        for start in range(0, len(batch), 8):  # a request of some megabytes at most
            part = batch[start : start + 8]
            taken = run.push([message for _, message in part])
            for (letter, message), is_taken in zip(part, taken, strict=True):
                if is_taken:
                    letter.message_id, letter.sent = message.metadata.message_id, time.monotonic()
                else:
                    letter.lost()
            self._mailroom.ring(letter.site for letter, _ in part)
        self._messages += len(batch)

    def _take(self, run: FlowerRun, letters: dict[SiteId, _Letter], arrived: Arrived) -> bool:
        """Whether anything came. Every reply is looked at once; Flower has forgotten it then.

        Flower is asked about sites that have brought something since, and now and then about the others: it says who is gone."""
        now = time.monotonic()
        sent = {letter.message_id: letter for letter in letters.values() if self._may_have_come(letter, now)}
        if not sent:
            return False
        for looked_at in sent.values():
            looked_at.looked = now
        replies = run.pull(list(sent))
        for message in replies:
            answered = sent.get(message.metadata.reply_to_message_id)
            if answered is None or not answered.message_id:  # a second reply to one message says nothing
                continue
            if not message.HasField("error") and _is_taken(answered.site, message, arrived):
                del letters[answered.site]
                answered.message_id = ""
            else:
                answered.lost()
        return bool(replies)

    def _may_have_come(self, letter: _Letter, now: float) -> bool:
        seen = max(letter.sent, letter.looked)
        return bool(letter.message_id) and (self._mailroom.replied_at(letter.site) >= seen or now - seen > _LOOK_S)

    def _forget(self, message_ids: list[str]) -> None:
        """Flower gives these messages to nobody any more."""
        if message_ids:
            self._state.delete_messages(message_ins_ids=set(message_ids))

    def _begin(self) -> None:
        with self._lock:
            if self._messages > RUN_MESSAGES and not self._exchanges:
                self._end_run()
            self._exchanges += 1

    def _current_run(self) -> FlowerRun:
        with self._lock:
            if self._run is None:
                self._run, self._messages = self._start_run(), 0
            return self._run

    def _drop_run(self, letters: dict[SiteId, _Letter]) -> None:
        """The next step opens another run, in which everything that was not answered is sent anew."""
        with self._lock:
            self._end_run()
        for letter in letters.values():
            letter.message_id = ""

    def _end_run(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None


def _is_taken(site: SiteId, message: Message, arrived: Arrived) -> bool:
    try:
        return arrived(site, data_of(message))
    except WireError:
        return False
