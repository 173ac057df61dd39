"""What private analyses make of each patient's columns: numbers of a bounded length, each from that patient's columns alone.

Sums over columns go column by column: a row's number then does not depend on how many rows there are (`privacy.bounded_rows`).
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROOT = math.sqrt(2.0)


def linear(columns: Floats, coefficients: Floats) -> Floats:
    """(n, p), (p,) -> (n,): the linear predictor of each row."""
    total = np.zeros(len(columns))
    for position in range(columns.shape[1]):
        total = total + columns[:, position] * coefficients[position]
    return total


def shortening(columns: Floats, longest_squared: float) -> Floats:
    """(n, p) -> (n,): v^2, by which products of a row's columns are multiplied: the row counts as no longer than allowed."""
    squares = np.zeros(len(columns))
    for position in range(columns.shape[1]):
        squares = squares + columns[:, position] ** 2
    return np.asarray(np.minimum(1.0, longest_squared / np.maximum(squares, 1e-300)))


def products(columns: Floats) -> Floats:
    """(n, p) -> (n, p (p + 1) / 2): x x' of each row as a vector that is as long as the matrix: the upper triangle, what is off
    the diagonal times sqrt(2)."""
    first, second = np.triu_indices(columns.shape[1])
    return np.asarray(columns[:, first] * columns[:, second] * np.where(first == second, 1.0, _ROOT))


def matrix_of(numbers: Floats, size: int) -> Floats:
    """The symmetric matrix (size, size) of a sum of `products`."""
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = numbers
    matrix = np.where(np.eye(size, dtype=bool), matrix, matrix / _ROOT)
    return np.asarray(np.triu(matrix) + np.triu(matrix, 1).T)
