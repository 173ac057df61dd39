"""The clipped sum of a batch (Abadi et al., CCS 2016, algorithm 1, without its noise).

One forward and one backward to the layers' outputs give every patient's norm and, from the same factors, the weighted sum: no
second backward (Bu et al., "Differentially private optimization on large model at small cost", ICML 2023, "book-keeping").
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from wardround.training.per_patient.arrays import PatientGradientTerms
from wardround.training.per_patient.clipping import scales
from wardround.training.per_patient.fixed_order import row_losses, tree_sum
from wardround.training.per_patient.pieces import Counts, Piece, cut, require_counts
from wardround.training.per_patient.tape import Tape, strangers
from wardround.training.threads import PieceThreads

_BLOCK = 2**10  # pieces
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class ClippedSum:
    """sums: float64, shaped and ordered as the module's trainable parameters. norms (P,): before clipping, float64; not finite
    for a patient who counted zero. loss: the sum of the losses of the patients who counted."""

    sums: list[torch.Tensor]
    norms: torch.Tensor
    loss: float


@dataclass(frozen=True)
class _Part:
    """One piece's share of the clipped sum."""

    sums: list[torch.Tensor]
    norms: torch.Tensor
    loss: float


class _Sums:
    """float64 sums of pieces' shares, block after block: a share is rounded together with few others (`clipping`)."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._shapes = [parameter.shape for parameter in parameters]
        self._blocks: list[list[torch.Tensor]] = []
        self._added = 0

    def add(self, shares: list[torch.Tensor]) -> None:
        if self._added % _BLOCK == 0:
            self._fold()
            self._blocks.append([torch.zeros(shape, dtype=torch.float64) for shape in self._shapes])
        for together, share in zip(self._blocks[-1], shares, strict=True):
            together.add_(share)
        self._added += 1

    def total(self) -> list[torch.Tensor]:
        self._fold()
        return self._blocks[0] if self._blocks else [torch.zeros(shape, dtype=torch.float64) for shape in self._shapes]

    def _fold(self) -> None:
        """The last block onto those before it."""
        if len(self._blocks) == 2:
            for together, share in zip(*self._blocks, strict=True):
                together.add_(share)
            self._blocks.pop()


class PatientGradients:
    """Clipped sums of the per-patient gradients of `module`, on a CPU.

    The gradient of a patient is that of the mean of the losses of the patient's rows (images, or views of one image); its norm
    over all trainable parameters together is what is clipped to clip_norm (inf: no clipping). A patient whose gradient or loss
    is not finite counts zero. threads: pieces computed at once; it never changes a bit of the result. The module must give rows
    that do not depend on other rows, and every layer's inputs must have the rows on axis 0.
    """

    def __init__(self, module: nn.Module, clip_norm: float, threads: int) -> None:
        if not clip_norm > 0.0:
            raise ValueError(f"clip_norm is a number above 0, found {clip_norm}")
        self._module, self._clip_norm, self._piece_threads = module, clip_norm, PieceThreads(threads, lasting=True)
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]

    def clipped_sum(self, inputs: torch.Tensor, targets: torch.Tensor, counts: Counts, loss: Loss) -> ClippedSum:
        """inputs (n, ...) and targets (n, ...) patient after patient, counts (P,) rows of each, n in all.

        loss(outputs, targets) -> (n,): one loss for each row, from that row alone. No patients: sums of zeros. ValueError for
        more patients or rows than the bound of `clipping` is proved for.
        """
        require_counts(counts, len(inputs), len(targets))
        sums = _Sums(self._parameters)
        norms, total = torch.zeros(len(counts), dtype=torch.float64), 0.0
        pieces = cut(counts, most_rows(inputs))
        with self._piece_threads as piece_threads:
            parts = piece_threads.stream(lambda piece: self._part(piece, inputs, targets, loss), pieces)
            for piece, part in zip(pieces, parts, strict=True):
                sums.add(part.sums)
                norms[torch.from_numpy(piece.patients)] = part.norms
                total += part.loss
        return ClippedSum(sums.total(), norms, total)

    def digests(self, inputs: torch.Tensor, targets: torch.Tensor, counts: Counts, loss: Loss) -> list[bytes]:
        """For each patient a hash of all numbers that the patient's clipped gradient follows from."""
        require_counts(counts, len(inputs), len(targets))
        digests = [b""] * len(counts)
        with self._piece_threads as piece_threads:
            pieces = cut(counts, most_rows(inputs))
            parts = piece_threads.stream(lambda piece: self._piece_digests(piece, inputs, targets, loss), pieces)
            for piece, part in zip(pieces, parts, strict=True):
                for patient, digest in zip(piece.patients, part, strict=False):
                    digests[patient] = digest
        return digests

    def _piece_digests(self, piece: Piece, inputs: torch.Tensor, targets: torch.Tensor, loss: Loss) -> list[bytes]:
        terms, losses = self._gathered(piece, inputs, targets, loss)
        hashes = [hashlib.sha256() for _ in range(piece.slots)]
        for some, numbers in [*terms.numbers(), (slice(0, piece.slots), losses)]:
            for own, values in zip(hashes[some], numbers, strict=True):
                own.update(bytes((values + 0.0).contiguous().numpy()))  # a zero has one sign
        return [own.digest() for own in hashes]

    def _part(self, piece: Piece, inputs: torch.Tensor, targets: torch.Tensor, loss: Loss) -> _Part:
        terms, losses = self._gathered(piece, inputs, targets, loss)
        count, norms = len(piece.patients), terms.norms()
        weights = scales(norms, losses, self._clip_norm)
        left_out = (weights[:count] == 0.0).numpy()
        if left_out.all():
            return _Part([torch.zeros(parameter.shape) for parameter in self._parameters], norms[:count], 0.0)
        if left_out.any():  # the others again, alone: zero times what is not finite is not zero
            others = self._part(piece.without(left_out), inputs, targets, loss)
            return _Part(others.sums, norms[:count], others.loss)
        weights[count:] = 0.0
        return _Part(terms.weighted_sums(weights), norms[:count], float(losses[:count].sum()))

    def _gathered(
        self, piece: Piece, inputs: torch.Tensor, targets: torch.Tensor, loss: Loss
    ) -> tuple[PatientGradientTerms, torch.Tensor]:
        """The contributions of the piece's slots, and their losses (slots,) float64."""
        rows = piece.of(inputs)
        with torch.enable_grad():
            with Tape(len(rows), piece.slots) as tape:
                outputs = self._module(rows)
            losses = tree_sum(row_losses(loss, outputs, piece.of(targets)).view(piece.slots, -1).T) / piece.each
            total = losses.sum()
            if strangers(total, self._parameters):
                return self._one_by_one(piece, inputs, targets, loss)
            tape.backward(total)
            uses = [use for layer in tape.layers for use in layer.contributions]
        return PatientGradientTerms(self._parameters, uses, piece.slots), losses.detach().double()

    def _one_by_one(
        self, piece: Piece, inputs: torch.Tensor, targets: torch.Tensor, loss: Loss
    ) -> tuple[PatientGradientTerms, torch.Tensor]:
        """The same by one ordinary backward for each patient, in memory of its own: for layers we do not know."""
        parts = (torch.split(piece.of(values), piece.each) for values in (inputs, targets))
        slots = zip(*([rows.clone() for rows in part] for part in parts), strict=True)
        losses = [loss(self._module(rows), aims).mean() for rows, aims in slots]
        each = [torch.autograd.grad(value, self._parameters, allow_unused=True, materialize_grads=True) for value in losses]
        gradients = [torch.stack(values) for values in zip(*each, strict=True)]
        return PatientGradientTerms.of_gradients(self._parameters, gradients), torch.stack(losses).detach().double()


def most_rows(inputs: torch.Tensor) -> int:
    """Rows in a piece, by the rows' shape alone: a power of two up to 16, 16,384 pixels together; 256 rows of a table.

    That is enough work for an operation to be worth its call. Half as many images take 15 to 20 % more time (28 pixels, two
    threads) and some 45 MiB less; twice as many are no faster to speak of.
    """
    if inputs.ndim < 4:
        return 256
    together = 2**14 // math.prod(inputs.shape[2:])
    return next((rows for rows in (16, 8, 4, 2) if rows <= together), 1)
