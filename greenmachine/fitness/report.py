"""One proxy on one sample, as tables report it: tau, its spread, other measures, failures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from greenmachine.fitness.kendall import directed_tau
from greenmachine.fitness.spread import tau_standard_error

__all__ = ["FIRST", "LEAST_BEST", "best_tenth", "ndcg", "rank_row", "tau_row"]

LEAST_BEST = 10
"""Networks of a best tenth that are ranked: tau of fewer is mostly chance."""

Floats = npt.NDArray[np.float64]

FIRST = 1000
"""How many of the networks that rank first the gain is of, as published."""


def tau_row(scores: Floats, accuracy: Floats, direction: int) -> dict[str, float]:
    """Return ``tau`` (tau-b in ``direction``), ``standard_error``, ``networks`` and ``failed``.

    Args:
        scores: (networks,), not finite = failed, which ranks below all others.
        accuracy: (networks,) true accuracies in percent.
        direction: 1 where a high score is good, -1 where a low one is.

    Returns:
        tau and its standard error are NaN where all scores are tied.
    """
    return {
        "tau": float(directed_tau(scores[None], accuracy, direction)[0]),
        "standard_error": tau_standard_error(direction * scores, accuracy),
        "networks": len(scores),
        "failed": int((~np.isfinite(scores)).sum()),
    }


def rank_row(scores: Floats, accuracy: Floats, direction: int) -> dict[str, float]:
    """Return what :func:`tau_row` does, with Spearman's rho, nDCG, and tau in the best tenth.

    Args:
        scores: (networks,), not finite = failed, which ranks below all others.
        accuracy: (networks,) true accuracies in percent.
        direction: 1 where a high score is good, -1 where a low one is.

    Returns:
        After ``tau`` and ``standard_error`` come ``spearman``, ``ndcg``, ``tau_best`` and
        ``standard_error_best``: see :func:`ndcg` and :func:`best_tenth`. All but ``ndcg`` are NaN
        where all scores, or all accuracies, are tied; the last two also where the best tenth has
        fewer than ``LEAST_BEST`` networks.
    """
    row = tau_row(scores, accuracy, direction)
    best = best_tenth(accuracy)
    inside = {"tau": float("nan"), "standard_error": float("nan")}
    if best.sum() >= LEAST_BEST:
        inside = tau_row(scores[best], accuracy[best], direction)
    counts = {name: row.pop(name) for name in ("networks", "failed")}
    others = {
        "spearman": _spearman(scores, accuracy, direction),
        "ndcg": ndcg(scores, accuracy, direction),
        "tau_best": inside["tau"],
        "standard_error_best": inside["standard_error"],
    }
    return row | others | counts


def ndcg(scores: Floats, accuracy: Floats, direction: int, first: int = FIRST) -> float:
    """Return the normalised discounted cumulative gain of the networks that rank first.

    The network in place j gains (2^accuracy - 1) / log2(1 + j), and the sum over the ``first``
    places is divided by that of the best order, as in Tybl and Neumann, CVPR 2025 (with the
    accuracy in percent and 1,000 places their table is reproduced). Tied networks share the mean
    of their gains, failed ones come last. It depends on how many networks there are: compare
    figures of one set alone.

    Args:
        scores: (networks,), not finite = failed, which ranks below all others.
        accuracy: (networks,) true accuracies in percent.
        direction: 1 where a high score is good, -1 where a low one is.
        first: places that count; all of them where there are fewer networks.

    Returns:
        Between 0 and 1; 1 where the order is the best one.
    """
    # The common factor 2^100 cancels; without it float64 holds any percentage.
    gains = np.exp2(accuracy - 100) - np.exp2(-100.0)
    ranked = np.where(np.isfinite(scores), direction * scores, -np.inf)
    _, place = np.unique(-ranked, return_inverse=True)
    shared = np.bincount(place, gains) / np.bincount(place)
    discounts = 1 / np.log2(np.arange(2, len(gains) + 2))
    discounts[first:] = 0
    best = float(np.sort(gains)[::-1] @ discounts)
    return float(shared[np.sort(place)] @ discounts) / best if best > 0 else float("nan")


def best_tenth(accuracy: Floats) -> npt.NDArray[np.bool_]:
    """Return (networks,) where the accuracy is among the best 10 %, rounded up, ties included."""
    size = -(-len(accuracy) // 10)
    return np.asarray(accuracy >= np.sort(accuracy)[-size])


def _spearman(scores: Floats, accuracy: Floats, direction: int) -> float:
    ranked = np.where(np.isfinite(scores), direction * scores, -np.inf)
    if np.ptp(accuracy) == 0 or (ranked == ranked[0]).all():
        return float("nan")
    return float(stats.spearmanr(ranked, accuracy).statistic)
