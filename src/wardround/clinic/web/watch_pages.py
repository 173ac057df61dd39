"""What is watched: figures of the model in service against its acceptance, and the alerts that last. Everybody may look."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from wardround.clinic.watch.alerts import read_alert
from wardround.clinic.watch.drift import Figure
from wardround.clinic.watch.summary import thousandths
from wardround.clinic.watch.watcher import look
from wardround.clinic.web.access import Anybody, CheckedForm
from wardround.clinic.web.rendering import page, state_of, time_text, words_of
from wardround.clinic.web.words import Words

router = APIRouter(include_in_schema=False)
_NAMED = ("score", "brightness", "contrast", "size", "cannot tell", "unusual", "agreement", "calibration")


def _watch(request: Request) -> Response:
    state, words = state_of(request), words_of(request)
    drift, alerts = look(state.place, state.store)
    rows = [_row(one, words) for one in (drift.figures if drift else ())]
    lasting = [
        {
            "id": one.id,
            "name": _name(one.figure, words),
            "value": f"{one.value:.3f}",
            "limit": f"{one.limit:.3f}",
            "since": time_text(one.raised),
            "seen": bool(one.seen_by),
        }
        for one in alerts
    ]
    shown: dict[str, Any] = {"drift": drift, "rows": rows, "lasting": lasting, "days": state.settings.watch.days}
    return page(request, "watch.html", **shown)


def _row(one: Figure, words: Words) -> dict[str, str]:
    value, ends = "–", ""
    if one.value is not None and one.interval is not None:
        value, ends = thousandths(one.value), f"[{thousandths(one.interval[0])}, {thousandths(one.interval[1])}]"
    bound = "≥" if one.kind == "agreement" else "≤"
    limit = f"{bound} {one.limit:.3f}"
    state = words(f"watch.state.{one.state}".replace("-", "_"))
    return {"name": _name(one.name, words), "cases": str(one.cases), "value": value, "ends": ends, "limit": limit, "state": state}


def _name(figure: str, words: Words) -> str:
    if figure in _NAMED:
        return words(f"watch.figure.{figure.replace(' ', '_')}")
    return words("watch.figure.column", column=figure.removeprefix("column "))


@router.get("/watch")
def watch_page(request: Request, person: Anybody) -> Response:  # noqa: ARG001
    """The figures of the last days, and the alerts."""
    return _watch(request)


@router.post("/watch/seen")
async def alert_seen(request: Request, person: Anybody, form: CheckedForm) -> Response:
    """Notes who has read an alert first."""
    number = form.get("alert", "")
    if number.isdecimal() and len(number) < 10:
        await run_in_threadpool(read_alert, state_of(request).store, int(number), person.name)
    return await run_in_threadpool(_watch, request)
