"""Warn where a run cannot find anything, because networks or scores cannot be ranked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from greenmachine.evolution.search import Search

__all__ = ["degenerate_warnings", "unranked_warning"]


def unranked_warning(search: Search) -> str | None:
    """Return a warning where no individual of a generation ranks the training networks.

    Tau-b is undefined where all scores are tied, which counts as -1.
    """
    if any(tau > -1 for individual in search.population for tau in individual.tau):
        return None
    failing = sum(individual.failures > 0 for individual in search.population)
    return (
        f"warning: none of the {len(search.population)} expressions of generation 0 tells the "
        f"training networks apart ({failing} of them fail on some): are the networks identical, or "
        "do they give NaN? What this run finds means nothing"
    )


def degenerate_warnings(scores: pd.DataFrame, result: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning for every sample on which the champion's tau or its error is undefined.

    Args:
        scores: see ``summary.score_table``.
        result: content of ``result.json``.
    """
    for sample in result["samples"]:
        for task, rows in result[sample].items():
            row = rows["champion"]
            if row["tau"] is None:
                part = scores[(scores["task"] == task) & (scores["sample"] == sample)]
                yield (
                    f"warning: tau on {task} {sample} is undefined: {_spread(part['champion'])}, "
                    f"{row['failed']} of {row['networks']} networks failed; the champion ranks "
                    "nothing there"
                )
            elif row["standard_error"] is None:
                yield (
                    f"warning: tau on {task} {sample} has no standard error: {row['networks']} "
                    "networks are too few, or nearly all are tied"
                )


def _spread(scores: pd.Series[float]) -> str:
    finite = scores[np.isfinite(scores)]
    if finite.empty:
        return "no score is finite"
    return f"scores range from {finite.min():.6g} to {finite.max():.6g}"
