"""Results to the archives that clinic.toml names: by C-STORE or STOW-RS, from the outbox, until each says that it keeps them.

outbox --due--> one association or one request --status of each object--> sent | failed, with words
"""

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wardround.clinic.dicom.calling import NotHeard, association
from wardround.clinic.dicom.loading import need_pydicom, silent
from wardround.clinic.dicom.outbox import Outbox, Waiting
from wardround.clinic.place.dicom_settings import NodeSection
from wardround.values.errors import WardroundError

_TIMEOUT_S = 30.0
_LEAVE_S = 5.0
Outcome = dict[str, str]
"""SOP Instance UID -> why it was not taken; "" where it was. An object that is not named was not asked about."""


def deliver(node: NodeSection, outbox: Outbox, ae_title: str) -> tuple[int, int]:
    """Sends what is due to a node. (taken, refused)."""
    waiting = outbox.due(node.name)
    if not waiting:
        return 0, 0
    outcome = stow(node, waiting) if node.url is not None else store(node, waiting, ae_title)
    refused = 0
    for one in waiting:
        words = outcome.get(one.file.sop_instance_uid, "it was not asked about")
        if words:
            refused += 1
            outbox.failed(node.name, one.file.sop_instance_uid, words)
        else:
            outbox.sent(node.name, one.file.sop_instance_uid)
    return len(waiting) - refused, refused


def store(node: NodeSection, waiting: Sequence[Waiting], ae_title: str) -> Outcome:
    """By C-STORE, in one association."""
    try:
        with association(node, ae_title, sorted({one.file.sop_class_uid for one in waiting}), _TIMEOUT_S) as opened:
            return {one.file.sop_instance_uid: _stored(opened, one) for one in waiting}
    except NotHeard as refusal:
        return dict.fromkeys((one.file.sop_instance_uid for one in waiting), f"the node {refusal}")


def _stored(opened: Any, one: Waiting) -> str:
    try:
        with silent():
            status = opened.send_c_store(need_pydicom().dcmread(io.BytesIO(one.file.content)))
    except (ValueError, RuntimeError, AttributeError):
        return "the node takes no objects of this class, or broke off"
    if "Status" not in status:
        return "the node did not answer"
    code = int(status.Status)
    taken = code == 0 or code in (0xB000, 0xB006, 0xB007) or code == 0x0111  # 0111: it has this instance already
    return "" if taken else f"the node refused with status {code:04X}"


def stow(node: NodeSection, waiting: Sequence[Waiting]) -> Outcome:
    """By STOW-RS, each object in a request of its own: an answer about several need not name them all."""
    from wardround.clinic.dicom.archive import Door, archive_client

    outcome: Outcome = {}
    try:
        with archive_client(Door.of_node(node, _TIMEOUT_S)) as client:
            for one in waiting:
                outcome[one.file.sop_instance_uid] = client.keep(one.file)
    except WardroundError as error:
        return {one.file.sop_instance_uid: outcome.get(one.file.sop_instance_uid, error.what) for one in waiting}
    return outcome


@dataclass
class Courier:
    """Carries the outbox to its nodes, one thread each, until it is closed. tell: a word and a sentence for the log."""

    nodes: Sequence[NodeSection]
    outbox: Outbox
    ae_title: str
    tell: Callable[[str, str], None]
    pause_s: float = 5.0

    def __post_init__(self) -> None:
        self._ended, self._woken = threading.Event(), {node.name: threading.Event() for node in self.nodes}
        self._threads = [
            threading.Thread(target=self._carry, args=(node,), name=f"clinic-send-{node.name}") for node in self.nodes
        ]

    def __enter__(self) -> "Courier":
        for thread in self._threads:
            thread.daemon = True
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.wake()
        for thread in self._threads:
            thread.join(timeout=_LEAVE_S)  # what it was sending goes out again

    def wake(self) -> None:
        """Something new is in the outbox."""
        for event in self._woken.values():
            event.set()

    def _carry(self, node: NodeSection) -> None:
        while not self._ended.is_set():
            taken = refused = 0
            try:
                taken, refused = deliver(node, self.outbox, self.ae_title)
            except Exception as error:  # noqa: BLE001  the thread must live: what waits is in the outbox
                self.tell("courier", f"Results for {node.name} were not sent: {type(error).__name__}.")
            if taken:
                self.tell("results-sent", f"{node.name} has taken {taken} results.")
            if refused:
                self.tell("results-waiting", f"{node.name} has not taken {refused} results; they wait and are tried again.")
            if not taken:
                self._woken[node.name].wait(self.pause_s)
                self._woken[node.name].clear()
