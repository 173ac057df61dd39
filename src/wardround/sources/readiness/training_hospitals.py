"""What a run that divides one source by its hospitals would refuse: told before the run, by the run's own rules."""

import numpy as np
from numpy.typing import NDArray

from wardround.sources.places import PLACES_KEPT, Place
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


def site_problems(read_result: ReadResult) -> list[Problem]:
    """Records without a hospital where others name theirs: a division by hospital takes all records or none."""
    bare = np.flatnonzero(read_result.sites == "")
    if not 0 < len(bare) < len(read_result):
        return []
    places = tuple(_location(read_result, row) for row in bare[:PLACES_KEPT].tolist())
    text = "Some records name a hospital and others do not"
    hint = "name the hospital of every record; a run that divides these data by hospital refuses them as they are"
    return [Problem("warning", "site-absent", text, hint, len(bare), places)]


def _location(read_result: ReadResult, row: int) -> Place:
    name = str(read_result.names[row])
    return Place(int(name)) if name.isdigit() else Place(file=name)
