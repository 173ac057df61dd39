"""Small hospitals as hypothesis draws them: ties, time 0, one patient, none at all, nobody with the event, everybody with it."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from wardround.analysis.survival.partial_likelihood import FollowUp


@st.composite
def hospitals(draw: Any, columns: int = 2, most: int = 9, until: int = 6) -> list[FollowUp]:
    """One to four hospitals of up to `most` patients; times are whole, from 0 to `until`, so that many are tied."""
    made = []
    for _ in range(draw(st.integers(1, 4))):
        size = draw(st.integers(0, most))
        numbers = st.lists(st.integers(-4, 4), min_size=size * columns, max_size=size * columns)
        kind = draw(st.sampled_from(("mixed", "all censored", "all events")))
        events = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool)
        made.append(
            FollowUp(
                np.array(draw(numbers), np.float64).reshape(size, columns) / 4,
                np.array(draw(st.lists(st.integers(0, until), min_size=size, max_size=size)), np.float64),
                events if kind == "mixed" else np.full(size, kind == "all events"),
            )
        )
    return made


def together(parts: list[FollowUp], *, apart: bool = False) -> FollowUp:
    """All patients in one place. apart: each hospital stays a stratum of its own."""
    strata = np.repeat(np.arange(len(parts)), [len(part.times) for part in parts])
    return FollowUp(
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.events for part in parts]),
        strata if apart else None,
    )
