"""Proves that the competitors' network is Wardround's `small_cnn`: equal names, shapes, count, logits and gradients."""

import sys

import torch

from simulators.network import starting_network
from wardround.study.sections.network import NetworkSection
from wardround.training.inputs import InputShape
from wardround.training.networks import build


def main(width: int) -> None:
    ours = starting_network(width, seed=1)
    inputs = InputShape(kind="image", channels=1, height=64, width=64)
    theirs = build(NetworkSection(name="small_cnn", width=width), inputs)
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(4, 1, 64, 64)
    ours_out, theirs_out = ours(images), theirs(images)
    if not torch.equal(ours_out, theirs_out):
        raise SystemExit(f"the networks differ: logits by up to {float((ours_out - theirs_out).abs().max())}")
    mine = torch.autograd.grad(ours_out.sum(), tuple(ours.parameters()))
    yours = torch.autograd.grad(theirs_out.sum(), tuple(theirs.parameters()))
    if not all(torch.allclose(a, b, atol=1e-6) for a, b in zip(mine, yours, strict=True)):
        raise SystemExit("the networks differ: their gradients are not equal")
    print(sum(parameter.numel() for parameter in ours.parameters()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
