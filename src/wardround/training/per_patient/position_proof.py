"""Whether a patient's gradient has the same bits wherever the patient stands: asked of this machine, with this network.

The clipped sum holds C only as long as nobody's gradient depends on who else was drawn (`clipping`). Dense layers keep to that by
construction; convolutions, normalisations and pooling are libraries' kernels, which differ from processor to processor. So before
a private study opens, a site tries it: drawn records, a model whose outputs are rounding remainders, patients in another order
behind 0 to 15 others, and of images each patient in each place of every shape of piece. All numbers that a patient's gradient is
made of, and its norm, must come out alike to the last bit. A patient who fills a piece alone has one place only.

No record takes part, and every draw is fixed: whether a site refuses follows from its machine and the study alone. A trial can
show that the law is broken, and not that no input would break it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from wardround.study.sections.network import NetworkSection
from wardround.training.head import Head
from wardround.training.inputs import InputShape
from wardround.training.per_patient.crafted_networks import chaotic_module
from wardround.training.per_patient.gradients import PatientGradients, most_rows
from wardround.training.threads import PieceThreads
from wardround.values.errors import RefusedError
from wardround.values.randomness import generator
from wardround.values.records import Records

_LEADS = 16
_HUGE = 1e38


def require_fixed_gradients(network: NetworkSection, inputs: InputShape, head: Head, images: InputShape | None = None) -> None:
    """RefusedError ("arithmetic") unless gradients keep their bits here. inputs: what the network that learns reads.
    images: what its frozen backbone reads, where it has one."""
    with PieceThreads(1):
        _require_none(_moved_patients(network, inputs, head), "what a patient's gradient is made of", "PyTorch")
    if network.backbone is not None and images is not None:
        _require_none(_moved_images(network, images), "the features of an image", "onnxruntime")


def _require_none(moved: int, numbers: str, library: str) -> None:
    if moved:
        raise RefusedError(
            f"On this machine {numbers} depends on which others are there, so that clipping would bound nothing",
            expected="the same bits in every order",
            found=f"other bits for {moved} drawn patients",
            hint=f"install another release of {library} here, or agree on a study of columns with network.name mlp or logistic",
            code="arithmetic",
        )


@dataclass(frozen=True)
class _Drawn:
    """Rows of patients, by patient."""

    rows: list[torch.Tensor]
    targets: list[torch.Tensor]

    def joined(self, order: list[int]) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
        rows, targets = ([values[patient] for patient in order] for values in (self.rows, self.targets))
        return torch.cat(rows), torch.cat(targets), [len(one) for one in rows]


def _moved_patients(network: NetworkSection, inputs: InputShape, head: Head) -> int:
    """How many drawn patients have other bits in another order, the largest of all orders and all shapes of piece tried.

    A kernel's order of adding follows from shapes and places, not from the numbers that it adds. So each number of rows that
    patients of one piece may have is tried, and of images every patient in every place.
    """
    gradients = PatientGradients(chaotic_module(network, inputs, head.outputs), 1.0, 1)
    together = most_rows(torch.empty(1, *inputs.row))
    moved = _moved_in_leads(gradients, inputs, head, together)
    if inputs.kind == "image":
        each = range(1, together // 2 + 1)
        moved = max([moved, *(_moved_in_places(gradients, inputs, head, rows, together // rows) for rows in each)])
    return moved


def _moved_in_leads(gradients: PatientGradients, inputs: InputShape, head: Head, together: int) -> int:
    """Patients with one to three rows, in shuffled orders behind 0 to 15 others, the first of whom has no finite gradient."""
    counts = [1] * (24 if inputs.kind == "table" else together + 1) + [2, 2] + ([3] * 3 if together > 2 else [])
    patients, leads = len(counts), min(_LEADS, max(2, together))
    drawn = _drawn(inputs, [*counts, *[1] * leads], head)
    drawn.rows[patients].fill_(_HUGE)
    first = _digests(gradients, drawn, list(range(patients)), head)
    moved = 0
    for lead, order in enumerate(_orders(patients, leads)):
        digests = _digests(gradients, drawn, [*range(patients, patients + lead), *order], head)[lead:]
        moved = max(moved, _other_bits(first, digests, order))
    return moved


def _moved_in_places(gradients: PatientGradients, inputs: InputShape, head: Head, each: int, slots: int) -> int:
    """A full piece of patients with `each` rows, turned until everybody has stood in every place."""
    drawn, everybody = _drawn(inputs, [each] * slots, head), list(range(slots))
    first = _digests(gradients, drawn, everybody, head)
    turned = [everybody[lead:] + everybody[:lead] for lead in range(1, slots)]
    return max([_other_bits(first, _digests(gradients, drawn, order, head), order) for order in turned], default=0)


def _other_bits(first: list[bytes], digests: list[bytes], order: list[int]) -> int:
    """How many patients of `order` have another digest than in the first order."""
    return sum(digest != first[patient] for digest, patient in zip(digests, order, strict=True))


def _orders(patients: int, orders: int) -> Iterator[list[int]]:
    rng = generator("orders of patients")
    for _ in range(orders):
        yield [int(patient) for patient in rng.permutation(patients)]


def _digests(gradients: PatientGradients, drawn: _Drawn, order: list[int], head: Head) -> list[bytes]:
    rows, targets, counts = drawn.joined(order)
    return gradients.digests(rows, targets, counts, head.loss)


def _drawn(inputs: InputShape, counts: list[int], head: Head) -> _Drawn:
    """A table's column 0 is 1 for everybody; every other image is nearly blank."""
    rng = generator("rows of drawn patients")
    rows = []
    for number, count in enumerate(counts):
        values = rng.standard_normal((count, *inputs.row)).astype(np.float32)
        if inputs.kind == "table":
            values[:, 0] = 1.0
        else:
            values = np.clip(0.5 + (0.3, 0.004)[number % 2] * values, 0.0, 1.0).astype(np.float32)
        rows.append(torch.from_numpy(values))
    targets = torch.from_numpy(head.targets(head.drawn(rng, sum(counts))))
    return _Drawn(rows, list(torch.split(targets, counts)))


def _moved_images(network: NetworkSection, images: InputShape) -> int:
    """How many drawn images get other features when one image before them is missing."""
    from wardround.training.backbone import Backbone

    assert network.backbone is not None
    shape = (7, images.height, images.width) if images.channels == 1 else (7, images.height, images.width, 3)
    pixels = generator("images of drawn patients").integers(0, 255, shape).astype(np.uint8)
    describe: Callable[[Records], np.ndarray] = Backbone(network.backbone, images, threads=1).features
    whole, others = describe(_records(pixels)), describe(_records(pixels[1:]))
    return int((whole[1:] != others).any(1).sum())


def _records(pixels: np.ndarray) -> Records:
    names = np.array([str(number) for number in range(len(pixels))])
    return Records(pixels, np.zeros(len(pixels), np.int8), names, np.full(len(pixels), "train"))
