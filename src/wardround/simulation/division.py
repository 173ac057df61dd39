"""One data set divided into K hospitals by patient, for simulation.

Every division is a table of targets, how many records of each group each hospital should get, filled by whole patients:

    even        each hospital 1/K of every group
    by size     each hospital its share of every group
    label skew  sizes and positive shares as wished, brought to the data's own totals by iterative proportional fitting
    Dirichlet   each group divided by shares drawn from Dirichlet(alpha) (Hsu, Qi and Brown 2019, arXiv:1909.06335, section 3)
    by column   the hospital the data name
    by scaffold each scaffold of molecules at one hospital, by a hash

groups: each record's group, from 0 on, as the study's task says (`strata`); of a yes or no, negative and positive records.

A patient is in one hospital only. The same records, settings and seed give the same division on every machine.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wardround.values.errors import DataError, StudyError
from wardround.values.randomness import generator
from wardround.values.records import Records
from wardround.values.rows import Rows

Divided = TypeVar("Divided", Records, Rows)
"""Records of a study that learns, or rows of one that analyses."""
Targets = NDArray[np.float64]
Groups = NDArray[np.intp]

WISH_TOLERANCE = 0.05
"""A positive share may end this far from the wish (plus what one record weighs); farther is refused."""


def divide_evenly(records: Divided, names: Sequence[str], groups: Groups, *, seed: int) -> dict[str, Divided]:
    """K hospitals alike in size and label balance."""
    return divide_by_size(records, dict.fromkeys(names, 1.0), groups, seed=seed)


def divide_by_size(records: Divided, sizes: Mapping[str, float], groups: Groups, *, seed: int) -> dict[str, Divided]:
    """Hospitals with these relative numbers of records and the same label balance."""
    return _filled(records, list(sizes), np.outer(_shares(sizes), _totals(groups)), groups, seed)


def divide_by_label(
    records: Divided, sizes: Mapping[str, float], positive: Mapping[str, float], groups: Groups, *, seed: int
) -> dict[str, Divided]:
    """Hospitals with these relative sizes and these shares of positive records, each 0 to 1: those of group 1 of two.

    The wishes must add up to about the data's own share of positives; StudyError where a hospital would end more than 0.05 off.
    """
    names, totals = list(sizes), _totals(groups)
    if len(totals) > 2:
        raise StudyError(
            'by = "label" divides by a yes or no',
            expected="two groups of records",
            found=f"{len(totals)}",
            hint='divide otherwise: by = "size", "dirichlet" or "column"',
        )
    if set(positive) != set(names) or not all(0.0 <= share <= 1.0 for share in positive.values()):
        raise StudyError(
            "Sizes and positive shares do not fit together",
            expected="one share from 0 to 1 for each hospital",
            hint="name the same hospitals in both",
        )
    share = np.array([positive[name] for name in names])
    size = _shares(sizes) * len(records)
    targets = fitted(np.stack([size * (1 - share), size * share], axis=1), size, totals)
    got = targets[:, 1] / np.maximum(targets.sum(axis=1), 1e-9)
    if np.any(np.abs(got - share) > WISH_TOLERANCE):
        raise StudyError(
            "The wanted positive shares cannot be had from these data",
            expected=f"shares whose mean, weighted by size, is about {totals[1] / max(len(records), 1):.3f}",
            found=f"{float(size @ share) / max(len(records), 1):.3f}",
            hint="change the shares or the sizes",
        )
    return _filled(records, names, targets, groups, seed)


def divide_by_dirichlet(records: Divided, names: Sequence[str], groups: Groups, *, alpha: float, seed: int) -> dict[str, Divided]:
    """Hospitals that differ the more in size and label balance, the smaller alpha (> 0) is; above 100 they are nearly even."""
    if not alpha > 0:
        raise StudyError(
            "alpha must be above 0", found=f"{alpha:g}", hint="use 0.1 for very uneven, 1 for uneven, 100 for even hospitals"
        )
    totals = _totals(groups)
    draws = generator("divide", "dirichlet", seed).dirichlet(np.full(len(names), alpha), size=len(totals))
    return _filled(records, list(names), draws.T * totals, groups, seed)


def divide_by_column(records: Divided, sites: NDArray[np.str_] | None) -> dict[str, Divided]:
    """The hospitals that the data name, in name order.

    A patient seen at several stays with the one that holds most of the patient's records (the first by name among equals); the
    records elsewhere are left out, since no record may move to a hospital it was not made at.
    """
    if sites is None or np.any(sites == ""):
        raise DataError(
            "The data do not name a hospital for every record", hint="name the column under [data.site], or divide otherwise"
        )
    from wardround.sources.splitting import at_home  # only now: the room of sources takes time to load

    kept = at_home(records.patients, sites)
    return {str(name): records.select(np.flatnonzero((sites == name) & kept)) for name in np.unique(sites)}


def homes_of(units: NDArray[np.str_], sizes: Mapping[str, float], *, seed: int) -> NDArray[np.str_]:
    """The hospital of each record (n,) by a hash of its unit, such as the scaffold of a molecule: all of a unit are at one.

    sizes: relative shares of the units. Units differ in size, so that hospitals do more than their shares.
    """
    from wardround.sources.splitting import places_of  # only now: the room of sources takes time to load

    names = np.array(list(sizes))
    ends = np.cumsum(_shares(sizes))[:-1]
    distinct, which = np.unique(units, return_inverse=True)
    places = places_of(distinct.tolist(), f"hospital {seed}")
    return np.asarray(names[np.searchsorted(ends, places, side="right")][which])


def fitted(start: Targets, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Targets:
    """The table nearest to `start` (in relative entropy) whose rows and columns have the given sums.

    Iterative proportional fitting (Deming and Stephan 1940); zeros stay zero, so the sums may stay unmet where they forbid it.

    >>> fitted(np.ones((2, 2)), np.array([1.0, 3.0]), np.array([2.0, 2.0])).tolist()
    [[0.5, 0.5], [1.5, 1.5]]
    """
    table = start.copy()
    for _ in range(200):
        table *= (rows / np.maximum(table.sum(axis=1), 1e-12))[:, None]
        table *= columns / np.maximum(table.sum(axis=0), 1e-12)
    return table


def _totals(groups: Groups) -> NDArray[np.float64]:
    """Records in each group; two of them at least, as a yes or no has them where all are alike."""
    return np.bincount(groups, minlength=2).astype(np.float64)


def _shares(sizes: Mapping[str, float]) -> NDArray[np.float64]:
    values = np.array(list(sizes.values()), np.float64)
    if not len(values) or not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise StudyError("Hospitals need sizes above 0", hint="give each hospital its share of the records")
    return np.asarray(values / values.sum())


def _filled(records: Divided, names: list[str], targets: Targets, groups: Groups, seed: int) -> dict[str, Divided]:
    """Whole patients to hospitals, large ones first, each to the hospital that lacks most, relative to its target.

    The lack is counted in the patient's own groups, so that every hospital fills evenly and ends within about one patient of
    its target. Patients of one size are shuffled by the seed.
    """
    if len(set(names)) != len(names):
        raise StudyError("Hospitals need different names", hint="name each hospital once")
    owners, start = np.unique(records.patients, return_inverse=True)
    held = np.zeros((len(owners), targets.shape[1]), np.int64)
    np.add.at(held, (start, groups), 1)
    shuffled = generator("divide", "patients", seed).permutation(len(owners))
    order = shuffled[np.argsort(-held[shuffled].sum(axis=1), kind="stable")]
    home = np.zeros(len(owners), np.int64)
    assigned = np.zeros_like(targets)
    scale = np.maximum(targets, 1e-9)
    for patient in order:
        lack = (targets - assigned) / scale
        lack[targets <= 0] = -np.inf if np.any(targets[:, held[patient] > 0] > 0) else 0.0
        patient_groups = np.where(held[patient] > 0, held[patient], 0)
        score = np.where(np.isneginf(lack), -1e9, lack) @ patient_groups
        home[patient] = int(np.argmax(score))
        assigned[home[patient]] += held[patient]
    return _hospitals(records, names, home[start])


def _hospitals(records: Divided, names: list[str], home: NDArray[np.int64]) -> dict[str, Divided]:
    hospitals = {name: records.select(np.flatnonzero(home == k)) for k, name in enumerate(names)}
    empty = [name for name, part in hospitals.items() if not len(part)]
    if empty:
        raise DataError(
            "The division leaves a hospital without records",
            found=", ".join(empty),
            hint="use fewer hospitals, larger shares, a larger alpha or another seed",
        )
    return hospitals


def shares_of(hospitals: dict[str, Records]) -> dict[str, tuple[float, float]]:
    """For each hospital its share of all records and its share of positives: what a division came to."""
    total = sum(len(part) for part in hospitals.values())
    return {name: (len(part) / total, float(part.labels.mean())) for name, part in hospitals.items()}


def disjoint(hospitals: Mapping[str, Records | Rows]) -> bool:
    """Whether no patient is in two hospitals: the law every division keeps."""
    named = [np.unique(part.patients) for part in hospitals.values()]
    together = np.sort(np.concatenate(named)) if named else np.array([], dtype=np.str_)
    return all(left != right for left, right in pairwise(together.tolist()))
