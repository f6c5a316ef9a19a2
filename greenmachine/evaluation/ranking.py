"""How well scores rank: tables of tau, and of more, beside the trivial rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from greenmachine.benchmarks import Benchmark
from greenmachine.errors import ConfigError
from greenmachine.fitness import rank_row

__all__ = ["LEAST_RANKED", "tau_table"]

LEAST_RANKED = 3
"""Fewer networks have no spread."""


def tau_table(
    frame: pd.DataFrame, benchmark: Benchmark, dataset: str, directions: Mapping[str, int]
) -> pd.DataFrame:
    """Return a row for every proxy of ``frame`` and for every trivial score, the best first.

    Args:
        frame: with ``index`` and a column a proxy.
        benchmark: where the accuracies come from.
        dataset: its data set.
        directions: of the proxies; trivial scores count as higher is better.

    Returns:
        ``proxy``, ``direction``, and what ``greenmachine.fitness.rank_row`` says. Trivial scores
        are in brackets; they are of the same networks.

    Raises:
        ConfigError: ``frame`` has fewer than ``LEAST_RANKED`` rows.
    """
    if len(frame) < LEAST_RANKED:
        raise ConfigError(f"{len(frame)} networks cannot be ranked: {LEAST_RANKED} are the least")
    indices = frame["index"].to_numpy()
    accuracy = benchmark.accuracy(dataset)[indices]
    columns = {
        name: (frame[name].to_numpy(dtype=np.float64), direction)
        for name, direction in directions.items()
    }
    trivial = benchmark.trivial_scores(dataset, indices)
    columns |= {f"({name})": (scores, 1) for name, scores in trivial.items()}
    rows = [
        {"proxy": name, "direction": direction, **rank_row(scores, accuracy, direction)}
        for name, (scores, direction) in columns.items()
    ]
    table = pd.DataFrame(rows)
    return table.sort_values("tau", ascending=False, ignore_index=True, na_position="last")
