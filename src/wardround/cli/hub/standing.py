"""How a hub and its studies stand, as lines of 80 columns. What is shown is `hub.daemon.status`, as on the page and in --json."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from wardround.cli.wrapping import wrapped

STEPS = {
    "open": "opening",
    "train": "round",
    "own": "own models, round",
    "evaluate": "testing the model",
    "personal": "personal models",
    "close": "closing",
}
_MOST_NAMES = 6
_LATEST_ROUNDS = 12


def hub_lines(view: Mapping[str, Any]) -> Iterator[str]:
    """The roster, and each study in two or three lines."""
    hub = view["hub"]
    yield from wrapped(f"The hub at {hub['address']} is {'up' if hub['up'] else 'not up: wardround hub up'}.")
    for one in view["hospitals"]:
        waits = f": wardround hub confirm {one['name']}" if one["state"] == "waiting" else ""
        yield from wrapped(f"{one['name']:20} {one['state']}{waits}", indent=2, hanging=23)
    if not view["hospitals"]:
        yield "  no hospital yet: wardround hub invite NAME"
    for study in view["studies"]:
        yield ""
        yield from wrapped(f"{study['study'][:12]}  {study['title'] or '(cannot be read)'}", hanging=14)
        yield from wrapped(standing(study), indent=14)
        if study["mend"]:
            yield from wrapped(study["mend"], indent=14)
    for one in view["damaged"]:
        yield from wrapped(f"{one['study'][:12]}  {one['reason']}", hanging=14)
    if not view["studies"]:
        yield "No study yet: wardround hub run STUDY.toml"


def study_lines(study: Mapping[str, Any]) -> Iterator[str]:
    """One study: where it stands, who has approved, its latest rounds, what it costs."""
    yield from wrapped(study["title"] or "(cannot be read)")
    yield f"study {study['study']}"
    work = (
        f"evaluation only of the model {study['evaluates'][:12]}" if study["evaluates"] else f"{study['rounds_planned']} rounds"
    )
    yield from wrapped(f"{study['protection']}, {work}")
    yield from wrapped(standing(study))
    if study["mend"]:
        yield from wrapped(study["mend"])
    yield ""
    for one in study["sites"]:
        yield from wrapped(f"{one['name']:20} {_site(one)}", indent=2, hanging=23)
    if study["rounds"]:
        yield ""
        yield from _rounds(study)
    if study["delta"] is not None:
        yield from wrapped(f"epsilon {_figure(study['epsilon'])} planned in all, at delta {study['delta']:g}")
    if study["phase"] == "finished":
        yield f"{'Record' if study['evaluates'] else 'Model, record'} and report:\n{study['folder']}"


def standing(study: Mapping[str, Any]) -> str:
    """Where a study stands, as a sentence or two."""
    now, phase = study["exchange"], study["phase"]
    told: str = phase
    if phase == "offered":
        missing = [one["name"] for one in study["sites"] if one["state"] not in ("approved", "finished")]
        told += f": waits for the approval of {names(missing)}" if missing else ": all have approved"
    elif phase == "running" and now is not None:
        silent = [site for site in now["asked"] if site not in now["answered"]]
        number = f" {now['number']} of {now['rounds']}" if now["rounds"] else ""
        told += f": {STEPS.get(now['step'], now['step'])}{number}" + (f", waits for {names(silent)}" if silent else "")
    return f"{told}. {study['reason']}".rstrip() if study["reason"] else f"{told}."


def names(sites: list[str]) -> str:
    """At most a handful of names.

    >>> names(["a", "b"]), names(list("abcdefgh"))
    ('a, b', 'a, b, c, d, e and 3 more')
    """
    if len(sites) <= _MOST_NAMES:
        return ", ".join(sites)
    return f"{', '.join(sites[: _MOST_NAMES - 1])} and {len(sites) - _MOST_NAMES + 1} more"


def _site(one: Mapping[str, Any]) -> str:
    by = f" by {one['by']}" if one["by"] and one["state"] in ("approved", "hours", "finished") else ""
    until = f" until {datetime.fromtimestamp(one['until'] / 1000, UTC):%Y-%m-%d}" if by and one["until"] else ""
    state = "approved, not at work at this hour" if one["state"] == "hours" else one["state"]
    fault = f": {one['fault']}" if one["fault"] else ""
    word = f"; last refusal of an order: {one['word']}" if one["word"] else ""
    return f"{state}{by}{until}{fault}{word}"


def _rounds(study: Mapping[str, Any]) -> Iterator[str]:
    rounds = study["rounds"]
    left_out = len(rounds) - _LATEST_ROUNDS
    yield f"  {'round':>5} {study['score_name'][:9]:>9} {'loss':>8} {'seconds':>8}  without"
    if left_out > 0:
        yield f"  {'…':>5} {left_out} rounds before these"
    for one in rounds[-_LATEST_ROUNDS:]:
        without = names([f"{site} ({word})" for site, word in sorted(one["lost"].items())])
        unused = f"not used: {one['discarded']}" if one["discarded"] else ""
        figures = f"{one['number']:>5} {_figure(one['score']):>9} {_figure(one['loss']):>8} {one['seconds']:>8.1f}"
        yield from wrapped(f"{figures}  {'; '.join(filter(None, [without, unused]))}".rstrip(), indent=2, hanging=36)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
