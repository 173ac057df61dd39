"""Sums over a row's few numbers, for losses of single rows. torch is loaded with this page.

A patient's loss must have the same bits wherever the row stands (`training/per_patient/fixed_order`). So nothing here asks a
library to sum: there are element-wise functions of columns of whole vectors, and additions in an order that the shape fixes.
"""

import torch


def row_sum(values: torch.Tensor) -> torch.Tensor:
    """(n, k) -> (n,): column after column."""
    total = values[:, 0]
    for position in range(1, values.shape[1]):
        total = total + values[:, position]
    return total


def row_max(values: torch.Tensor) -> torch.Tensor:
    """(n, k) -> (n,): the largest; no gradient goes through it."""
    largest = values[:, 0].detach()
    for position in range(1, values.shape[1]):
        largest = torch.maximum(largest, values[:, position].detach())
    return largest


def log_softmax(values: torch.Tensor) -> torch.Tensor:
    """(n, k) -> (n, k): each number less the logarithm of the row's sum of exponentials."""
    moved = values - row_max(values).unsqueeze(1)
    columns = moved.T.contiguous().exp()
    return moved - row_sum(columns.T).log().unsqueeze(1)
