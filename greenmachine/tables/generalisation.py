"""What evolved proxies are worth where they were not evolved."""

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
    """Return for networks of a space (n,) whether their accuracies chose no evolved proxy.

    Those that did are the training and validation networks of any run that found one, and the
    networks that compute the same function as one of them.
    """
    functions = scored.benchmark.functions
    chose = [index for proxy in EVOLVED for index in proxy.seen(scored.benchmark.name)]
    return ~np.isin(functions[indices], functions[np.isin(np.arange(len(functions)), chose)])


def _measure(scored: Scored) -> Iterator[dict[str, object]]:
    every = scored.evolved_pool.only(_shown)
    chose_none = every.part(unseen(scored, scored.evolved["index"].to_numpy(dtype=np.int64)))
    # What evolved elsewhere is scored where the zoo is: no network of this space chose it.
    elsewhere = scored.pool.only(lambda name: name in _EVOLVED_ON and name not in every.scores)
    for whole, left in ((every, chose_none), (elsewhere, elsewhere)):
        if whole.scores:
            yield from at_once("scored", whole)
            yield from at_once("unseen", left)
            yield from drawn(left, scored.space.accuracy)


def _shown(name: str) -> bool:
    return name in _EVOLVED_ON or name.startswith("(")


def _rows(stored: Stored) -> pd.DataFrame:
    rows = [
        {**scored.place, **row, "evolved_on": _EVOLVED_ON.get(str(row["proxy"]), "trivial")}
        for scored in stored.scored
        for row in _measure(scored)
    ]
    return long_table(rows)


TABLE = Table(
    name="generalisation",
    title="Evolved proxies on networks that did not choose them",
    words=f"""\
Kendall's tau-b with true test accuracy, of proxies that this project's runs found. `evolved_on`
tells the spaces and data sets whose accuracies chose one: on the others it meets accuracies that it
never saw. Names in brackets are trivial scores of the same networks.

- `scored`: all networks that the proxies of NATS-Bench were scored on, a random sample or the
  space (how many: `networks` in the CSV), those that chose one among them: the figure to set
  beside what is published for a space. Those of what evolved elsewhere alone are the zoo's, fewer;
  ± is the jackknife standard error.
- `unseen`: what is left of those without networks that were in the training or validation sample
  of any run that found one of these proxies, or that compute the same function as one. Leaving out
  whole classes of equal cells leaves more cells of small classes than the space has, so this
  is another population, not just fewer.
- `random`, `stratified`: {DRAWS} draws from those of `unseen`, of {SIZE} or of {SIZE // BINS} in
  each of {BINS} bins of equal width in accuracy; mean and standard deviation.

`best 10 %` is tau among the most accurate tenth; `top` the accuracy of the one of `unseen` that
ranks first, `regret` what the best one has more.""",
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
