"""How well evolved proxies rank networks that were not used in their search."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from greenmachine.proxies import EVOLVED
from greenmachine.tables.base import Column, Drawing, Table, long_table
from greenmachine.tables.draws import BINS, DRAWS, SIZE
from greenmachine.tables.plan import EVOLVED_PLAN
from greenmachine.tables.ranking import at_once, drawn
from greenmachine.tables.sources import Scored, Stored
from greenmachine.tables.sweep import sweep

__all__ = ["TABLE", "unseen"]

_EVOLVED_ON = {proxy.name: proxy.evolved_on for proxy in EVOLVED}


def unseen(scored: Scored, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return for networks of a space, (n,), whether no search of an evolved proxy used them.

    The networks that were used are the training and validation networks of any run that found such
    a proxy, and all networks that compute the same function as one of them.
    """
    functions = scored.benchmark.functions
    chose = [index for proxy in EVOLVED for index in proxy.seen(scored.benchmark.name)]
    return ~np.isin(functions[indices], functions[np.isin(np.arange(len(functions)), chose)])


def _measure(scored: Scored) -> Iterator[dict[str, object]]:
    every = scored.evolved_pool.only(_shown)
    # Some are scored only on the networks of the zoo (plan.py).
    fewer = scored.pool.only(lambda name: name in _EVOLVED_ON and name not in every.scores)
    for whole, frame in ((every, scored.evolved), (fewer, scored.frame)):
        if whole.scores:
            left = whole.part(unseen(scored, frame["index"].to_numpy(dtype=np.int64)))
            yield from at_once("scored", whole)
            yield from at_once("unseen", left)
            yield from drawn(left, scored.space.accuracy)


def _shown(name: str) -> bool:
    return name in _EVOLVED_ON or name.startswith("(")


def _rows(stored: Stored) -> pd.DataFrame:
    rows = [
        {**scored.place, **row, "evolved_on": _EVOLVED_ON.get(str(row["proxy"]), "baseline")}
        for scored in stored.scored
        for row in _measure(scored)
    ]
    return long_table(rows)


TABLE = Table(
    name="generalisation",
    title="Evolved proxies on networks that did not choose them",
    introduction=f"""\
Kendall's tau-b with true test accuracy, for proxies that this project's runs found. `evolved_on`
lists the spaces and data sets whose accuracies the search used; all others are new to the proxy.
Names in brackets are baselines on the same networks.

- `scored`: all networks on which a proxy was scored, including networks used in the search: the
  whole space, or the random sample of the zoo (`networks` in the CSV). Compare these values with
  those published for a space. ± is the jackknife standard error.
- `unseen`: these networks without those used in the training or validation sample of any run that
  found one of these proxies, and without all networks that compute the same function as one.
  Because whole classes of equal cells are excluded, small classes are overrepresented. The
  distribution differs from the full space, so compare within this column only.
- `random`, `stratified`: {DRAWS} draws from the networks of `unseen`, of {SIZE}, or of
  {SIZE // BINS} in each of {BINS} bins of equal width in accuracy; mean and standard deviation.

`best 10 %` is tau among the most accurate tenth of the networks. `top` is the accuracy of the
network of `unseen` that ranks first, and `regret` its distance to the best accuracy.""",
    rows=_rows,
    columns=(
        Column("τ scored", "scored", "tau"),
        Column("τ unseen", "unseen", "tau"),
        Column("τ random", "random", "tau"),
        Column("τ stratified", "stratified", "tau"),
        Column("τ best 10 %", "scored", "tau_best"),
        Column("τ best 10 % unseen", "unseen", "tau_best"),
        Column("top, %", "unseen", "top_accuracy", ".2f"),
        Column("regret", "unseen", "regret", ".2f"),
    ),
    drawing=Drawing(
        "Kendall's tau of evolved proxies on networks that did not choose them",
        "Kendall's tau-b",
        "tau",
        ("scored", "unseen", "random", "stratified"),
    ),
    recompute=partial(sweep, plan=EVOLVED_PLAN),
    keys=("proxy", "evolved_on"),
)
