"""The network that is trained: 242,250 parameters, four 3x3 convolutions with group normalisation, ReLU and maximum pooling."""

from torch import nn


def small_network(channels: tuple[int, ...] = (32, 64, 128, 128), classes: int = 10) -> nn.Sequential:
    """Images (n, 1, side, side) -> logits (n, 10); half the side after the second and again after the third convolution."""
    layers: list[nn.Module] = []
    before = 1
    for number, after in enumerate(channels):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(8, after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if number in (1, 2) else []
        before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


def wardround_cnn(side: int) -> nn.Module:
    """Wardround's own small_cnn at its default size, 10 classes' worth of targets read as positive or not."""
    from wardround.study.sections.network import NetworkSection
    from wardround.training.inputs import InputShape
    from wardround.training.model_tree import initial_tree, load_tree
    from wardround.training.networks import build

    network, inputs = NetworkSection(name="small_cnn"), InputShape("image", 1, side, side)
    module = build(network, inputs)
    load_tree(module, initial_tree(network, inputs, 0))
    return module
