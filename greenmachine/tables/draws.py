"""Repeated small samples of scored networks, to see how a value depends on the sample.

Papers on zero-cost proxies report Kendall's tau on about a hundred networks, random or stratified
by accuracy, and mostly without a standard deviation. Many draws give mean and standard deviation.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["BINS", "DRAWS", "SIZE", "accuracy_bins", "random_draws", "stratified_draws"]

Indices = npt.NDArray[np.int64]

DRAWS = 100
"""Number of samples; with 30 the relative error of the standard deviation would be an eighth."""

SIZE = 100
"""Number of networks in a sample."""

BINS = 10
"""Number of bins of equal width in accuracy."""


def random_draws(networks: int, size: int = SIZE, draws: int = DRAWS) -> Iterator[Indices]:
    """Yield (size,) indices of distinct networks; every call yields the same draws."""
    rng = np.random.default_rng(0)
    for _ in range(draws):
        yield rng.choice(networks, size, replace=False)


def accuracy_bins(accuracy: npt.ArrayLike, space: npt.ArrayLike) -> list[Indices]:
    """Return for each of ``BINS`` bins the indices in ``accuracy`` that fall into it.

    Args:
        accuracy: (n,) accuracies of the networks to draw from.
        space: (N,) accuracies of the whole space. The bins range from their least to their greatest
            value, so they do not depend on which networks are scored.
    """
    reach = np.asarray(space, dtype=np.float64)
    edges = np.linspace(reach.min(), reach.max(), BINS + 1)
    place = np.searchsorted(edges[1:-1], np.asarray(accuracy), side="right")
    return [np.flatnonzero(place == number) for number in range(BINS)]


def stratified_draws(
    bins: list[Indices], size: int = SIZE, draws: int = DRAWS
) -> Iterator[Indices]:
    """Yield about ``size`` indices of networks, equally many from every bin.

    A bin with fewer networks contributes all it has, and the draw is then smaller. (A draw of full
    size, as in ``fitness.stratified_sample``, would only add good networks.)
    """
    rng = np.random.default_rng(0)
    share = size // len(bins)
    for _ in range(draws):
        chosen = [rng.choice(held, min(share, len(held)), replace=False) for held in bins]
        yield np.concatenate(chosen)
