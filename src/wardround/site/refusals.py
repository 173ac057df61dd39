"""The closed list of words that a site refuses with. Each follows from public things: the study, the orders so far, the machine.

    error --word_of--> a public word                            the site goes on
                   \\--> records, disk, internal                 the site ends the study for itself until a person has looked

Whether files can be read, and what a program does with values that nobody foresaw, may depend on records. So such a word is given
once, and what comes after it depends on a person, not on the next question.
"""

from wardround.values.errors import WardroundError

OF_ORDERS = frozenset(
    {
        "wire",
        "study",
        "cohort",
        "cohort-too-small",
        "not-open",
        "already-open",
        "opening",
        "closed",
        "old-round",
        "asked-before",
        "not-in-study",
        "model",
        "weight",
    }
)
OF_MASKED_SUMS = frozenset(
    {
        "not-masked",
        "masked",
        "keys",
        "old-epoch",
        "epoch",
        "roster",
        "peer-forgot",
        "memory",
        "witnesses",
        "turn",
        "old-turn",
        "old-attempt",
        "old-sum",
        "other-content",
        "old-order",
        "counted",
        "counted-too-small",
        "other-set",
        "set-changes",
        "set-history",
        "no-certificate",
        "answered",
        "sealed-shares",
    }
)
OF_LEDGERS = frozenset(["budget", "released-before", "event", "ledger", "ledger-restored", "ledger-step", "ledger-busy"])
OF_MACHINES = frozenset(["missing-extra", "arithmetic"])
OF_OFFICES = frozenset(["not-approved", "revoked", "policy", "hours"])
"""Of the hospital's people: what they decided, and when their machine works."""
PUBLIC = OF_ORDERS | OF_MASKED_SUMS | OF_LEDGERS | OF_MACHINES | OF_OFFICES | {"stopped"}

RECORDS, DISK, INTERNAL, NOT_COUNTED, REFUSALS = "records", "disk", "internal", "not-counted", "refusals"
ENDING = frozenset({RECORDS, DISK, INTERNAL, NOT_COUNTED, REFUSALS})
"""With one of these a site answers nothing more until a person has looked."""

REFUSALS_IN_A_ROW = 50
"""Honest runs get a handful, around a restart. More means that somebody tries what this site gives."""

_MEANINGS = {
    RECORDS: "its records cannot be read, or are not those that it opened the study with",
    DISK: "its folder cannot be read or written",
    INTERNAL: "something happened in it that Wardround does not expect",
    NOT_COUNTED: "it was told twice that its answer did not count; late answers are the usual reason",
    REFUSALS: "the coordinator asked many times in a row for what the study does not have, or for new keys and then for no sum",
}

_MEANT = {"data": RECORDS, "data-changed": RECORDS, "run": DISK, NOT_COUNTED: NOT_COUNTED, REFUSALS: REFUSALS}


def meaning_of(reason: str) -> str:
    """Why a site stopped, for a person there."""
    return _MEANINGS[reason]


def word_of(error: Exception) -> str:
    """The word that leaves for an error."""
    if not isinstance(error, WardroundError):
        return DISK if isinstance(error, OSError) else INTERNAL
    return error.code if error.code in PUBLIC else _MEANT.get(error.code, INTERNAL)
