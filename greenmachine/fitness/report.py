"""One proxy on one sample, as tables report it: tau, its spread, other measures, failures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from greenmachine.fitness.kendall import directed_tau
from greenmachine.fitness.measures import best_share, gain, spearman
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
        "spearman": float(spearman(_directed(scores, direction), accuracy)[0]),
        "ndcg": ndcg(scores, accuracy, direction),
        "tau_best": inside["tau"],
        "standard_error_best": inside["standard_error"],
    }
    return row | others | counts


def ndcg(scores: Floats, accuracy: Floats, direction: int, first: int = FIRST) -> float:
    """Return the normalised discounted cumulative gain of the networks that rank first.

    Its definition is that of :func:`greenmachine.fitness.measures.gain`; failed networks come last.

    Args:
        scores: (networks,), not finite = failed, which ranks below all others.
        accuracy: (networks,) true accuracies in percent.
        direction: 1 where a high score is good, -1 where a low one is.
        first: places that count; all of them where there are fewer networks.

    Returns:
        Between 0 and 1; 1 where the order is the best one.
    """
    return float(gain(_directed(scores, direction), accuracy, first)[0])


def best_tenth(accuracy: Floats) -> npt.NDArray[np.bool_]:
    """Return (networks,) where the accuracy is among the best 10 %, rounded up, ties included."""
    return best_share(accuracy, 0.1)


def _directed(scores: Floats, direction: int) -> Floats:
    """Return (1, networks) scores of which high is good and a failed one is minus infinity."""
    return np.where(np.isfinite(scores), direction * scores, -np.inf)[None]
