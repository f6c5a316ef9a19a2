"""SED's table (arXiv 2411.06236): how well the topology alone ranks, and how fast."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from greenmachine.benchmarks import Benchmark
from greenmachine.proxies.zoo.entropy import size_entropy
from greenmachine.tables.base import Column, Drawing, Table, long_table
from greenmachine.tables.cost import seconds_of
from greenmachine.tables.entropies import topology_scores
from greenmachine.tables.pool import Pool
from greenmachine.tables.ranking import at_once, drawn
from greenmachine.tables.sources import DATASETS, SPACES, Stored

__all__ = ["TABLE"]

_COMPARED = ("sed", "meco", "synflow", "snip", "nwot", "zico")
"""Proxies whose cost is in the table, if it is known."""


def _measure(benchmark: Benchmark, dataset: str) -> Iterator[dict[str, object]]:
    baselines = benchmark.baseline_scores(dataset)
    scores = {f"({name})": values for name, values in baselines.items()}
    if benchmark.space.live is None:
        scores["sed"] = size_entropy(benchmark.archs)
    else:
        scores |= topology_scores(benchmark.archs)
    pool = Pool(benchmark.accuracy(dataset), scores)
    yield from at_once("space", pool)
    if benchmark.space.live is not None:
        yield from at_once("live", pool.part(benchmark.live))
    yield from drawn(pool, pool.accuracy)


def _rows(stored: Stored) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for space in SPACES:
        costs = seconds_of(stored.folder, space)
        for dataset in DATASETS:
            place = {"space": space, "dataset": dataset}
            rows += [{**place, **row} for row in _measure(stored.benchmarks[space], dataset)]
            for name in _COMPARED if dataset == "cifar10" else ():
                if name in costs:
                    cost = {"mean": costs[name].mean, "std": costs[name].std}
                    told = {"proxy": name, "protocol": "alone", "metric": "seconds"}
                    rows.append({**place, **told, **cost, "n": costs[name].networks})
    return long_table(rows)


TABLE = Table(
    name="sed",
    title="SED, reconstructed",
    introduction="""\
SED scores every architecture of both spaces from its string, without building a network.
`docs/results/sed.md` derives it, and defines its alternatives `spatial`, `paths_sum`, `paths_mean`,
`power` and `output`. `(additive_count)` is a sum over connected operations (convolution 3×3 +2, 1×1
+1, pool -1); names in brackets are baselines. Cells without a path rank last, tied.

- `space`: every architecture; ± is the jackknife standard error.
- `live`: architectures without unused operations (topology space only).
- `random`, `stratified`: draws of 100, as in table `greenmachine`.

Seconds are for one core and one network (table `cost`). The paper's own tau is not known here; the
paper claims three orders of magnitude less time than other proxies.""",
    rows=_rows,
    columns=(
        Column("τ space", "space", "tau"),
        Column("τ live", "live", "tau"),
        Column("ρ space", "space", "spearman"),
        Column("ρ live", "live", "spearman"),
        Column("τ stratified", "stratified", "tau"),
        Column("τ random", "random", "tau"),
        Column("τ best 10 %", "space", "tau_best"),
        Column("top, %", "space", "top_accuracy", ".2f"),
        Column("seconds a network", "alone", "seconds", ".3g"),
    ),
    drawing=Drawing(
        "Kendall's tau of SED on all of NATS-Bench",
        "Kendall's tau-b",
        "tau",
        ("space", "stratified", "live"),
    ),
)
