"""The training cost that a discovered proxy saves, from the table or as a lower bound.

A proxy ranks networks without training them. But its search used the accuracies of its train and
validation networks, which somebody had to train. Both costs are reported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from greenmachine.benchmarks.base import Benchmark

__all__ = ["training_cost", "training_hours"]

_EPOCHS = {"nats-tss": 200, "nats-sss": 90}  # Dong et al., TPAMI 2021
_IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "imagenet16-120": 151_700}  # the same
_PEAK = 15.7e12  # FLOP/s in single precision of an NVIDIA V100 SXM2, its data sheet


def training_cost(
    benchmark: Benchmark, dataset: str, used: NDArray[np.int64]
) -> dict[str, Any] | None:
    """Return the hours of training each network of a benchmark once; isomorphic ones count once.

    Args:
        benchmark: the whole space.
        dataset: data set on which the networks are trained.
        used: indices of the networks whose accuracies a search used.

    Returns:
        ``used`` and ``others``, each ``{"networks": ..., "hours": ...}``, and ``basis``, which
        describes the hours; None if neither the table nor this project knows how long training
        takes.
    """
    if "@" in benchmark.truth:  # the hours are those of a complete training
        return None
    known = training_hours(benchmark, dataset)
    if known is None:
        return None
    hours, basis = known
    groups, first = np.unique(benchmark.groups, return_index=True)
    read = np.isin(groups, benchmark.groups[used])
    return {
        name: {"networks": int(part.sum()), "hours": round(float(hours[first[part]].sum()), 4)}
        for name, part in (("used", read), ("others", ~read))
    } | {"basis": basis}


def training_hours(benchmark: Benchmark, dataset: str) -> tuple[NDArray[np.float64], str] | None:
    """Return the hours of training each network once, (n,), and a description of them.

    They are measured times if the table has ``<dataset>.seconds`` or ``.train_seconds`` (of one
    seed). Otherwise, for NATS-Bench, they are a lower bound: 3 (a forward pass, and a backward pass
    of twice its cost) × 2 FLOPs per multiply-accumulate × images × epochs, at the peak of a V100,
    which training never reaches. Batch norm and evaluation are not counted.
    """
    for column in (f"{dataset}.seconds", f"{dataset}.train_seconds"):
        if column in benchmark.frame:
            seconds = pd.to_numeric(benchmark.frame[column], errors="coerce").to_numpy(np.float64)
            if np.isfinite(seconds).all():
                return seconds / 3600, "by the clock, from the table"
    if benchmark.name not in _EPOCHS:
        return None
    macs = 1e6 * benchmark.baseline_scores(dataset)["flops"]
    flops = 3 * 2 * macs * _IMAGES[dataset] * _EPOCHS[benchmark.name]
    return flops / _PEAK / 3600, "a lower bound, for a V100 at its peak of 15.7 TFLOP/s (float32)"
