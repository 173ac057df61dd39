"""What is said of hospitals that did not answer an order: a word of theirs, what it means, and what mends it."""

from collections.abc import Mapping

from wardround.summation.plain import NO_ANSWER

PATIENCE = frozenset({NO_ANSWER, "not-approved", "revoked", "policy", "hours"})
"""Words that no fault stands behind: the hospital is away, or its people or its policy say not now."""

_STOPPED = "{names} stopped until a person there has looked: `wardround site log` there says why, `wardround site go-on` ends it"
_MENDS = {
    NO_ANSWER: "{names} did not answer: ask whether `wardround site up` runs there (wardround site status)",
    "not-approved": "{names} has no approval in force: its people run `wardround site review` and `wardround site approve`",
    "revoked": "{names} revoked its approval: speak with its people",
    "policy": "{names} changed its policy and has to look at the study again: `wardround site review` there",
    "hours": "{names} works at certain hours only: nothing is to be done, it is tried again",
    "budget": "the ledger of {names} has no room for the study: its people decide (wardround site ledger)",
    **dict.fromkeys(("stopped", "records", "disk", "internal", "not-counted", "refusals"), _STOPPED),
}
_OTHER = "{names} refused with a word of docs/errors.md: `wardround site log` there says more"


def lost_words(lost: Mapping[str, str]) -> str:
    """Who was lost and by which word.

    >>> lost_words({"east": "no-answer", "north": "hours", "south": "no-answer"})
    'east, south (no-answer); north (hours)'
    """
    return "; ".join(f"{', '.join(names)} ({word})" for word, names in _by_word(lost).items())


def mend_of_losses(lost: Mapping[str, str], study: str) -> str:
    """What brings lost hospitals back, and what goes on without them. study: the first letters of its hash."""
    mends = dict.fromkeys(_MENDS.get(word, _OTHER).format(names=", ".join(names)) for word, names in _by_word(lost).items())
    without = f"it goes on by itself when they are back; or without them, where it may: wardround hub resume {study}"
    return "; ".join([*mends, without])


def _by_word(lost: Mapping[str, str]) -> dict[str, list[str]]:
    words: dict[str, list[str]] = {}
    for site, word in sorted(lost.items()):
        words.setdefault(word, []).append(site)
    return words
