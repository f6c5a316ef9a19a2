"""The networks of NAS-Bench-Macro (Su et al., CVPR 2021).

An architecture consists of eight digits, one per layer of three stages with 2, 3 and 3 layers:
``0`` is an identity, ``1`` an inverted bottleneck with kernel 3 and expansion 3, ``2`` one with
kernel 5 and expansion 6. The first layer of a stage doubles the width and halves the map; as
identity it is a 1×1 convolution of stride 2. Any other identity is left out.
"""

from __future__ import annotations

from torch import Tensor, nn

from greenmachine.errors import DataError
from greenmachine.networks.blocks import conv_bn, conv_bn_relu

__all__ = [
    "BOTTLENECKS",
    "HEAD_FACTOR",
    "STAGES",
    "build_macro",
    "canonical_macro",
    "parse_macro",
]

STAGES: tuple[int, ...] = (2, 3, 3)

BOTTLENECKS: dict[str, tuple[int, int]] = {"1": (3, 3), "2": (5, 6)}
"""Kernel and expansion by digit."""

HEAD_FACTOR = 40
"""Channels of the last convolution divided by those of the stem: 1,280 / 32."""


def parse_macro(arch: str) -> tuple[str, str, str]:
    """Return the digits of the three stages.

    Raises:
        DataError: ``arch`` is not eight digits 0, 1 or 2.
    """
    if len(arch) != sum(STAGES) or set(arch) - {"0", *BOTTLENECKS}:
        raise DataError(f"network {arch!r} does not consist of {sum(STAGES)} digits 0, 1 or 2")
    return arch[:2], arch[2:5], arch[5:]


def canonical_macro(arch: str) -> str:
    """Return the architecture with the identities of each stage last: 3,969 of 6,561.

    Architectures with the same canonical form build the same network, bit for bit, because only the
    first identity of a stage is a layer.

    Raises:
        DataError: ``arch`` is not eight digits 0, 1 or 2.
    """
    stages = (
        stage[0] + stage[1:].replace("0", "").ljust(len(stage) - 1, "0")
        for stage in parse_macro(arch)
    )
    return "".join(stages)


class InvertedBottleneck(nn.Module):
    """1×1 convolution that expands, depthwise convolution, 1×1 convolution that reduces.

    Its input is added if shapes are equal. No ReLU follows the last convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.body = nn.Sequential(
            conv_bn_relu(inputs, hidden, 1),
            conv_bn_relu(hidden, hidden, kernel, stride, groups=hidden),
            conv_bn(hidden, outputs, 1),
        )
        self.shortcut = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H/stride, W/stride)."""
        result: Tensor = self.body(x)
        return result + x if self.shortcut else result


def build_macro(arch: str, *, num_classes: int = 10, width: int = 32) -> nn.Module:
    """Return the network of eight digits: images (B, 3, S, S) to logits (B, num_classes).

    The stem has ``width`` channels (32 in the benchmark), the stages have twice, four times and
    eight times as many, and the last convolution forty times. ``S`` is a multiple of 8. Weights are
    drawn from torch's global generator.

    Raises:
        DataError: ``arch`` is not eight digits 0, 1 or 2.
    """
    layers: list[nn.Module] = [conv_bn_relu(3, width, 3)]
    channels = width
    for stage in parse_macro(arch):
        for place, digit in enumerate(stage):
            outputs, stride = (channels, 1) if place else (2 * channels, 2)
            if digit in BOTTLENECKS:
                layers.append(InvertedBottleneck(channels, outputs, *BOTTLENECKS[digit], stride))
            elif not place:
                layers.append(conv_bn(channels, outputs, 1, stride))
            channels = outputs
    layers += [
        conv_bn_relu(channels, HEAD_FACTOR * width, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(HEAD_FACTOR * width, num_classes),
    ]
    return nn.Sequential(*layers)
