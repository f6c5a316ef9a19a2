"""Summarise a finished search: scores of all networks, and the champion beside the baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from greenmachine.benchmarks import training_cost
from greenmachine.evolution.evaluators import Judges
from greenmachine.evolution.judge import Judge
from greenmachine.evolution.search import Search
from greenmachine.evolution.tasks import Entry, by_sample, targets
from greenmachine.fitness import Objective, directed_tau, tau_row
from greenmachine.language import parse

__all__ = ["PLACE", "Rows", "compare", "conclude", "directions", "score_table"]

Rows: TypeAlias = dict[str, dict[str, float | None]]
"""By name (``champion``, then every baseline): objective, tau-b and its standard error, number of
networks, number of failures. None where a value is undefined."""

PLACE = ("task", "benchmark", "dataset", "sample", "index", "accuracy")
"""Columns of a score table that are no scores."""


def conclude(
    search: Search, train: Judge, validation: Judge, judges: Judges
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score the champion on the test sample.

    Args:
        search: at its end.
        train: judge of that sample.
        validation: judge of that sample.
        judges: who score on test.

    Returns:
        The content of ``scores.parquet``, and that of ``result.json`` but for what the run as a
        whole took.
    """
    config, entries = judges.config, judges.entries
    champion = search.hall[0]
    expression = parse(champion.expression)
    rows: dict[str, dict[str, Rows]] = {"train": {}, "validation": {}, "test": {}}
    tables = []
    for entry in entries:
        for dataset, task in entry.tasks.items():
            source = entry.tasks[entry.sources[dataset]]
            scores = {
                "train": train.evaluators[source].scores([expression])[0],
                "validation": validation.evaluators[source].scores([expression])[0],
                "test": judges.test_scores(expression, entry, dataset),
            }
            table = score_table(entry, dataset, scores)
            for sample, of_sample in compare(table, champion.direction, config.objective).items():
                rows[sample][task] = of_sample
            tables.append(table)
    result = {
        "name": config.name,
        "benchmarks": list(config.benchmarks),
        "tasks": [task for entry in entries for task in entry.tasks.values()],
        "objective": config.objective.written(),
        "targets": targets(entries),
        "best": {
            "expression": champion.expression,
            "direction": champion.direction,
            "size": champion.size,
            "generation": champion.generation,
            **{
                what: {
                    sample: {name: row["champion"][what] for name, row in of_sample.items()}
                    for sample, of_sample in rows.items()
                }
                for what in ("objective", "tau")
            },
        },
        **rows,
        "samples": by_sample(entries, lambda _, indices: len(indices)),
        "individuals": search.individuals,
        "generations": search.generation,
        "training": _training(entries),
        **train.counts(),
    }
    return pd.concat(tables, ignore_index=True), result


def _training(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return by task what training costs that the proxy saves, where it is known."""
    costs = {}
    for entry in entries:
        read = np.concatenate([entry.split.train, entry.split.validation])
        for dataset, task in entry.tasks.items():
            if cost := training_cost(entry.benchmark, dataset, read):
                costs[task] = cost
    return costs


def score_table(
    entry: Entry, dataset: str, scores: Mapping[str, NDArray[np.float64]]
) -> pd.DataFrame:
    """Return the scores of every network of the samples, one row per network.

    Args:
        entry: a benchmark and the samples of its networks.
        dataset: whose accuracies are the truth.
        scores: (networks of the sample,) the champion's scores by sample.

    Returns:
        Columns ``task``, ``benchmark``, ``dataset``, ``sample``, ``index`` in the benchmark,
        ``accuracy`` in percent, ``champion``, and one for each baseline. Scores are not
        multiplied by a direction.
    """
    accuracy = entry.benchmark.accuracy(dataset)
    tables = [
        pd.DataFrame(
            {
                "task": entry.tasks[dataset],
                "benchmark": entry.name,
                "dataset": dataset,
                "sample": sample,
                "index": indices,
                "accuracy": accuracy[indices],
                "champion": scores[sample],
                **entry.benchmark.trivial_scores(dataset, indices),
            }
        )
        for sample, indices in vars(entry.split).items()
    ]
    return pd.concat(tables, ignore_index=True)


def compare(table: pd.DataFrame, direction: int, objective: Objective) -> dict[str, Rows]:
    """Return the rows of the champion and of the baselines on every sample.

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
    """Return the direction of every score; a baseline takes the one that is better on ``train``."""
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
