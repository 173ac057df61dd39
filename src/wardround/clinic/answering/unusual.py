"""Does a record look like those on which this hospital accepted the model? Distances, fitted on the accepted cases.

    record --views--> vectors --distance in each view--> how far out among the hospital's own cases --sum--> score

The distance in a view is that of Mahalanobis, with a covariance shrunk towards a multiple of the identity, since there are often
fewer cases than numbers (O. Ledoit and M. Wolf, J. Multivariate Anal. 88 (2004) 365). Distances of the hospital's own cases are
taken by folds of patients, so that no case is compared with itself; their upper half is taken as exponential, and a distance
becomes minus the logarithm of the share of own cases further out. What is a little odd in every view is odder than what is so in
one: the scores of the views are added (R. A. Fisher, 1932).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.answering.views import views
from wardround.tasks.protocol import Floats
from wardround.values.canonical import canonical_json
from wardround.values.errors import RunError
from wardround.values.private_files import private_status
from wardround.values.tensor_file import read_tensors, write_tensors
from wardround.values.tree import Tree

FEWEST = 20
"""With fewer cases a covariance says nothing."""
MOST_AXES = 256
"""Directions of a view that are kept one by one; the others are taken to be alike."""
_TAIL = 0.5


@dataclass(frozen=True)
class UnusualReference:
    """arrays: means, axes and spreads by view; nothing of a single case."""

    arrays: Tree

    @property
    def mean_input(self) -> NDArray[np.float32]:
        """Of a table: the hospital's mean network input (features,)."""
        return np.asarray(self.arrays["mean_input"], np.float32)

    @property
    def views(self) -> tuple[str, ...]:
        return tuple(sorted(name.removesuffix("/mean") for name in self.arrays if name.endswith("/mean")))

    def scores_by_view(self, inputs: NDArray[np.float32], embedding: NDArray[np.float32]) -> dict[str, Floats]:
        """(n,) by view: the more unusual, the larger; never below 0."""
        vectors = views(inputs, embedding)
        return {view: self._fit(view).scores(vectors[view]) for view in self.views}

    def scores(self, inputs: NDArray[np.float32], embedding: NDArray[np.float32]) -> Floats:
        """(n,): the more unusual, the larger."""
        return np.asarray(np.sum(list(self.scores_by_view(inputs, embedding).values()), axis=0))

    def _fit(self, view: str) -> "_Fit":
        return _Fit(*(self.arrays[f"{view}/{name}"] for name in ("mean", "axes", "levels", "spread")))

    @property
    def sha256(self) -> str:
        """Over names, shapes and values: the name of its file."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays.items()):
            digest.update(canonical_json([name, array.dtype.name, list(array.shape)]) + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def keep(self, folder: Path) -> str:
        """Writes the reference, whole or not at all. Its SHA-256."""
        write_tensors(folder / f"{self.sha256}.safetensors", self.arrays, {"kind": "unusual"})
        return self.sha256

    @classmethod
    def at(cls, folder: Path, sha256: str) -> "UnusualReference":
        """RunError where the file is gone or was changed."""
        path = folder / f"{sha256}.safetensors"
        hint = "bring it back from a backup, or accept the model again"
        if private_status(path) is None:
            raise RunError(f"The reference {path} is gone", expected=sha256, hint=hint)
        try:
            reference = cls(read_tensors(path)[0])
        except RunError as error:
            raise RunError(f"The reference {path} was changed", expected=sha256, found=error.found, hint=hint) from error
        if reference.sha256 != sha256:
            raise RunError(f"The reference {path} was changed", expected=sha256, found=reference.sha256, hint=hint)
        return reference


@dataclass(frozen=True)
class _Fit:
    """mean (d,). axes (d, r), levels (r + 1,): variances along them, the last in every other direction. spread: where the tail of
    the hospital's own distances begins, and its mean excess."""

    mean: NDArray[np.floating]
    axes: NDArray[np.floating]
    levels: NDArray[np.floating]
    spread: NDArray[np.floating]

    def distances(self, vectors: Floats) -> Floats:
        """(n,): Mahalanobis' distance over the root of the number of directions."""
        centred = vectors - self.mean
        along = centred @ self.axes
        rest = np.maximum(np.square(centred).sum(axis=1) - np.square(along).sum(axis=1), 0.0)
        squares = (np.square(along) / self.levels[:-1]).sum(axis=1) + rest / self.levels[-1]
        return np.asarray(np.sqrt(squares / vectors.shape[1]), np.float64)

    def scores(self, vectors: Floats) -> Floats:
        """Minus the logarithm of the share of own cases further out, by an exponential tail; 0 in the nearer half."""
        start, excess = self.spread
        return np.asarray(np.maximum((self.distances(vectors) - start) / excess - np.log(_TAIL), 0.0))


@dataclass(frozen=True)
class FittedReference:
    """reference: from all cases. own: score of each case (n,), from the cases of other folds alone."""

    reference: UnusualReference
    own: Floats

    def limit(self, share: float) -> float:
        """Above which a share of the hospital's own cases lies."""
        return float(np.quantile(self.own, 1 - share))


def fit_reference(
    inputs: NDArray[np.float32], embedding: NDArray[np.float32], folds: NDArray[np.integer]
) -> FittedReference | None:
    """From network inputs (n, *shape), their embeddings and the fold of each patient; None with fewer than FEWEST cases."""
    if len(inputs) < FEWEST or len(np.unique(folds)) < 2:
        return None
    arrays: Tree = {"mean_input": inputs.mean(axis=0, dtype=np.float64).astype(np.float32)} if inputs.ndim == 2 else {}
    own = np.zeros(len(inputs))
    for view, vectors in views(inputs, embedding).items():
        fit, scores = _fitted_crossed(vectors, folds)
        own += scores
        named = {"mean": fit.mean, "axes": fit.axes, "levels": fit.levels}
        arrays |= {f"{view}/{name}": np.ascontiguousarray(array, np.float32) for name, array in named.items()}
        arrays[f"{view}/spread"] = fit.spread
    return FittedReference(UnusualReference(arrays), own)


def _fitted_crossed(vectors: Floats, folds: NDArray[np.integer]) -> tuple[_Fit, Floats]:
    """The fit of all cases, and each case's score by its distance from the cases of other folds."""
    distances = np.zeros(len(vectors))
    for fold in np.unique(folds):
        inside = folds == fold
        distances[inside] = _fitted(vectors[~inside], np.zeros(2)).distances(vectors[inside])
    spread = _spread(distances)
    start, excess = spread
    return _fitted(vectors, spread), np.maximum((distances - start) / excess - np.log(_TAIL), 0.0)


def _fitted(vectors: Floats, spread: Floats) -> _Fit:
    """Mean and shrunk covariance: the share of the identity is Ledoit's and Wolf's, from the n cases themselves."""
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    n, d = centred.shape
    variances, axes = _axes(centred)
    level = float(variances.sum()) / d
    square = float(np.square(variances).sum())
    away = square - d * level**2
    noise = (float(np.square(np.square(centred).sum(axis=1)).sum()) / n - square) / n
    share = 1.0 if away <= 0 else min(1.0, max(0.0, noise / away))
    kept = min(MOST_AXES, int((variances > 1e-12 * max(level, 1e-12)).sum()))
    others = max(float(variances[kept:].sum()), 0.0) / (d - kept) if d > kept else 0.0
    smallest = 1e-9 * level + 1e-12
    levels = (1 - share) * np.append(variances[:kept], others) + share * level + smallest
    return _Fit(mean, axes[:, :kept], levels, spread)


def _axes(centred: Floats) -> tuple[Floats, Floats]:
    """Variances, the largest first, and their directions (d, r): of the smaller of the two square matrices."""
    n, d = centred.shape
    if n < d:
        _, lengths, rows = np.linalg.svd(centred, full_matrices=False)
        return lengths**2 / n, rows.T
    variances, axes = np.linalg.eigh(centred.T @ centred / n)
    return np.maximum(variances[::-1], 0.0), axes[:, ::-1]


def _spread(distances: Floats) -> Floats:
    start = float(np.quantile(distances, _TAIL))
    excess = distances[distances > start] - start
    return np.array([start, max(float(excess.mean()) if len(excess) else 0.0, 1e-6)])
