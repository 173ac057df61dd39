"""What private analyses make of a patient's columns has the length that noise was priced for."""

import numpy as np

from wardround.analysis.bounded_columns import linear, matrix_of, products, shortening

COLUMNS = np.random.default_rng(1).normal(0, 3, (50, 4))


def test_the_vector_of_products_is_as_long_as_the_matrix_and_gives_it_back() -> None:
    """The length of x x' is that of x, squared."""
    vectors = products(COLUMNS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), (COLUMNS**2).sum(axis=1))
    assert np.allclose(matrix_of(vectors.sum(axis=0), 4), COLUMNS.T @ COLUMNS)


def test_no_row_counts_as_longer_than_allowed_and_a_short_one_stays_as_it_is() -> None:
    """A row of nothing but zeros is one of the short ones."""
    rows = np.concatenate([COLUMNS, np.zeros((1, 4)), np.full((1, 4), 1e200)])
    with np.errstate(over="ignore"):
        weights = shortening(rows, 2.0)
    squares = (COLUMNS**2).sum(axis=1)
    assert (weights[:50] * squares <= 2.0 + 1e-12).all() and (weights[:50][squares <= 2.0] == 1.0).all()
    assert weights[50] == 1.0 and weights[51] == 0.0


def test_a_rows_number_does_not_depend_on_how_many_there_are() -> None:
    """To the last bit: noise hides one patient only where the others' numbers stay."""
    coefficients = np.array([0.3, -1.7, 2.9, 0.11])
    for count in (1, 7, 49):
        assert (linear(COLUMNS[:count], coefficients) == linear(COLUMNS, coefficients)[:count]).all()
