"""How well scores rank: tau tables beside the trivial rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from greenmachine.benchmarks import Benchmark
from greenmachine.fitness import tau_row

__all__ = ["tau_table"]


def tau_table(
    frame: pd.DataFrame, benchmark: Benchmark, dataset: str, directions: Mapping[str, int]
) -> pd.DataFrame:
    """Return a row for every proxy of ``frame`` and for every trivial score, the best first.

    Args:
        frame: with ``index`` and a column a proxy.
        benchmark: where the accuracies come from.
        dataset: its data set.
        directions: of the proxies; trivial scores count as higher is better.
    """
    indices = frame["index"].to_numpy()
    accuracy = benchmark.accuracy(dataset)[indices]
    rows = [
        {"proxy": name, **tau_row(frame[name].to_numpy(dtype=np.float64), accuracy, direction)}
        for name, direction in directions.items()
    ]
    rows += [
        {"proxy": f"({name})", **tau_row(scores, accuracy, 1)}
        for name, scores in benchmark.trivial_scores(dataset, indices).items()
    ]
    table = pd.DataFrame(rows)
    return table.sort_values("tau", ascending=False, ignore_index=True, na_position="last")
