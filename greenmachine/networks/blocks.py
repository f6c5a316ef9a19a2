"""The blocks of which the networks of the benchmarks consist.

All of them keep PyTorch's default initialisation. No ReLU works in place, so hooks may keep the
tensors that they receive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

__all__ = [
    "EDGES",
    "Cell",
    "Head",
    "ResidualBlock",
    "conv_bn",
    "conv_bn_relu",
    "redrawn",
    "relu_conv_bn",
    "stem",
]

EDGES: tuple[tuple[int, int], ...] = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) of the six edges of a cell, in the order of the architecture string."""


def relu_conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return ReLU, convolution without bias (odd kernel, padded to keep the size), batch norm."""
    return nn.Sequential(
        nn.ReLU(inplace=False),
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


def conv_bn(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1
) -> nn.Sequential:
    """Return convolution without bias (odd kernel, padded to keep the size), batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


def conv_bn_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1
) -> nn.Sequential:
    """Return the layers of :func:`conv_bn`, followed by a ReLU."""
    block = conv_bn(inputs, outputs, kernel, stride, groups=groups)
    return block.append(nn.ReLU(inplace=False))


def _edge(op: str, inputs: int, outputs: int) -> nn.Module | None:
    """Return the module of one edge, or None for the operation ``none``."""
    match op:
        case "none":
            return None
        case "skip_connect" if inputs == outputs:
            return nn.Identity()
        case "skip_connect":
            return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        case "nor_conv_1x1":
            return relu_conv_bn(inputs, outputs, 1)
        case "nor_conv_3x3":
            return relu_conv_bn(inputs, outputs, 3)
        case "avg_pool_3x3" if inputs == outputs:
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    raise ValueError(f"no edge {op!r} from {inputs} to {outputs} channels")


class Cell(nn.Module):
    """Four nodes in a complete directed acyclic graph; a node is the sum of its incoming edges.

    Edges that leave node 0 map ``inputs`` to ``outputs`` channels, the others keep ``outputs``. A
    convolution whose source is empty still runs, on zeros, and so does one whose result is not
    used: both are layers of the network and count in its parameters.
    """

    def __init__(self, ops: Sequence[str], inputs: int, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.edges = nn.ModuleDict()
        for (source, target), op in zip(EDGES, ops, strict=True):
            module = _edge(op, outputs if source else inputs, outputs)
            if module is not None:
                self.edges[f"{source}_{target}"] = module

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        nodes: list[Tensor | None] = [x, None, None, None]
        for name, edge in self.edges.items():
            source, target = int(name[0]), int(name[2])
            value = nodes[source]
            if value is None:
                if not isinstance(edge, nn.Sequential):
                    continue  # a skip or a pool of nothing is nothing
                value = self._zeros(x)
            value, previous = edge(value), nodes[target]
            nodes[target] = value if previous is None else previous + value
        last = nodes[-1]
        return self._zeros(x) if last is None else last

    def _zeros(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], self.outputs, *x.shape[2:])


class ResidualBlock(nn.Module):
    """Two ReLU-convolution-batch-norm blocks that halve the map, beside a pooled shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            relu_conv_bn(inputs, outputs, 3, stride=2), relu_conv_bn(outputs, outputs, 3)
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, stride=2), nn.Conv2d(inputs, outputs, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H/2, W/2); H and W are even."""
        result: Tensor = self.body(x) + self.shortcut(x)
        return result


class Head(nn.Sequential):
    """Batch norm, ReLU, global average pool, linear: (B, C, H, W) to logits (B, classes)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=False),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, num_classes),
        )


def stem(channels: int) -> nn.Sequential:
    """Return the first layer: 3×3 convolution of an RGB image without bias, batch norm."""
    return conv_bn(3, channels, 3)


def redrawn(block: nn.Module) -> nn.Module:
    """Return another block with the layers of ``block``, initialised as if it were constructed.

    It draws the same random numbers in the same order as a construction, which takes twice as long.

    Args:
        block: modules whose parameters and buffers are those that their ``reset_parameters`` sets.
    """
    copy = type(block).__new__(type(block))
    for name, held in vars(block).items():
        vars(copy)[name] = held.copy() if isinstance(held, dict | list | set) else held
    for name, child in block._modules.items():
        copy._modules[name] = None if child is None else redrawn(child)
    for name, old in block._parameters.items():
        copy._parameters[name] = None if old is None else nn.Parameter(torch.empty_like(old))
    for name, buffer in block._buffers.items():
        copy._buffers[name] = None if buffer is None else torch.empty_like(buffer)
    if block._parameters:
        cast(Any, copy).reset_parameters()
    return copy
