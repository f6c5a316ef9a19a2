"""Measures of a ranking beside Kendall's tau, of many score vectors at a time.

Each takes (rows, n) scores, of which high is good and minus infinity is a failed network, and (n,)
true accuracies. A row has the same value alone and among others, bit for bit.
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
_LARGEST_PAIRWISE = 500  # measured: SciPy's weighted tau wins above this many networks


def tied(scores: Floats) -> npt.NDArray[np.bool_]:
    """Return (rows,) whether all scores of a row are equal."""
    return np.asarray((scores == scores[:, :1]).all(axis=1))


def best_share(accuracy: Floats, share: float) -> npt.NDArray[np.bool_]:
    """Return (n,) where the accuracy is among the best, ties included.

    Args:
        accuracy: (n,).
        share: of the networks, above 0 and at most 1; their number is rounded up.
    """
    size = places(len(accuracy), share)
    return np.asarray(accuracy >= np.sort(accuracy)[-size])


def places(networks: int, share: float) -> int:
    """Return how many networks a share of them is, rounded up."""
    return max(1, math.ceil(networks * share - 1e-9))  # 0.1 of 70 is 7, not 8


def spearman(scores: Floats, truth: Floats) -> Floats:
    """Return Spearman's rho of each row with the truth, NaN where either is constant.

    It is Pearson's correlation of the ranks, of which tied ones are averaged, as in
    ``scipy.stats.spearmanr``.
    """
    from scipy.stats import rankdata  # takes half a second, and help must not wait for it

    rank, true = np.ascontiguousarray(rankdata(scores, axis=1)), rankdata(truth)
    middle = (len(truth) + 1) / 2
    rank, true = rank - middle, true - middle
    with np.errstate(invalid="ignore", divide="ignore"):
        length = np.sqrt((rank * rank).sum(axis=1)) * np.sqrt((true * true).sum())
        return np.asarray((rank * true).sum(axis=1) / length)


def weighted_tau(scores: Floats, truth: Floats) -> Floats:
    """Return the weighted tau of each row with the truth, NaN where either is constant.

    S. Vigna, "A weighted correlation index for rankings with ties", WWW 2015, as in
    ``scipy.stats.weightedtau``: a pair of networks weighs 1/(r + 1) + 1/(s + 1), where r and s are
    their places from the best, 0 first. Places are once by score, once by accuracy, each with the
    other to break ties, and the mean of the two counts.
    """
    scores = np.ascontiguousarray(scores)  # else a row is summed otherwise among others
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
        # Of a network: pairs in agreement minus pairs in disagreement, and pairs not tied.
        net = np.einsum("bij,ij->bi", sign, true_sign, order="C")
        untied = np.count_nonzero(sign, axis=2)
        halves = []
        broad = np.broadcast_to(truth, block.shape)
        for keys in ((-broad, -block), (-block, -broad)):  # the last key counts first
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
    """Return the normalised discounted cumulative gain of the networks that rank first.

    The network in place j gains (2^accuracy - 1) / log2(1 + j), and the sum over the ``first``
    places is divided by that of the best order, as in Tybl and Neumann, CVPR 2025 (with the
    accuracy in percent and 1,000 places their table is reproduced). Tied networks share the mean
    of their gains. It depends on how many networks there are: compare figures of one set alone.

    Args:
        scores: (rows, n).
        accuracy: (n,) true accuracies in percent.
        first: places that count; all of them where there are fewer networks.

    Returns:
        (rows,), from 0 to 1, which is the best order; NaN where all accuracies are 0.
    """
    rows, n = scores.shape
    # The common factor 2^100 cancels; without it float64 holds any percentage.
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
