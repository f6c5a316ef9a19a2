"""MeCo's table: Spearman's rho of its variants (Jiang et al., NeurIPS 2023)."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from greenmachine.tables.base import Column, Drawing, Table, long_table
from greenmachine.tables.pool import Pool
from greenmachine.tables.published import MECO, with_published
from greenmachine.tables.ranking import PROTOCOLS, at_once, measure
from greenmachine.tables.sources import DATASETS, Stored
from greenmachine.tables.sweep import sweep

__all__ = ["TABLE"]


def _rows(stored: Stored) -> pd.DataFrame:
    rows = [
        {**scored.place, **row}
        for scored in stored.scored
        for row in measure(scored, lambda name: name.startswith(("meco", "(")))
    ]
    found = [row for row in [*rows, *_of_one_image(stored)] if row["metric"] == "spearman"]
    return with_published(long_table(found), MECO)


def _of_one_image(stored: Stored) -> Iterator[dict[str, object]]:
    """Yield how scores on networks and image of the first data set rank on every data set."""
    for scored in stored.scored:
        if scored.dataset != DATASETS[0]:
            continue
        pool, space = scored.pool.only(lambda name: name.startswith("meco")), scored.benchmark
        for dataset in DATASETS:
            judged = Pool(space.accuracy(dataset)[scored.frame["index"]], pool.scores)
            for row in at_once("cifar10_image", judged):
                yield {"space": space.name, "dataset": dataset, **row}


TABLE = Table(
    name="meco",
    title="MeCo",
    introduction=f"""\
Spearman's rho of scores with true test accuracy. `meco_modules` is the authors' protocol (the
output of every module, including containers), which the published values use. `meco` counts every
layer once. `meco_opt` and `meco_opt_modules` use eight random channels of a layer. The others are
computed over a batch (`greenmachine proxies show NAME`). Names in brackets are baselines.

{PROTOCOLS}
- `cifar10_image`: all networks that are scored on CIFAR-10, ranked by these scores on every data
  set, because the authors use one image of 32x32 or 64x64, and ImageNet16-120 has 16x16.""",
    rows=_rows,
    columns=(
        Column("ρ scored", "scored", "spearman"),
        Column("ρ CIFAR-10 image", "cifar10_image", "spearman"),
        Column("ρ live", "live", "spearman"),
        Column("ρ random", "random", "spearman"),
        Column("ρ stratified", "stratified", "spearman"),
        Column("ρ space", "space", "spearman"),
        Column("ρ stratified space", "stratified_space", "spearman"),
    ),
    drawing=Drawing(
        "Spearman's rho of MeCo on NATS-Bench",
        "Spearman's rho",
        "spearman",
        ("scored", "stratified", "live"),
    ),
    recompute=sweep,
)
