"""What a finished search leaves: the scores of every network, and the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from greenmachine.benchmarks import training_cost
from greenmachine.evolution.entry import Entry, by_sample, targets
from greenmachine.evolution.judge import Judge
from greenmachine.evolution.judges import Judges
from greenmachine.evolution.outcome import Rows, compare, score_table
from greenmachine.evolution.search import Search
from greenmachine.language import parse

__all__ = ["conclude"]


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
            table = score_table(entry.benchmark, dataset, vars(entry.split), scores)
            for sample, of_sample in compare(table, champion.direction, config.objective).items():
                rows[sample][task] = of_sample
            if len(entries) > 1:
                table.insert(0, "benchmark", entry.name)
            tables.append(table)
    result = {
        "name": config.name,
        "benchmark": list(config.benchmarks) if len(entries) > 1 else config.benchmarks[0],
        "datasets": [task for entry in entries for task in entry.tasks.values()],
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
