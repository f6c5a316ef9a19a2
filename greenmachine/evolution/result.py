"""What a finished search leaves: ``scores.parquet``, and the content of ``result.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from greenmachine.evolution.judge import Judge
from greenmachine.evolution.judges import Judges
from greenmachine.evolution.outcome import Rows, compare, score_table
from greenmachine.evolution.search import Search
from greenmachine.files import replace_file
from greenmachine.language import parse

__all__ = ["conclude"]


def conclude(
    search: Search, train: Judge, validation: Judge, judges: Judges, folder: Path
) -> dict[str, Any]:
    """Score the champion on the test sample and write ``scores.parquet``.

    Args:
        search: at its end.
        train: judge of that sample.
        validation: judge of that sample.
        judges: who score on test.
        folder: of the run.

    Returns:
        The content of ``result.json``, but for what the run as a whole took.
    """
    config, split = judges.config, judges.split
    champion = search.hall[0]
    expression = parse(champion.expression)
    rows: dict[str, dict[str, Rows]] = {"train": {}, "validation": {}, "test": {}}
    tables = []
    for dataset in config.datasets:
        scores = {
            "train": train.evaluators[dataset].scores([expression])[0],
            "validation": validation.evaluators[dataset].scores([expression])[0],
            "test": judges.test_scores(expression, dataset),
        }
        tables.append(score_table(judges.benchmark, dataset, vars(split), scores))
        for sample, of_sample in compare(tables[-1], champion.direction).items():
            rows[sample][dataset] = of_sample
    table = pd.concat(tables, ignore_index=True)
    replace_file(folder / "scores.parquet", lambda path: table.to_parquet(path, index=False))
    return {
        "name": config.name,
        "benchmark": config.benchmark,
        "datasets": list(config.datasets),
        "best": {
            "expression": champion.expression,
            "direction": champion.direction,
            "size": champion.size,
            "generation": champion.generation,
            "tau": {
                sample: {name: row["champion"]["tau"] for name, row in of_sample.items()}
                for sample, of_sample in rows.items()
            },
        },
        **rows,
        "samples": {name: len(indices) for name, indices in vars(split).items()},
        "individuals": search.individuals,
        "generations": search.generation,
        **train.counts(),
    }
