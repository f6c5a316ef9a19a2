"""The standard error of Kendall's tau-b over samples of networks.

It is the delete-one jackknife. Tau-b without each network in turn follows from the number of pairs
that this network makes concordant, so all n values take O(n log² n) time. A bootstrap is not used:
drawing with replacement ties a network with its own copies, which biases tau-b. See J. N. Arvesen,
"Jackknifing U-statistics", Annals of Mathematical Statistics 40 (1969).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["tau_difference_error", "tau_standard_error"]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def tau_standard_error(scores: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the jackknife standard error of tau-b, for networks drawn independently.

    The networks of a stratified sample are not independent, so there it is an approximation. For a
    whole space it is the standard error over spaces like it, not over samples of this space.

    Args:
        scores: (n,) scores for which high is good (``direction * scores``); scores that are not
            finite rank below all others, tied.
        truth: (n,) true accuracies, finite.

    Returns:
        The standard error, in units of tau; NaN for fewer than three networks, or if all others are
        tied without one of them.

    Raises:
        ValueError: if the arguments are not two vectors of one length, or ``truth`` is not finite.
    """
    left = _left_out(scores, truth)
    return float(np.sqrt((len(left) - 1) * np.var(left)))


def tau_difference_error(
    first: npt.ArrayLike, second: npt.ArrayLike, truth: npt.ArrayLike
) -> float:
    """Return the standard error of tau-b of ``first`` minus tau-b of ``second``.

    Both are measured on the same networks, so errors that they share cancel. If the two scores
    agree, the result is smaller than the root of the sum of their squared standard errors.

    Args:
        first: (n,) scores, as in :func:`tau_standard_error`.
        second: (n,) scores of the same networks.
        truth: (n,) true accuracies, finite.

    Returns:
        The jackknife standard error; NaN as in :func:`tau_standard_error`.

    Raises:
        ValueError: as in :func:`tau_standard_error`.
    """
    left = _left_out(first, truth) - _left_out(second, truth)
    return float(np.sqrt((len(left) - 1) * np.var(left)))


def _left_out(scores: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """Return tau-b without each network in turn, (n,), or NaN as in ``tau_standard_error``."""
    x = np.asarray(scores, dtype=np.float64)
    y = np.asarray(truth, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not np.isfinite(y).all():
        raise ValueError("scores and truth must be two vectors of one length, truth finite")
    n = len(x)
    if n < 3:
        return np.full(n, np.nan)
    x = np.where(np.isfinite(x), x, -np.inf)
    # Per network: its concordant minus discordant pairs, and its pairs not tied in x and in y.
    concordant = _dominated(x, y) + _dominated(-x, -y)
    net = concordant - _dominated(-x, y) - _dominated(x, -y)
    untied_x, untied_y = _untied(x), _untied(y)
    # A pair is counted for both of its networks, so the total is half the sum.
    left_net, left_x, left_y = (v.sum() // 2 - v for v in (net, untied_x, untied_y))
    if left_x.min() == 0 or left_y.min() == 0:
        return np.full(n, np.nan)
    tau: Floats = left_net / np.sqrt(left_x.astype(np.float64)) / np.sqrt(left_y.astype(np.float64))
    return tau


def _untied(values: Floats) -> Counts:
    """For each value, the number of others that differ from it."""
    ordered = np.sort(values)
    equal = np.searchsorted(ordered, values, "right") - np.searchsorted(ordered, values, "left")
    return np.asarray(len(values) - equal, dtype=np.int64)


def _dominated(x: Floats, y: Floats) -> Counts:
    """For each i, the number of j with x[j] < x[i] and y[j] < y[i].

    Sorted by x, ties by falling y, it is the number of earlier, smaller y. A bottom-up merge
    counts them: at width w each second run of w elements is ranked in the run before it. Adding
    ``run * n`` to the ranks keeps the runs apart, so one search serves all runs of a width.
    """
    n = len(x)
    order = np.lexsort((-y, x))
    rank = np.unique(y, return_inverse=True)[1].astype(np.int64)[order]
    position = np.arange(n)
    earlier = np.zeros(n, dtype=np.int64)
    width = 1
    while width < n:
        run, half = np.divmod(position // width, 2)
        key = run * n + rank
        second = half == 1
        found = np.searchsorted(np.sort(key[~second]), key[second])
        earlier[second] += found - run[second] * width
        width *= 2
    result = np.empty(n, dtype=np.int64)
    result[order] = earlier
    return result
