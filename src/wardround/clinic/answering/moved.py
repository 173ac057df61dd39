"""What moved the answer of a table model: the share of each column, by Shapley's rule against a patient of mean values.

With v(S) the score of a record whose columns in S are its own and whose others are the hospital's means, the share of a column is
the mean of v(S + column) - v(S) over all orders in which columns can be put in. Shares add up to v(all) - v(none). Of a linear
model they are weight times distance from the mean, exactly.

Up to EXACT columns every set is asked, in one batch: no sampling, no error. Beyond, orders are drawn in pairs of an order and its
reverse, and each share has a standard error.

Source: L. S. Shapley (1953); S. Lundberg and S. Lee, NIPS 2017; R. Mitchell et al., JMLR 23 (2022) 43 (reversed pairs).
"""

from math import comb

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.answering.answer import Moved
from wardround.clinic.answering.network import Network
from wardround.study.contract import DataContract
from wardround.tasks.protocol import Floats
from wardround.values.randomness import generator

EXACT = 12
PAIRS = 128


def moved(network: Network, record: NDArray[np.float32], mean: NDArray[np.float32]) -> tuple[Moved, ...]:
    """The shares in the order of the contract's columns. record, mean: network inputs (features,)."""
    features = column_features(network.statement.data)
    names = [column.name for column in network.statement.data.columns]
    if len(names) <= EXACT:
        shares, errors = _exact(network, record, mean, features), np.zeros(len(names))
    else:
        shares, errors = _sampled(network, record, mean, features)
    return tuple(Moved(*row) for row in zip(names, shares.tolist(), errors.tolist(), strict=True))


def column_features(contract: DataContract) -> NDArray[np.bool_]:
    """(columns, features): which features a column became."""
    owner = np.repeat(np.arange(len(contract.columns)), [len(column.features) for column in contract.columns])
    return np.asarray(owner == np.arange(len(contract.columns))[:, None])


def _values(network: Network, record: NDArray[np.float32], mean: NDArray[np.float32], own: NDArray[np.bool_]) -> Floats:
    """v of sets of features (n, features)."""
    return network.scores(np.where(own, record, mean).astype(np.float32))


def _exact(network: Network, record: NDArray[np.float32], mean: NDArray[np.float32], features: NDArray[np.bool_]) -> Floats:
    count = len(features)
    sets = (np.arange(1 << count)[:, None] >> np.arange(count)) & 1 == 1
    value = _values(network, record, mean, sets @ features)
    sizes = sets.sum(axis=1)
    weights = np.array([1 / (count * comb(count - 1, size)) for size in range(count)])
    shares = np.zeros(count)
    for column in range(count):
        without = np.flatnonzero(~sets[:, column])
        shares[column] = weights[sizes[without]] @ (value[without + (1 << column)] - value[without])
    return shares


def _sampled(
    network: Network, record: NDArray[np.float32], mean: NDArray[np.float32], features: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    count = len(features)
    rng = generator("what moved an answer", count)
    drawn = np.zeros((PAIRS, count))
    for pair in range(PAIRS):
        order = rng.permutation(count)
        for way in (order, order[::-1]):
            rank = np.argsort(way)
            sets = rank[None, :] < np.arange(count + 1)[:, None]
            drawn[pair, way] += np.diff(_values(network, record, mean, sets @ features)) / 2
    return drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / np.sqrt(PAIRS)
