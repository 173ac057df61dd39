"""A site's own log: one line of JSON for each thing that happened, readable by this user only."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

LOG = "log.ndjson"


def write_log(folder: Path, code: str, text: str) -> None:
    """Appends a line to the log in `folder`. An error's text may quote records."""
    line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), "code": code, "text": text})
    descriptor = os.open(folder / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def last_lines(folder: Path, number: int) -> list[str]:
    """The last lines of the log in `folder`, as "time code: text", each text's first line only."""
    try:
        lines = (folder / LOG).read_text("utf-8").splitlines()[-number:]
    except OSError:
        return []
    entries = [json.loads(line) for line in lines]
    return [f"{entry['time']} {entry['code']}: {entry['text'].splitlines()[0] if entry['text'] else ''}" for entry in entries]
