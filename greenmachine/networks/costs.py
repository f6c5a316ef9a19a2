"""Parameters and multiply-accumulates of networks, without building or running them.

The convention is that of NATS-Bench's own tables, found by comparing all their rows:
parameters are all trainable ones (batch norm and the bias of the linear layer included);
``flops_m`` is millions of multiply-accumulates for one image of the convolutions and of the
linear layer, whose bias counts as one more input; batch norm, ReLU and pooling are free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from greenmachine.networks.blocks import EDGES
from greenmachine.networks.layers import CONVOLUTIONS, TRANSPOSED, WEIGHTED
from greenmachine.networks.size import SIZE_CELL, parse_size
from greenmachine.networks.topology import parse_topology
from greenmachine.networks.untouched import float_like, untouched

__all__ = ["module_costs", "size_costs", "topology_costs"]

Counts: TypeAlias = NDArray[np.int64]


class _Tally:
    """Running sums of parameters and multiply-accumulates, one entry an architecture."""

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
        """Add ``times`` convolutions onto ``size``×``size`` maps, with batch norm or without."""
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
        self.params += 2 * channels + (channels + 1) * num_classes
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


def module_costs(model: nn.Module, input_shape: Sequence[int]) -> tuple[int, float]:
    """Return (trainable parameters, flops_m) counted on a real module.

    One image of zeros of ``input_shape``, of any rank, runs through ``model`` in evaluation mode
    without gradients; it is left as it was found. A layer counts whenever it
    fires, for all that it then computes: tokens, or windows that stand in its first dimension.
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
