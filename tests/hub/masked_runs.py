"""Masked studies, and sites that are restarted or restored. Not a test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from wardround.hub.checkpoint import Progress, load
from wardround.study.declaration import Study
from wardround.values.ids import SiteId
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import (
    AskHeader,
    Refusal,
)

from ..federation.tiny_federation import NAMES, Tamper, study

EAST, NORTH, SOUTH = (SiteId(name) for name in NAMES)
Handle = Callable[[bytes], bytes]


def masked(algorithm: str = "fedavg", **how: Any) -> Study:
    return study(algorithm, mode="masked", **{"rounds": 2, "collusion": 0, **how})


def header_of(data: bytes) -> Any:
    message = from_bytes(data)
    assert not isinstance(message, Refusal)
    return message.header


def is_training(data: bytes, number: int) -> bool:
    header = header_of(data)
    return header.kind == "order" and (header.step, header.round) == ("train", number)


def losing_train(number: int, *who: str, heard: bool = False) -> Tamper:
    """These sites do not answer the order of that round, whatever its attempt. heard: they did the work."""

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        if name in who and is_training(data, number):
            if heard:
                handle(data)
            return None
        return handle(data)

    return tamper


def history_of(folder: Path) -> Progress:
    progress = load(folder)
    assert progress is not None
    return progress


def header_of_keys(of: Study, epoch: int) -> AskHeader:
    return AskHeader(study=of.hash, what="keys", epoch=epoch)
