"""What a run's champion is worth, beside the scores that any proxy has to beat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from greenmachine.benchmarks import Benchmark
from greenmachine.fitness import Objective, directed_tau, tau_row

__all__ = ["PLACE", "Rows", "compare", "directions", "score_table"]

Rows: TypeAlias = dict[str, dict[str, float | None]]
"""``champion`` and each trivial score: objective, tau, its standard error, networks, failures."""

PLACE = ("dataset", "sample", "index", "accuracy")
"""Columns of a score table that are no scores."""


def score_table(
    benchmark: Benchmark,
    dataset: str,
    samples: Mapping[str, NDArray[np.int64]],
    scores: Mapping[str, NDArray[np.float64]],
) -> pd.DataFrame:
    """Return what every network of the samples scores, a row a network.

    Args:
        benchmark: that the networks belong to.
        dataset: whose accuracies count.
        samples: indices by sample.
        scores: of the champion, (networks of the sample,), by sample.

    Returns:
        Columns ``dataset``, ``sample``, ``index`` in the benchmark, ``accuracy`` in percent,
        ``champion``, and one a trivial score; all as they are, in no direction.
    """
    accuracy = benchmark.accuracy(dataset)
    tables = [
        pd.DataFrame(
            {
                "dataset": dataset,
                "sample": sample,
                "index": indices,
                "accuracy": accuracy[indices],
                "champion": scores[sample],
                **benchmark.trivial_scores(dataset, indices),
            }
        )
        for sample, indices in samples.items()
    ]
    return pd.concat(tables, ignore_index=True)


def compare(table: pd.DataFrame, direction: int, objective: Objective) -> dict[str, Rows]:
    """Return the rows of the champion and of the trivial scores on every sample.

    Args:
        table: of one data set, see :func:`score_table`; ``train`` is one of its samples.
        direction: of the champion.
        objective: whose value the rows have beside Kendall's tau.

    Returns:
        Rows by sample, in the :func:`directions` of the table.
    """
    signs = directions(table, direction)
    samples = {str(name): part for name, part in table.groupby("sample", sort=False)}
    return {
        sample: {
            name: _row(part[name].to_numpy(), part["accuracy"].to_numpy(), sign, objective)
            for name, sign in signs.items()
        }
        for sample, part in samples.items()
    }


def directions(table: pd.DataFrame, direction: int) -> dict[str, int]:
    """Return the direction of every score: a trivial one takes what is better on ``train``."""
    train, signs = table[table["sample"] == "train"], {"champion": direction}
    for name in table.columns.drop([*PLACE, "champion"]):
        tau = directed_tau(train[name].to_numpy()[None], train["accuracy"].to_numpy(), 1)[0]
        signs[name] = -1 if tau < 0 else 1
    return signs


def _row(
    scores: NDArray[np.float64],
    accuracy: NDArray[np.float64],
    direction: int,
    objective: Objective,
) -> dict[str, float | None]:
    """Return a rounded row; JSON has no NaN, so what is undefined becomes null."""
    value = objective.value(scores, accuracy, direction)
    row = {"objective": value, **tau_row(scores, accuracy, direction)}
    return {k: round(v, 6) if math.isfinite(v) else None for k, v in row.items()}
