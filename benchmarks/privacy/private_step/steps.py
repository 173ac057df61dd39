"""One training step of each kind: gradients of a batch, made private where the kind is private, and plain SGD.

Every private step clips each example's gradient to CLIP and adds noise of multiplier NOISE before dividing by the batch: Opacus
its own normal noise, vmap torch's, ours the discrete Gaussian of `wardround.privacy` through the noise_grid.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

CLIP, NOISE, RATE = 1.0, 1.0, 0.05

Step = Callable[[], object]
Losses = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def losses_for(module: nn.Module, targets: torch.Tensor) -> tuple[Losses, torch.Tensor]:
    """A loss for each row and the targets it takes: ten classes, or one logit."""
    if isinstance(module, nn.Sequential):
        return partial(F.cross_entropy, reduction="none"), targets
    return partial(F.binary_cross_entropy_with_logits, reduction="none"), (targets > 4).float()


def stock(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Step:
    """Not private: the gradient of the mean loss."""
    losses, targets = losses_for(module, targets)
    optimizer = torch.optim.SGD(module.parameters(), RATE)

    def step() -> None:
        optimizer.zero_grad()
        losses(module(inputs), targets).mean().backward()
        optimizer.step()

    return step


def tuned(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Step:
    """The same with the allocator told to keep memory."""
    from wardround.training.threads import keep_freed_memory

    keep_freed_memory()
    return stock(module, inputs, targets)


def opacus_hooks(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Step:
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    losses, targets = losses_for(module, targets)
    private = GradSampleModule(module)
    optimizer = DPOptimizer(
        torch.optim.SGD(private.parameters(), RATE),
        noise_multiplier=NOISE,
        max_grad_norm=CLIP,
        expected_batch_size=len(inputs),
    )

    def step() -> None:
        optimizer.zero_grad()
        losses(private(inputs), targets).mean().backward()
        optimizer.step()

    return step


def opacus_ghost(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Step:
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    private = GradSampleModuleFastGradientClipping(module, max_grad_norm=CLIP, use_ghost_clipping=True)
    optimizer = DPOptimizerFastGradientClipping(
        torch.optim.SGD(private.parameters(), RATE),
        noise_multiplier=NOISE,
        max_grad_norm=CLIP,
        expected_batch_size=len(inputs),
    )
    _, targets = losses_for(module, targets)
    criterion = nn.CrossEntropyLoss() if isinstance(module, nn.Sequential) else nn.BCEWithLogitsLoss()
    loss = DPLossFastGradientClipping(private, optimizer, criterion)

    def step() -> None:
        optimizer.zero_grad()
        loss(private(inputs), targets).backward()
        optimizer.step()

    return step


def vmap(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Step:
    """torch.func: vmap over grad, all examples at once."""
    losses, targets = losses_for(module, targets)
    parameters = dict(module.named_parameters())

    def loss(values: dict[str, torch.Tensor], row: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return losses(torch.func.functional_call(module, values, (row[None],)), target[None])[0]

    gradients = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))

    def step() -> None:
        each = gradients({name: value.detach() for name, value in parameters.items()}, inputs, targets)
        norms = torch.stack([values.flatten(1).norm(dim=1) for values in each.values()]).norm(dim=0)
        scales = (CLIP / (norms + 1e-6)).clamp(max=1.0)
        with torch.no_grad():
            for name, value in parameters.items():
                clipped = (scales @ each[name].flatten(1)).view_as(value)
                value.sub_(clipped + NOISE * CLIP * torch.randn_like(value), alpha=RATE / len(inputs))

    return step


def wardround(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Step:
    from wardround.training.per_patient import PatientGradients
    from wardround.values.cores import usable_cores

    losses, targets = losses_for(module, targets)
    gradients = PatientGradients(module, CLIP, usable_cores())
    parameters = list(module.parameters())
    noised, counts = _noise(sum(value.numel() for value in parameters), len(inputs)), [1] * len(inputs)

    def step() -> None:
        result = gradients.clipped_sum(inputs, targets, counts, losses)
        values = noised(torch.cat([share.flatten() for share in result.sums]))
        with torch.no_grad():
            for parameter, share in zip(parameters, values.split([value.numel() for value in parameters]), strict=True):
                parameter.sub_(share.view_as(parameter), alpha=RATE / len(inputs))

    return step


def _noise(size: int, batch: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """As a hospital adds it: on the noise_grid, from the discrete Gaussian."""
    from wardround.privacy.noise_grid import NoiseGrid

    noise_grid = NoiseGrid(clip_norm=CLIP, multiplier=NOISE, size=size, capacity=2.0 * batch)
    return lambda values: torch.from_numpy(noise_grid.decode(noise_grid.encode(values.numpy())))


STEPS: dict[str, Callable[[nn.Module, torch.Tensor, torch.Tensor], Step]] = {
    "stock": stock,
    "tuned": tuned,
    "opacus hooks": opacus_hooks,
    "opacus ghost": opacus_ghost,
    "vmap": vmap,
    "wardround": wardround,
}
