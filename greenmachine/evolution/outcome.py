"""What a run's champion is worth, beside the scores that any proxy has to beat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from greenmachine.benchmarks import Benchmark
from greenmachine.fitness import directed_tau, tau_row

__all__ = ["Rows", "compare"]

Rows: TypeAlias = dict[str, dict[str, float | None]]
"""``champion`` and each trivial score, with tau, its standard error, networks and failures."""


def compare(
    benchmark: Benchmark,
    dataset: str,
    samples: Mapping[str, NDArray[np.int64]],
    scores: Mapping[str, NDArray[np.float64]],
    direction: int,
) -> dict[str, Rows]:
    """Return the rows of the champion and of the trivial scores on every sample.

    Args:
        benchmark: that the networks belong to.
        dataset: whose accuracies count.
        samples: indices by sample; ``train`` is one of them.
        scores: of the champion, (networks of the sample,), by sample.
        direction: of the champion.

    Returns:
        Rows by sample. A trivial score stands in the direction that is better on ``train``.
    """
    accuracy = benchmark.accuracy(dataset)
    trivial = {
        sample: benchmark.trivial_scores(dataset, indices) for sample, indices in samples.items()
    }
    signs = {}
    for name, values in trivial["train"].items():
        tau = directed_tau(values[None], accuracy[samples["train"]], 1)[0]
        signs[name] = -1 if tau < 0 else 1
    return {
        sample: {
            "champion": _row(scores[sample], accuracy[indices], direction),
            **{
                name: _row(values, accuracy[indices], signs[name])
                for name, values in trivial[sample].items()
            },
        }
        for sample, indices in samples.items()
    }


def _row(
    scores: NDArray[np.float64], accuracy: NDArray[np.float64], direction: int
) -> dict[str, float | None]:
    """Return a rounded row; JSON has no NaN, so what is undefined becomes null."""
    row = tau_row(scores, accuracy, direction)
    return {k: round(v, 6) if math.isfinite(v) else None for k, v in row.items()}
