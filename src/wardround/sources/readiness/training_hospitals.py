"""Hospitals named in one source that could not train if a run divided it by them: told before the run, by the run's own rules."""

import numpy as np
from numpy.typing import NDArray

from wardround.sources.places import Place
from wardround.sources.read_result import Problem, ReadResult
from wardround.sources.splitting import at_home


def training_problems(read_result: ReadResult, assigned: NDArray[np.str_] | None) -> list[Problem]:
    """assigned: each record's split, None where splits cannot be told."""
    sites = read_result.sites
    if assigned is None or not np.any(sites != ""):
        return []
    learning = (assigned == "train") & at_home(read_result.patients, sites)
    idle = sorted(set(sites[sites != ""].tolist()) - set(sites[learning].tolist()))
    if not idle:
        return []
    text = "Hospitals named in the data have no patient to train on, and could not take part in a division by hospital"
    hint = "leave them out, join them with another, or give them more patients"
    return [Problem("warning", "site-without-training", text, hint, len(idle), tuple(Place(value=name) for name in idle))]
