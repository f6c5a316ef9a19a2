"""Ranking measures other than Kendall's tau, for many score vectors at a time.

Each takes (rows, n) scores, where high is good and minus infinity is a failed network, and (n,)
true accuracies. The value of a row does not depend on the other rows, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["best_share", "gain", "places", "spearman", "tied", "weighted_tau"]

Floats = npt.NDArray[np.float64]
_CELLS = 1 << 21  # pairs of networks at a time: 16 MB
_LARGEST_PAIRWISE = 500  # measured: SciPy's weighted tau is faster above this many networks


def tied(scores: Floats) -> npt.NDArray[np.bool_]:
    """Return for each row whether all its scores are equal, (rows,)."""
    return np.asarray((scores == scores[:, :1]).all(axis=1))


def best_share(accuracy: Floats, share: float) -> npt.NDArray[np.bool_]:
    """Return for each network whether its accuracy is among the best, (n,), ties included.

    Args:
        accuracy: (n,).
        share: share of the networks, above 0 and at most 1; their number is rounded up.
    """
    size = places(len(accuracy), share)
    return np.asarray(accuracy >= np.sort(accuracy)[-size])


def places(networks: int, share: float) -> int:
    """Return the number of networks in a share of them, rounded up."""
    return max(1, math.ceil(networks * share - 1e-9))  # 0.1 of 70 is 7, not 8


def spearman(scores: Floats, truth: Floats) -> Floats:
    """Return Spearman's rho of each row with the truth; NaN if either is constant.

    It is Pearson's correlation of the ranks, where tied values share the mean of their ranks, as in
    ``scipy.stats.spearmanr``.
    """
    from scipy.stats import rankdata  # importing takes half a second, which --help must not need

    rank, true = np.ascontiguousarray(rankdata(scores, axis=1)), rankdata(truth)
    middle = (len(truth) + 1) / 2
    rank, true = rank - middle, true - middle
    with np.errstate(invalid="ignore", divide="ignore"):
        length = np.sqrt((rank * rank).sum(axis=1)) * np.sqrt((true * true).sum())
        return np.asarray((rank * true).sum(axis=1) / length)


def weighted_tau(scores: Floats, truth: Floats) -> Floats:
    """Return the weighted tau of each row with the truth; NaN if either is constant.

    S. Vigna, "A weighted correlation index for rankings with ties", WWW 2015, as in
    ``scipy.stats.weightedtau``. A pair of networks has the weight 1/(r + 1) + 1/(s + 1), where r
    and s are their ranks from the best, starting at 0. The result is the mean of two values: with
    ranks by score (ties broken by accuracy), and with ranks by accuracy (ties broken by score).
    """
    scores = np.ascontiguousarray(scores)  # else the order of a row's sum depends on other rows
    rows, n = scores.shape
    if n > _LARGEST_PAIRWISE:
        from scipy.stats import weightedtau

        return np.array([_of_scipy(weightedtau, row, truth) for row in scores], dtype=np.float64)
    true_sign = np.sign(truth[:, None] - truth)
    true_untied = np.count_nonzero(true_sign, axis=1)
    found = np.empty(rows)
    step = max(1, _CELLS // max(1, n * n))
    for start in range(0, rows, step):
        block = scores[start : start + step]
        greater = block[:, :, None] > block[:, None, :]  # a difference of infinities is NaN
        sign = greater.astype(np.int8) - greater.transpose(0, 2, 1)
        # For each network: concordant minus discordant pairs, and pairs that are not tied.
        net = np.einsum("bij,ij->bi", sign, true_sign, order="C")
        untied = np.count_nonzero(sign, axis=2)
        halves = []
        broad = np.broadcast_to(truth, block.shape)
        for keys in ((-broad, -block), (-block, -broad)):  # the last key is the primary one
            order = np.lexsort(keys, axis=1)
            weight = np.empty(block.shape)
            np.put_along_axis(weight, order, 1 / np.arange(1.0, n + 1)[None], axis=1)
            with np.errstate(invalid="ignore", divide="ignore"):
                length = np.sqrt((weight * untied).sum(axis=1))
                length *= np.sqrt((weight * true_untied).sum(axis=1))
                halves.append((weight * net).sum(axis=1) / length)
        found[start : start + step] = (halves[0] + halves[1]) / 2
    return np.clip(found, -1.0, 1.0)


def _of_scipy(weightedtau: Callable[..., Any], row: Floats, truth: Floats) -> float:
    constant = (row == row[0]).all() or (truth == truth[0]).all()
    return math.nan if constant else float(weightedtau(row, truth).statistic)


def gain(scores: Floats, accuracy: Floats, first: int) -> Floats:
    """Return the normalised discounted cumulative gain (nDCG) of the networks that rank first.

    The network at rank j has the gain (2^accuracy - 1) / log2(1 + j). The sum over the ``first``
    ranks is divided by that of the best order, as in Tybl and Neumann, CVPR 2025; with the accuracy
    in percent and 1,000 ranks, their table is reproduced. Tied networks share the mean of their
    gains. The value depends on the number of networks, so compare only values on the same set.

    Args:
        scores: (rows, n).
        accuracy: (n,) true accuracies in percent.
        first: number of ranks that count; all of them if there are fewer networks.

    Returns:
        (rows,), between 0 and 1, the best order; NaN if all accuracies are 0.
    """
    rows, n = scores.shape
    # Without the common factor 2^100, which cancels, float64 can represent any percentage.
    gains = np.exp2(accuracy - 100) - np.exp2(-100.0)
    discounts = 1 / np.log2(np.arange(2, n + 2))
    discounts[first:] = 0
    best = float((np.sort(gains)[::-1] * discounts).sum())
    if rows == 0 or best <= 0:
        return np.full(rows, np.nan)
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1)
    new = np.ones(scores.shape, dtype=np.int64)  # where a group of tied networks begins
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = np.cumsum(new.ravel()) - 1
    shared = np.bincount(group, gains[order].ravel()) / np.bincount(group)
    return np.asarray((shared[group].reshape(rows, n) * discounts).sum(axis=1) / best)
