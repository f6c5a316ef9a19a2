"""Entropy of feature maps, computed from the topology alone: a reconstruction of SED.

It follows "suppression of local entropy decrease", arXiv 2411.06236. The paper's formula is not
known to this project; ``docs/results/sed.md`` derives this one. A local operation that averages
``n`` values lowers the entropy of a Gaussian by ½·log n. Average pooling does so. A convolution
mixes its n = k²·C values with random weights, and the batch normalisation after it restores the
variance, so it suppresses that decrease. The score is the decrease that connected operations
suppress minus the decrease that they cause, in nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from greenmachine.networks import OPERATIONS, parse_size, parse_topology
from greenmachine.networks.blocks import EDGES
from greenmachine.networks.size import SIZE_CELL

__all__ = ["CHANGES", "ON_PATH", "PATHS", "live_paths", "size_entropy", "topology_entropy"]

PATHS: tuple[tuple[int, ...], ...] = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""The paths through a cell from its input to its output, as indices of edges."""

ON_PATH = np.array([[edge in path for edge in range(len(EDGES))] for path in PATHS])
"""(4, 6) booleans: whether each path contains each edge."""

_WIDTHS = np.array([16.0, 32.0, 64.0])  # of the three stages of NATS-Bench
_DIGITS = 9  # so that sums that differ only in the order of their terms are equal


def _suppressed(kernel: int, channels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ½·log(k²·C), the entropy lost by averaging k²·C values, in nats."""
    return log(kernel) + np.log(channels) / 2


CHANGES: dict[str, float] = {
    "none": 0.0,
    "skip_connect": 0.0,
    "nor_conv_1x1": float(_suppressed(1, _WIDTHS).mean()),
    "nor_conv_3x3": float(_suppressed(3, _WIDTHS).mean()),
    "avg_pool_3x3": -log(3),
}
"""The contribution of a connected operation of the topology space to the score, in nats."""


def live_paths(archs: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the operations of cells and their connected paths.

    Returns:
        (cells, 6): for each edge the index of its operation in ``OPERATIONS``; (cells, 4): whether
        each of ``PATHS`` is connected, that is, has no operation ``none``.

    Raises:
        DataError: one of ``archs`` is not a cell.
    """
    number = {name: place for place, name in enumerate(OPERATIONS)}
    rows = [[number[op] for op in parse_topology(arch)] for arch in archs]
    ops = np.array(rows, dtype=np.intp).reshape(-1, len(EDGES))
    flows = ops != number["none"]
    return ops, np.stack([flows[:, path].all(axis=1) for path in PATHS], axis=1)


def topology_entropy(archs: Sequence[str]) -> NDArray[np.float64]:
    """Return SED of cells of the topology space, (len(archs),), in nats.

    A cell without a path from input to output scores minus infinity.

    Raises:
        DataError: one of ``archs`` is not a cell.
    """
    ops, paths = live_paths(archs)
    live = paths @ ON_PATH  # a product of booleans: whether any connected path has the edge
    changes = np.array([CHANGES[name] for name in OPERATIONS])
    total = (changes[ops] * live).sum(axis=1).round(_DIGITS)
    return np.where(paths.any(axis=1), total, -np.inf)


def size_entropy(archs: Sequence[str]) -> NDArray[np.float64]:
    """Return SED of networks of the size space, (len(archs),), in nats.

    Every convolution that batch normalisation follows counts; the topology is the same for all.

    Raises:
        DataError: one of ``archs`` is not five widths.
    """
    widths = np.array([parse_size(arch) for arch in archs], dtype=np.float64).reshape(-1, 5)
    first, second, third, fourth, fifth = widths.T
    total = _suppressed(3, np.full(len(widths), 3.0))  # the stem
    total += _size_cell(first, first)
    for inputs, middle, outputs in ((first, second, third), (third, fourth, fifth)):
        total += _suppressed(3, inputs) + _suppressed(3, middle)  # the residual block
        total += _size_cell(middle, outputs)
    return total.round(_DIGITS)


def _size_cell(inputs: NDArray[np.float64], outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros_like(inputs)
    for (source, _), op in zip(EDGES, SIZE_CELL, strict=True):
        origin = outputs if source else inputs
        if op == "nor_conv_3x3":
            total += _suppressed(3, origin)
        else:  # a skip that changes the width is a 1×1 convolution
            total += np.where(origin == outputs, 0.0, _suppressed(1, origin))
    return total
