"""k numbers of a record as chances of k classes, and the vote of alike records mixed with them."""

import numpy as np

from wardround.tasks.protocol import Floats


def log_chances(outputs: Floats) -> Floats:
    """(n, k) -> (n, k): logarithms of chances that add to 1.

    >>> np.exp(log_chances(np.array([[0.0, 0.0], [1e6, -1e6]]))).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    moved = outputs - outputs.max(axis=1, keepdims=True)
    return np.asarray(moved - np.log(np.exp(moved).sum(axis=1, keepdims=True)))


def against_the_rest(outputs: Floats) -> Floats:
    """(n, k) -> (n, k): the logit of each class against all others. Of two classes exactly the difference of the outputs.

    >>> against_the_rest(np.array([[0.25, 2.0]])).tolist()
    [[-1.75, 1.75]]
    """
    logits = np.empty_like(outputs)
    for position in range(outputs.shape[1]):
        others = np.delete(outputs, position, axis=1)
        largest = others.max(axis=1)
        rest = others - largest[:, None]
        sums = np.exp(rest).sum(axis=1)
        logits[:, position] = outputs[:, position] - largest - np.log(sums)
    return logits


def smoothed(votes: Floats, voters: Floats) -> Floats:
    """(n, k) means of votes of so many voters -> chances: each class has 1 / k of a voter more (of two, half a voter).

    R. E. Krichevsky, V. K. Trofimov, IEEE Trans. Inf. Theory 27 (1981) 199. Voters whose answer is blank do not vote.

    >>> smoothed(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([1.0, 5.0])).tolist()
    [[0.75, 0.25], [0.5, 0.5]]
    """
    counted = votes * voters[:, None]
    return np.asarray((counted + 1.0 / votes.shape[1]) / (counted.sum(axis=1, keepdims=True) + 1.0))


def with_votes(outputs: Floats, votes: Floats, voters: Floats, share: float) -> Floats:
    """Outputs of the mixed chances: their logarithms."""
    return np.log(share * smoothed(votes, voters) + (1.0 - share) * np.exp(log_chances(outputs)))
