"""Alternatives to the reconstruction of SED, for comparison (docs/results/sed.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from greenmachine.networks import OPERATIONS
from greenmachine.networks.blocks import EDGES
from greenmachine.proxies.zoo.entropy import (
    CHANGES,
    ON_PATH,
    PATHS,
    live_paths,
    topology_entropy,
)

__all__ = ["live_edges", "topology_scores"]

Scores = NDArray[np.float64]
_POOL, _CONV1, _CONV3 = (
    OPERATIONS.index(op) for op in ("avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
)


def live_edges(archs: list[str]) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return operations (n, 6), which of them are connected (n, 6), and which paths are (n, 4)."""
    ops, paths = live_paths(archs)
    return ops, paths @ ON_PATH, paths


def _counted(archs: list[str], values: dict[int, float]) -> Scores:
    """Return the sum of ``values`` over connected edges; minus infinity without a path."""
    ops, live, paths = live_edges(archs)
    total = sum(value * (live & (ops == op)).sum(axis=1) for op, value in values.items())
    return np.where(paths.any(axis=1), total, -np.inf)


def _path_sums(archs: list[str]) -> tuple[Scores, NDArray[np.bool_]]:
    """Return the sum of the changes along each path (n, 4), and which paths are connected."""
    ops, paths = live_paths(archs)
    changes = np.array([CHANGES[name] for name in OPERATIONS])[ops]
    return np.stack([changes[:, path].sum(axis=1) for path in PATHS], axis=1), paths


def _over_paths(archs: list[str]) -> dict[str, Scores]:
    """Return the three alternatives that combine paths."""
    sums, paths = _path_sums(archs)
    number = paths.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.where(number > 0, (sums * paths).sum(axis=1), -np.inf)
        mean = np.where(number > 0, total / number, -np.inf)
        power = np.log((np.exp(2 * sums) * paths).sum(axis=1)) / 2
    return {"paths_sum": total.round(9), "paths_mean": mean.round(9), "power": power.round(9)}


def _output_entropy(archs: list[str]) -> Scores:
    """Return ½·log of the variance of the output, where a convolution sets the variance to 1."""
    ops, _ = live_paths(archs)
    variance = np.zeros((len(archs), 4))
    variance[:, 0] = 1
    for edge, (source, target) in enumerate(EDGES):
        given, op = variance[:, source], ops[:, edge]
        convolved = ((op == _CONV1) | (op == _CONV3)) & (given > 0)
        made = np.where(convolved, 1.0, np.where(op == _POOL, given / 9, given))
        variance[:, target] += np.where(op == OPERATIONS.index("none"), 0.0, made)
    with np.errstate(divide="ignore"):
        return (np.log(variance[:, 3]) / 2).round(9)


def topology_scores(archs: list[str]) -> dict[str, Scores]:
    """Return by name the scores of cells, (len(archs),): SED, alternatives, an additive count.

    Minus infinity, the lowest score, is that of a cell without a path.
    """
    return {
        "sed": topology_entropy(archs),
        "spatial": _counted(archs, {_CONV3: np.log(3), _POOL: -np.log(3)}),
        **_over_paths(archs),
        "output": _output_entropy(archs),
        "(additive_count)": _counted(archs, {_CONV3: 2, _CONV1: 1, _POOL: -1}),
    }
