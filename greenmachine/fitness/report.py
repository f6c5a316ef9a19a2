"""One proxy on one sample, as tables report it: tau, its spread, other measures, failures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from greenmachine.fitness.kendall import directed_tau
from greenmachine.fitness.spread import tau_standard_error

__all__ = ["LEAST_BEST", "best_tenth", "rank_row", "tau_row"]

LEAST_BEST = 10
"""Networks of a best tenth that are ranked: tau of fewer is mostly chance."""

Floats = npt.NDArray[np.float64]


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
    """Return what :func:`tau_row` does, with Spearman's rho, and tau inside the best tenth.

    Args:
        scores: (networks,), not finite = failed, which ranks below all others.
        accuracy: (networks,) true accuracies in percent.
        direction: 1 where a high score is good, -1 where a low one is.

    Returns:
        After ``tau`` and ``standard_error`` come ``spearman``, ``tau_best`` and
        ``standard_error_best``: see :func:`best_tenth`. Any is NaN where all scores, or all
        accuracies, are tied; the last two also where the best tenth has fewer than
        ``LEAST_BEST`` networks.
    """
    row = tau_row(scores, accuracy, direction)
    best = best_tenth(accuracy)
    inside = {"tau": float("nan"), "standard_error": float("nan")}
    if best.sum() >= LEAST_BEST:
        inside = tau_row(scores[best], accuracy[best], direction)
    counts = {name: row.pop(name) for name in ("networks", "failed")}
    others = {
        "spearman": _spearman(scores, accuracy, direction),
        "tau_best": inside["tau"],
        "standard_error_best": inside["standard_error"],
    }
    return row | others | counts


def best_tenth(accuracy: Floats) -> npt.NDArray[np.bool_]:
    """Return (networks,) where the accuracy is among the best 10 %, rounded up, ties included."""
    size = -(-len(accuracy) // 10)
    return np.asarray(accuracy >= np.sort(accuracy)[-size])


def _spearman(scores: Floats, accuracy: Floats, direction: int) -> float:
    ranked = np.where(np.isfinite(scores), direction * scores, -np.inf)
    if np.ptp(accuracy) == 0 or (ranked == ranked[0]).all():
        return float("nan")
    return float(stats.spearmanr(ranked, accuracy).statistic)
