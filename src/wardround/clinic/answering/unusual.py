"""Does a record look like those on which this hospital accepted the model? Distances, fitted on the accepted cases.

    record --parts--> vectors --distance of each part--> its tail among the hospital's own cases --the largest--> score

A part is a view of the record: what the network's last layer reads, or a small picture of the film. Its distance is that of
Mahalanobis, with a covariance shrunk towards a multiple of the identity, since there are often fewer cases than numbers
(O. Ledoit and M. Wolf, J. Multivariate Anal. 88 (2004) 365). Distances of the hospital's own cases are taken by folds of
patients, so that no case is compared with itself. A score of s means: about exp(-s) of the hospital's own cases lie further out
in that part.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.answering.views import views
from wardround.tasks.protocol import Floats
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RunError
from wardround.values.private_files import read_private
from wardround.values.tensor_file import read_tensors, write_tensors
from wardround.values.tree import Tree

FEWEST = 20
"""With fewer cases a covariance says nothing."""
FOLDS = 5
_TAIL = 0.5
"""Beyond the share _TAIL of the own distances, their tail is taken as exponential: so no two records far out are tied."""


@dataclass(frozen=True)
class UnusualReference:
    """arrays: means, whitening matrices and the spread of distances, by part; nothing of a single case."""

    arrays: Tree

    @property
    def mean_input(self) -> NDArray[np.float32]:
        """Of a table: the hospital's mean network input (features,)."""
        return np.asarray(self.arrays["mean_input"], np.float32)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(sorted(name.removesuffix("/mean") for name in self.arrays if name.endswith("/mean")))

    def part_scores(self, inputs: NDArray[np.float32], embedding: NDArray[np.float32]) -> dict[str, Floats]:
        """By part (n,): the more unusual, the larger."""
        vectors = views(inputs, embedding)
        return {part: _tail(self._distance(part, vectors[part]), *self.arrays[f"{part}/spread"]) for part in self.parts}

    def scores(self, inputs: NDArray[np.float32], embedding: NDArray[np.float32]) -> Floats:
        """(n,): the more unusual, the larger."""
        return np.asarray(np.max(list(self.part_scores(inputs, embedding).values()), axis=0))

    def _distance(self, part: str, vectors: Floats) -> Floats:
        return _distances(vectors, self.arrays[f"{part}/mean"], self.arrays[f"{part}/whiten"])

    def keep(self, folder: Path) -> str:
        """Writes the reference under the hash of its bytes, whole or not at all. The hash."""
        beginning = folder / "new.safetensors"
        write_tensors(beginning, self.arrays, {"kind": "unusual"})
        sha256 = sha256_hex(beginning.read_bytes())
        beginning.replace(folder / f"{sha256}.safetensors")
        return sha256

    @classmethod
    def at(cls, folder: Path, sha256: str) -> "UnusualReference":
        """RunError where the file is gone or was changed."""
        path = folder / f"{sha256}.safetensors"
        content = read_private(path, 1 << 30)
        if content is None or sha256_hex(content) != sha256:
            raise RunError(
                f"The reference {path} is gone or was changed",
                expected=sha256,
                hint="bring it back from a backup, or accept the model again",
            )
        return cls(read_tensors(path)[0])


@dataclass(frozen=True)
class FittedReference:
    """reference: from all cases. own: score of each case (n,), from the cases of other folds alone."""

    reference: UnusualReference
    own: Floats


def fit_reference(
    inputs: NDArray[np.float32], embedding: NDArray[np.float32], folds: NDArray[np.integer]
) -> FittedReference | None:
    """From network inputs (n, *shape), their embeddings and the fold of each patient; None with fewer than FEWEST cases."""
    if len(inputs) < FEWEST or len(np.unique(folds)) < 2:
        return None
    arrays: Tree = {"mean_input": inputs.mean(axis=0, dtype=np.float64).astype(np.float32)} if inputs.ndim == 2 else {}
    own = np.full(len(inputs), -np.inf)
    for part, vectors in views(inputs, embedding).items():
        distances = np.zeros(len(vectors))
        for fold in np.unique(folds):
            inside = folds == fold
            distances[inside] = _distances(vectors[inside], *_fitted(vectors[~inside]))
        spread = _spread(distances)
        mean, whiten = _fitted(vectors)
        arrays |= {f"{part}/mean": mean, f"{part}/whiten": whiten.astype(np.float32), f"{part}/spread": spread}
        own = np.maximum(own, _tail(distances, *spread))
    return FittedReference(UnusualReference(arrays), own)


def _fitted(vectors: Floats) -> tuple[Floats, Floats]:
    """Mean (d,), and the matrix (d, d) by which a difference from it becomes one of unit spread in every direction."""
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    n, d = centred.shape
    covariance = centred.T @ centred / n
    level = float(np.trace(covariance)) / d
    away = float(np.square(covariance).sum()) - d * level**2
    noise = float(np.square(np.square(centred).sum(axis=1)).sum()) / n**2 - float(np.square(covariance).sum()) / n
    share = 1.0 if away <= 0 else min(1.0, max(0.0, noise / away))
    shrunk = (1 - share) * covariance + (share * level + 1e-9 * level + 1e-12) * np.eye(d)
    values, axes = np.linalg.eigh(shrunk)
    return mean, axes / np.sqrt(np.maximum(values, 1e-12))


def _distances(vectors: Floats, mean: Floats, whiten: Floats) -> Floats:
    """(n,): Mahalanobis' distance, over the square root of the number of directions."""
    return np.asarray(np.sqrt(np.square((vectors - mean) @ whiten).mean(axis=1)), np.float64)


def _spread(distances: Floats) -> Floats:
    """Where the tail of the hospital's own distances begins, and its mean excess."""
    start = float(np.quantile(distances, _TAIL))
    excess = distances[distances > start] - start
    return np.array([start, max(float(excess.mean()) if len(excess) else 0.0, 1e-6)])


def _tail(distances: Floats, start: float, excess: float) -> Floats:
    """Minus the logarithm of the share of own cases further out, by an exponential tail."""
    return np.asarray((distances - start) / excess - np.log(1 - _TAIL))
