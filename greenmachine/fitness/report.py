"""One proxy on one sample, as every table reports it: tau, its spread, the failures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from greenmachine.fitness.kendall import directed_tau
from greenmachine.fitness.spread import tau_standard_error

__all__ = ["tau_row"]


def tau_row(
    scores: npt.NDArray[np.float64], accuracy: npt.NDArray[np.float64], direction: int
) -> dict[str, float]:
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
