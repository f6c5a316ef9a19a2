"""Parameters and multiply-accumulate operations of networks, without building or running them.

The convention is that of NATS-Bench's own tables, found by comparing all their rows. Parameters are
all trainable ones, including those of batch norms and the bias of the linear layer. ``flops_m`` is
the number of multiply-accumulates for one image, in millions, of the convolutions and the linear
layer, whose bias counts as one more input. Batch norm, ReLU and pooling are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from greenmachine.networks.blocks import EDGES
from greenmachine.networks.channel_resnet import channel_widths
from greenmachine.networks.layers import CONVOLUTIONS, TRANSPOSED, WEIGHTED
from greenmachine.networks.macro import BOTTLENECKS, HEAD_FACTOR, parse_macro
from greenmachine.networks.nas_bench_101 import CELLS_A_STACK, STACKS, cell_widths, parse_101
from greenmachine.networks.size import SIZE_CELL, parse_size
from greenmachine.networks.topology import parse_topology
from greenmachine.networks.untouched import float_like, untouched

__all__ = [
    "channel_resnet_costs",
    "costs_101",
    "macro_costs",
    "module_costs",
    "size_costs",
    "topology_costs",
]

Counts: TypeAlias = NDArray[np.int64]


class _Tally:
    """Running sums of parameters and multiply-accumulates, one entry per architecture."""

    def __init__(self, count: int) -> None:
        self.params: Counts = np.zeros(count, dtype=np.int64)
        self.macs: Counts = np.zeros(count, dtype=np.int64)

    def conv(
        self,
        inputs: int | Counts,
        outputs: int | Counts,
        kernel: int,
        size: int,
        *,
        times: int | Counts = 1,
        norm: bool = True,
    ) -> None:
        """Add ``times`` convolutions with ``size``×``size`` outputs, with or without batch norm.

        ``inputs`` is the number of input channels of one output: 1 for a depthwise convolution.
        """
        weights = inputs * outputs * kernel**2
        self.params += times * (weights + (2 * outputs if norm else 0))
        self.macs += times * weights * size**2

    def residual(self, inputs: int | Counts, outputs: int | Counts, size: int) -> None:
        """Add a residual block whose result has ``size``×``size`` maps."""
        self.conv(inputs, outputs, 3, size)
        self.conv(outputs, outputs, 3, size)
        self.conv(inputs, outputs, 1, size, norm=False)

    def head(self, channels: int | Counts, num_classes: int) -> None:
        """Add the last batch norm and the linear layer."""
        self.params += 2 * channels
        self.linear(channels, num_classes)

    def linear(self, channels: int | Counts, num_classes: int) -> None:
        """Add the linear layer, whose bias counts as one more input."""
        self.params += (channels + 1) * num_classes
        self.macs += (channels + 1) * num_classes

    def result(self) -> tuple[Counts, NDArray[np.float64]]:
        return self.params, self.macs / 1e6


def topology_costs(
    archs: Sequence[str],
    *,
    num_classes: int,
    image_size: int = 32,
    channels: int = 16,
    cells: int = 5,
) -> tuple[Counts, NDArray[np.float64]]:
    """Return (parameters, flops_m), each (len(archs),), of cells of the topology space.

    Raises:
        DataError: one of ``archs`` is not a cell.
    """
    ops = [parse_topology(arch) for arch in archs]
    threes: Counts = np.array([op.count("nor_conv_3x3") for op in ops], dtype=np.int64)
    ones: Counts = np.array([op.count("nor_conv_1x1") for op in ops], dtype=np.int64)
    tally = _Tally(len(ops))
    tally.conv(3, channels, 3, image_size)
    for stage in range(3):
        width, size = channels << stage, image_size >> stage
        if stage:
            tally.residual(width // 2, width, size)
        tally.conv(width, width, 3, size, times=cells * threes)
        tally.conv(width, width, 1, size, times=cells * ones)
    tally.head(channels << 2, num_classes)
    return tally.result()


def size_costs(
    archs: Sequence[str], *, num_classes: int, image_size: int = 32
) -> tuple[Counts, NDArray[np.float64]]:
    """Return (parameters, flops_m), each (len(archs),), of networks of the size space.

    Raises:
        DataError: one of ``archs`` is not five widths.
    """
    widths: Counts = np.array([parse_size(arch) for arch in archs], dtype=np.int64).reshape(-1, 5)
    first, second, third, fourth, fifth = widths.T
    tally = _Tally(len(widths))
    tally.conv(3, first, 3, image_size)
    _size_cell(tally, first, first, image_size)
    tally.residual(first, second, image_size // 2)
    _size_cell(tally, second, third, image_size // 2)
    tally.residual(third, fourth, image_size // 4)
    _size_cell(tally, fourth, fifth, image_size // 4)
    tally.head(fifth, num_classes)
    return tally.result()


def _size_cell(tally: _Tally, inputs: Counts, outputs: Counts, size: int) -> None:
    for (source, _), op in zip(EDGES, SIZE_CELL, strict=True):
        origin = outputs if source else inputs
        if op == "nor_conv_3x3":
            tally.conv(origin, outputs, 3, size)
        else:  # a skip costs nothing unless it has to change the width
            tally.conv(origin, outputs, 1, size, times=(origin != outputs).astype(np.int64))


def costs_101(
    archs: Sequence[str], *, num_classes: int, image_size: int = 32, width: int = 128
) -> tuple[Counts, NDArray[np.float64]]:
    """Return (parameters, flops_m), each (len(archs),), of cells of NAS-Bench-101.

    Raises:
        DataError: one of ``archs`` is not a cell.
        ConfigError: ``width`` is less than the number of vertices that share it.
    """
    found = [_cell_101(arch, num_classes, image_size, width).result() for arch in archs]
    params = np.array([params[0] for params, _ in found], dtype=np.int64)
    return params, np.array([flops[0] for _, flops in found], dtype=np.float64)


def _cell_101(arch: str, num_classes: int, image_size: int, width: int) -> _Tally:
    cell = parse_101(arch)
    tally = _Tally(1)
    tally.conv(3, width, 3, image_size)
    for stack in range(STACKS):
        outputs, size = width << stack, image_size >> stack
        inputs = outputs // 2 if stack else outputs
        # The first cell of a stack may double the width, those after it are alike.
        for start, times in ((inputs, 1), (outputs, CELLS_A_STACK - 1)):
            widths = cell_widths(cell, start, outputs)
            for target in cell.targets(0):
                tally.conv(start, widths[target], 1, size, times=times)
            for op, channels in zip(cell.ops, widths[1:-1], strict=True):
                if op != "m":
                    tally.conv(channels, channels, int(op), size, times=times)
    tally.linear(outputs, num_classes)
    return tally


def macro_costs(
    archs: Sequence[str], *, num_classes: int, image_size: int = 32, width: int = 32
) -> tuple[Counts, NDArray[np.float64]]:
    """Return (parameters, flops_m), each (len(archs),), of networks of NAS-Bench-Macro.

    Raises:
        DataError: one of ``archs`` is not eight digits 0, 1 or 2.
    """
    digits = np.array([list("".join(parse_macro(arch))) for arch in archs], dtype=str)
    columns = iter(digits.reshape(-1, 8).T)
    tally = _Tally(len(archs))
    tally.conv(3, width, 3, image_size)
    channels, size = width, image_size
    for stage in parse_macro("0" * 8):
        for place in range(len(stage)):
            digit = next(columns)
            outputs, end = (channels, size) if place else (2 * channels, size // 2)
            for name, (kernel, expansion) in BOTTLENECKS.items():
                times, hidden = (digit == name).astype(np.int64), channels * expansion
                tally.conv(channels, hidden, 1, size, times=times)
                tally.conv(1, hidden, kernel, end, times=times)
                tally.conv(hidden, outputs, 1, end, times=times)
            if not place:
                tally.conv(channels, outputs, 1, end, times=(digit == "0").astype(np.int64))
            channels, size = outputs, end
    tally.conv(channels, HEAD_FACTOR * width, 1, size)
    tally.linear(HEAD_FACTOR * width, num_classes)
    return tally.result()


def channel_resnet_costs(
    archs: Sequence[str], *, num_classes: int, image_size: int = 32, width: int = 256
) -> tuple[Counts, NDArray[np.float64]]:
    """Return (parameters, flops_m), each (len(archs),), of Channel-Bench-Macro's ResNets.

    Raises:
        DataError: one of ``archs`` is not seven digits 1 to 4.
        ConfigError: ``width`` is below 4.
    """
    rows = [channel_widths(arch, width) for arch in archs]
    w: list[Counts] = list(np.array(rows, dtype=np.int64).reshape(-1, 7).T)
    tally = _Tally(len(archs))
    size, half = image_size // 2, image_size // 4
    tally.conv(3, w[0], 3, size)
    blocks = ((0, 1, 0, size), (0, 2, 0, size), (0, 3, 4, half), (4, 5, 4, half), (4, 6, 4, half))
    for start, hidden, end, maps in blocks:
        tally.conv(w[start], w[hidden], 3, maps)
        tally.conv(w[hidden], w[end], 3, maps)
    tally.linear(w[4], num_classes)
    return tally.result()


def module_costs(model: nn.Module, input_shape: Sequence[int]) -> tuple[int, float]:
    """Return (trainable parameters, flops_m), counted on a module.

    One image of zeros of ``input_shape``, of any rank, is passed through ``model`` in evaluation
    mode without gradients; the model is left unchanged. A layer counts each time it runs, for all
    outputs that it computes, such as those of every token.
    """
    macs = 0

    def count(module: nn.Module, args: Any, output: Tensor) -> None:
        nonlocal macs
        if isinstance(module, TRANSPOSED):  # every input meets the weights of its channel
            macs += args[0].numel() * module.weight[0].numel()
        elif isinstance(module, CONVOLUTIONS):
            macs += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            bias = module.bias is not None
            macs += output.numel() * (module.in_features + bias)

    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    image = float_like(model).new_zeros(1, *input_shape)
    with untouched(model, 0), torch.no_grad():  # computed weights are plain here
        model.eval()
        handles = [
            module.register_forward_hook(count)
            for module in model.modules()
            if isinstance(module, WEIGHTED)
        ]
        try:
            model(image)
        finally:
            for handle in handles:
                handle.remove()
        params = sum(
            weight.numel() for name, weight in model.named_parameters() if name not in frozen
        )
    return params, macs / 1e6
