"""MeCo's table: Spearman's rho of its variants (Jiang et al., NeurIPS 2023)."""

from __future__ import annotations

import pandas as pd

from greenmachine.tables.base import Column, Drawing, Table, long_table
from greenmachine.tables.published import MECO, with_published
from greenmachine.tables.ranking import PROTOCOLS, measure
from greenmachine.tables.sources import Stored
from greenmachine.tables.sweep import sweep

__all__ = ["TABLE"]


def _rows(stored: Stored) -> pd.DataFrame:
    rows = [
        {**scored.place, **row}
        for scored in stored.scored
        for row in measure(scored, lambda name: name.startswith(("meco", "(")))
        if row["metric"] == "spearman"
    ]
    return with_published(long_table(rows), MECO)


TABLE = Table(
    name="meco",
    title="MeCo",
    words=f"""\
Spearman's rho of scores with true test accuracy. `meco_modules` is the authors' protocol (the
output of every module, containers too), which the published figures are of; `meco` counts every
layer once; `meco_opt` and `meco_opt_modules` take eight random channels of a layer; the others are
over a batch (`greenmachine proxies show NAME`). Names in brackets are trivial scores.

{PROTOCOLS}""",
    rows=_rows,
    columns=(
        Column("ρ scored", "scored", "spearman"),
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
