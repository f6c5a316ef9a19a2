"""GreenFactory's table (arXiv 2505.09344): what a forest over proxies is worth, four protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from greenmachine.fitness import tau_row
from greenmachine.tables.base import Column, Drawing, Table, long_table
from greenmachine.tables.forests import METRICS, fit_forests, kept_forests
from greenmachine.tables.inputs import ENCODINGS
from greenmachine.tables.published import FACTORY
from greenmachine.tables.sources import DATASETS, Scored, Stored

__all__ = ["TABLE"]


def _rows(stored: Stored) -> pd.DataFrame:
    rows: list[dict[str, object]] = [
        {**scored.place, **row}
        for scored, runs in kept_forests(stored)
        for row in _summary(runs, scored)
    ]
    return long_table(rows)


def _summary(runs: Sequence[Mapping[str, Any]], scored: Scored) -> Iterator[dict[str, object]]:
    published = dict(zip(DATASETS, FACTORY[scored.benchmark.name], strict=True))[scored.dataset]
    keys = ["proxy", "train", "protocol"]
    for (proxy, train, protocol), part in pd.DataFrame(runs).groupby(keys, sort=False):
        for metric in METRICS:
            known = metric == "tau" and proxy not in ENCODINGS
            yield {
                "proxy": proxy,
                "train": train,
                "protocol": protocol,
                "metric": metric,
                "mean": part[metric].mean(),
                "std": part[metric].std(),
                "n": part[metric].count(),
                "published": published if known else None,
                "networks": part["networks"].mean(),
            }
    pool = scored.pool.only(lambda name: name.startswith("("))
    for name, scores in pool.scores.items():
        row = tau_row(scores, pool.accuracy, 1)
        yield {
            "proxy": name,
            "train": 0,
            "protocol": "all",
            "metric": "tau",
            "mean": row["tau"],
            "std": row["standard_error"],
            "n": 1,
            "networks": len(pool),
        }


TABLE = Table(
    name="greenfactory",
    title="GreenFactory",
    words="""\
A random forest over proxies predicts test accuracy; tau-b, R² and mean absolute error (percent) of
what it predicts, mean and standard deviation over the seeds of training sample and forest.
`green_factory` reads every proxy of the zoo that is scored, `green_factory_trivial` the trivial
scores too, `green_factory_all` what this project evolved with them, `green_factory_space` what of
the zoo was scored on all networks of the space. `green_factory_evolved` reads what evolved, with
trivial scores and what else was scored on the same networks: all of the space, where it was scored
on all. `(encoding)`, the score to beat, is the same forest over the architecture's string alone:
the operation of every edge, one-hot, or the five widths; `(encoding_space)` likewise on all
networks of the space. `train` networks are in training; trivial scores, in brackets, need none.

- `all`: every scored network, those of the training sample too.
- `held_out`: the networks not in training.
- `held_out_classes`: no cell in training is isomorphic to a held-out one (topology space only).
- `held_out_unseen`: networks not in training whose accuracies, and those of isomorphic cells, chose
  no evolved proxy either. On cells that is another population: few of the bad ones are left.

The published tau stands beside every protocol and number, for the paper's own are not known.""",
    rows=_rows,
    columns=(
        Column("τ all", "all", "tau"),
        Column("τ held out", "held_out", "tau"),
        Column("τ held-out classes", "held_out_classes", "tau"),
        Column("τ held out, unseen", "held_out_unseen", "tau"),
        Column("R² held out", "held_out", "r2"),
        Column("MAE held out", "held_out", "mae", ".2f"),
    ),
    drawing=Drawing(
        "Kendall's tau of forests over proxies",
        "Kendall's tau-b",
        "tau",
        ("held_out", "held_out_classes", "held_out_unseen", "all"),
    ),
    recompute=fit_forests,
    keys=("proxy", "train"),
)
