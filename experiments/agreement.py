"""How well accuracies from some seeds rank networks like those from other seeds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from greenmachine.fitness import directed_tau

__all__ = ["agreement"]


def agreement(accuracy: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return tau-b between the means of ``size`` seeds and of ``size`` others, one a pair of sets.

    Args:
        accuracy: (seeds, networks).
        size: at most half of the seeds.

    Returns:
        Every pair of disjoint sets once; those whose tau is not defined are left out.
    """
    taus = []
    for first in combinations(range(len(accuracy)), size):
        rest = [seed for seed in range(len(accuracy)) if seed not in first]
        for second in combinations(rest, size):
            if first < second:
                means = accuracy[list(first)].mean(0), accuracy[list(second)].mean(0)
                taus.append(directed_tau(means[0][None], means[1], 1)[0])
    found = np.array(taus)
    return found[np.isfinite(found)]
