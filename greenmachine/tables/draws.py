"""Repeated small samples of scored networks: how far a figure moves with the networks.

Zero-cost proxies are published with Kendall's tau on about a hundred networks, random ones or ones
that are stratified by accuracy, and mostly without a spread. Many draws give mean and spread.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["BINS", "DRAWS", "SIZE", "accuracy_bins", "random_draws", "stratified_draws"]

Indices = npt.NDArray[np.int64]

DRAWS = 100
"""Samples a figure: thirty would leave its standard deviation known to an eighth."""

SIZE = 100
"""Networks a sample."""

BINS = 10
"""Of equal width in accuracy."""


def random_draws(networks: int, size: int = SIZE, draws: int = DRAWS) -> Iterator[Indices]:
    """Yield (size,) places of networks, each once in a draw; the same draws at every call."""
    rng = np.random.default_rng(0)
    for _ in range(draws):
        yield rng.choice(networks, size, replace=False)


def accuracy_bins(accuracy: npt.ArrayLike, space: npt.ArrayLike) -> list[Indices]:
    """Return for each of ``BINS`` bins the places in ``accuracy`` that fall into it.

    Args:
        accuracy: (n,) of the networks to draw from.
        space: (N,) of the whole space, from whose least to greatest value the bins reach: so they
            do not move with the networks that happen to be scored.
    """
    reach = np.asarray(space, dtype=np.float64)
    edges = np.linspace(reach.min(), reach.max(), BINS + 1)
    place = np.searchsorted(edges[1:-1], np.asarray(accuracy), side="right")
    return [np.flatnonzero(place == number) for number in range(BINS)]


def stratified_draws(
    bins: list[Indices], size: int = SIZE, draws: int = DRAWS
) -> Iterator[Indices]:
    """Yield about ``size`` places of networks, equally many from every bin.

    A bin with fewer gives all it has, and no other bin makes up for it: the draw is smaller. (What
    ``fitness.stratified_sample`` does, a draw of full size, would add to the good networks alone.)
    """
    rng = np.random.default_rng(0)
    share = size // len(bins)
    for _ in range(draws):
        chosen = [rng.choice(held, min(share, len(held)), replace=False) for held in bins]
        yield np.concatenate(chosen)
