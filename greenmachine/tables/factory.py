"""GreenFactory's table (arXiv 2505.09344): the accuracy of a forest over proxies."""

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
    introduction="""\
A random forest over proxies predicts test accuracy. The table has tau-b, R² and mean absolute error
(percent) of the predictions: mean and standard deviation over the seeds of training sample and
forest. `train` is the number of networks in training. The forests differ in their features:

- `green_factory`: all scored proxies of the zoo.
- `green_factory_trivial`: these and the baselines.
- `green_factory_all`: these, the baselines and the proxies that this project evolved.
- `green_factory_space`: the proxies of the zoo that were scored on all networks of the space.
- `green_factory_evolved`: the evolved proxies, the baselines and the other proxies that were scored
  on the same networks, which are the whole space if it was scored.
- `(encoding)`: the baseline of forests, which reads only the architecture string: the operation of
  every edge, one-hot, or the five widths. `(encoding_space)` is the same on the whole space.

Other names in brackets are baselines, which need no training. The protocols are:

- `all`: every scored network, including the training sample.
- `held_out`: the networks not in training.
- `held_out_classes`: no cell in training is isomorphic to a held-out one (topology space only).
- `held_out_unseen`: networks not in training that were also not used in the search of an evolved
  proxy, nor are isomorphic to one that was. On the topology space their distribution differs: they
  contain few bad cells.

The paper does not describe its protocol, so its tau is shown for every protocol and `train`.""",
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
