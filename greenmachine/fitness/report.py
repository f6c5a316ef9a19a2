"""One proxy on one sample, as tables report it: tau, standard error, other measures, failures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from greenmachine.fitness.kendall import directed_tau
from greenmachine.fitness.measures import best_share, gain, spearman
from greenmachine.fitness.spread import tau_standard_error

__all__ = ["FIRST", "LEAST_BEST", "best_tenth", "ndcg", "rank_row", "tau_row"]

LEAST_BEST = 10
"""Least number of networks in a best tenth; tau of fewer is mostly chance."""

Floats = npt.NDArray[np.float64]

FIRST = 1000
"""Number of ranks that count in nDCG, as published."""


def tau_row(scores: Floats, accuracy: Floats, direction: int) -> dict[str, float]:
    """Return ``tau`` (tau-b in ``direction``), ``standard_error``, ``networks`` and ``failed``.

    Args:
        scores: (networks,); a score that is not finite means failed, and ranks below all others.
        accuracy: (networks,) true accuracies in percent.
        direction: 1 if a high score is good, -1 if a low score is good.

    Returns:
        tau and its standard error are NaN if all scores are tied.
    """
    return {
        "tau": float(directed_tau(scores[None], accuracy, direction)[0]),
        "standard_error": tau_standard_error(direction * scores, accuracy),
        "networks": len(scores),
        "failed": int((~np.isfinite(scores)).sum()),
    }


def rank_row(scores: Floats, accuracy: Floats, direction: int) -> dict[str, float]:
    """Return the values of :func:`tau_row`, with Spearman's rho, nDCG, and tau in the best tenth.

    Args:
        scores: (networks,); a score that is not finite means failed, and ranks below all others.
        accuracy: (networks,) true accuracies in percent.
        direction: 1 if a high score is good, -1 if a low score is good.

    Returns:
        After ``tau`` and ``standard_error`` come ``spearman``, ``ndcg``, ``tau_best`` and
        ``standard_error_best``: see :func:`ndcg` and :func:`best_tenth`. All except ``ndcg`` are
        NaN if all scores, or all accuracies, are tied; the last two also if the best tenth has
        fewer than ``LEAST_BEST`` networks.
    """
    row = tau_row(scores, accuracy, direction)
    best = best_tenth(accuracy)
    inside = {"tau": float("nan"), "standard_error": float("nan")}
    if best.sum() >= LEAST_BEST:
        inside = tau_row(scores[best], accuracy[best], direction)
    counts = {name: row.pop(name) for name in ("networks", "failed")}
    others = {
        "spearman": float(spearman(_directed(scores, direction), accuracy)[0]),
        "ndcg": ndcg(scores, accuracy, direction),
        "tau_best": inside["tau"],
        "standard_error_best": inside["standard_error"],
    }
    return row | others | counts


def ndcg(scores: Floats, accuracy: Floats, direction: int, first: int = FIRST) -> float:
    """Return the normalised discounted cumulative gain of the networks that rank first.

    See :func:`greenmachine.fitness.measures.gain` for the definition. Failed networks rank last.

    Args:
        scores: (networks,); a score that is not finite means failed, and ranks below all others.
        accuracy: (networks,) true accuracies in percent.
        direction: 1 if a high score is good, -1 if a low score is good.
        first: number of ranks that count; all of them if there are fewer networks.

    Returns:
        Between 0 and 1; 1 for the best order.
    """
    return float(gain(_directed(scores, direction), accuracy, first)[0])


def best_tenth(accuracy: Floats) -> npt.NDArray[np.bool_]:
    """Return whether each accuracy is among the best 10 %, rounded up, ties included."""
    return best_share(accuracy, 0.1)


def _directed(scores: Floats, direction: int) -> Floats:
    """Return (1, networks) scores where high is good and a failed network is minus infinity."""
    return np.where(np.isfinite(scores), direction * scores, -np.inf)[None]
