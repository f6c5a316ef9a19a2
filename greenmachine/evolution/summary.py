"""Summarise a finished search: scores of all networks, tau of the champion and the baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from greenmachine.benchmarks import training_cost
from greenmachine.evolution.evaluators import SampleEvaluator, SampleEvaluators
from greenmachine.evolution.search import Search
from greenmachine.evolution.tasks import TaskSet, by_sample, targets
from greenmachine.fitness import Objective, directed_tau, tau_row
from greenmachine.language import parse

__all__ = [
    "FEW_NETWORKS",
    "PLACE",
    "Rows",
    "compare",
    "conclude",
    "degenerate_warnings",
    "directions",
    "few_networks_warnings",
    "score_table",
    "unranked_warning",
]

Rows: TypeAlias = dict[str, dict[str, float | None]]
"""By name (``champion``, then every baseline): objective, tau-b and its standard error, number of
networks, number of failures. None where a value is undefined."""

FEW_NETWORKS = 50
"""Training networks of a benchmark below which a run warns."""

PLACE = ("task", "benchmark", "dataset", "sample", "index", "accuracy")
"""Columns of a score table that are no scores."""


def conclude(
    search: Search,
    train: SampleEvaluator,
    validation: SampleEvaluator,
    evaluators: SampleEvaluators,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score the champion on the test sample.

    Args:
        search: at its end.
        train: of the training sample.
        validation: of the validation sample.
        evaluators: of the run; they score the champion on the test sample.

    Returns:
        The content of ``scores.parquet``, and that of ``result.json`` but for what the run as a
        whole took.
    """
    config, task_sets = evaluators.config, evaluators.task_sets
    champion = search.hall[0]
    expression = parse(champion.expression)
    rows: dict[str, dict[str, Rows]] = {"train": {}, "validation": {}, "test": {}}
    tables = []
    for task_set in task_sets:
        for dataset, task in task_set.tasks.items():
            source = task_set.tasks[task_set.sources[dataset]]
            scores = {
                "train": train.evaluators[source].scores([expression])[0],
                "validation": validation.evaluators[source].scores([expression])[0],
                "test": evaluators.test_scores(expression, task_set, dataset),
            }
            table = score_table(task_set, dataset, scores)
            for sample, of_sample in compare(table, champion.direction, config.objective).items():
                rows[sample][task] = of_sample
            tables.append(table)
    result = {
        "name": config.name,
        "benchmarks": list(config.benchmarks),
        "tasks": [task for task_set in task_sets for task in task_set.tasks.values()],
        "objective": config.objective.written(),
        "targets": targets(task_sets),
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
        "samples": by_sample(task_sets, lambda _, indices: len(indices)),
        "individuals": search.individuals,
        "generations": search.generation,
        "training": _training(task_sets),
        **train.counts(),
    }
    return pd.concat(tables, ignore_index=True), result


def _training(task_sets: Sequence[TaskSet]) -> dict[str, Any]:
    """Return by task the known cost of the training that the proxy saves."""
    costs = {}
    for task_set in task_sets:
        read = np.concatenate([task_set.split.train, task_set.split.validation])
        for dataset, task in task_set.tasks.items():
            if cost := training_cost(task_set.benchmark, dataset, read):
                costs[task] = cost
    return costs


def score_table(
    task_set: TaskSet, dataset: str, scores: Mapping[str, NDArray[np.float64]]
) -> pd.DataFrame:
    """Return the scores of every network of the samples, one row per network.

    Args:
        task_set: a benchmark and the samples of its networks.
        dataset: the data set of the true accuracies.
        scores: (networks of the sample,) the champion's scores by sample.

    Returns:
        Columns ``task``, ``benchmark``, ``dataset``, ``sample``, ``index`` in the benchmark,
        ``accuracy`` in percent, ``champion``, and one for each baseline. Scores are not
        multiplied by a direction.
    """
    accuracy = task_set.benchmark.accuracy(dataset)
    tables = [
        pd.DataFrame(
            {
                "task": task_set.tasks[dataset],
                "benchmark": task_set.name,
                "dataset": dataset,
                "sample": sample,
                "index": indices,
                "accuracy": accuracy[indices],
                "champion": scores[sample],
                **task_set.benchmark.baseline_scores(dataset, indices),
            }
        )
        for sample, indices in vars(task_set.split).items()
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


def few_networks_warnings(task_sets: Iterable[TaskSet]) -> Iterator[str]:
    """Yield a warning for every benchmark of which only few networks select the champion.

    The standard deviation of Kendall's tau between unrelated rankings of n networks without ties is
    sqrt(2 (2 n + 5) / (9 n (n - 1))) (Kendall, Biometrika 1938).
    """
    for task_set in task_sets:
        n = len(task_set.indices("train"))
        if n < FEW_NETWORKS:
            spread = math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))
            yield (
                f"warning: {n} training networks of {task_set.name} are few: on them tau of an "
                f"unrelated score has a standard deviation of {spread:.2f}, and a search finds "
                f"scores that fit by chance; take {FEW_NETWORKS} or more (samples.train.size)"
            )


def unranked_warning(search: Search) -> str | None:
    """Return a warning if no individual of a generation ranks the training networks.

    Tau-b is undefined if all scores are tied, which counts as -1.
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
        scores: see :func:`score_table`.
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
