"""Search by a proxy alone: the accuracy of the network that it finds, and the cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from greenmachine.tables.base import Column, Drawing, Table, long_table
from greenmachine.tables.cost import Seconds, seconds_of
from greenmachine.tables.draws import DRAWS, random_draws
from greenmachine.tables.pool import Pool
from greenmachine.tables.ranking import top_accuracy
from greenmachine.tables.sources import Scored, Stored
from greenmachine.tables.sweep import sweep

__all__ = ["SIZES", "TABLE", "found"]

Floats = npt.NDArray[np.float64]

SIZES = (100, 1000)
"""Numbers of networks that a search scores, besides the whole space."""

_ORACLE, _RANDOM = "(oracle)", "(random)"


def found(pool: Pool, size: int) -> dict[str, Floats]:
    """Return the accuracy of each proxy's first choice among ``size`` random networks.

    The values are (draws,), or (1,) if ``size`` is the whole pool. If several networks tie for the
    first place, it is their mean. ``(oracle)`` chooses by accuracy, ``(random)`` chooses at random.
    """
    if size == len(pool):
        tops = {name: top_accuracy(scores, pool.accuracy) for name, scores in pool.scores.items()}
        tops |= {_ORACLE: float(pool.accuracy.max()), _RANDOM: float(pool.accuracy.mean())}
        return {name: np.array([top]) for name, top in tops.items()}
    scores = pool.matrix()
    held = []
    for chosen in random_draws(len(pool), size):
        accuracy = pool.accuracy[chosen]
        firsts = [top_accuracy(row, accuracy) for row in scores[:, chosen]]
        held.append([*firsts, accuracy.max(), accuracy[0]])  # a draw is in random order
    return dict(zip([*pool.scores, _ORACLE, _RANDOM], np.array(held).T, strict=True))


def _measure(scored: Scored, stored: Stored) -> Iterator[dict[str, object]]:
    """Yield the rows of one space and data set, each proxy on all networks that it scored."""
    space = scored.space
    sample = scored.pool.only(lambda name: name not in space.scores)
    costs = seconds_of(stored.folder, scored.benchmark.name)
    for size in SIZES:
        for pool in (space, sample):
            if pool.scores and size < len(pool):
                for row in _searched(pool, size, f"of {size}", costs):
                    if pool is space or row["proxy"] in pool.scores:
                        yield row
        if sample.scores and size >= len(sample):
            path = next(iter(scored.paths.values()))
            stored.announce(f"{path}: {len(sample)} networks are too few to draw {size}")
    yield from _searched(space, len(space), "of all", costs)


def _searched(
    pool: Pool, size: int, protocol: str, costs: Mapping[str, Seconds]
) -> Iterator[dict[str, object]]:
    choices = found(pool, size)
    best = choices[_ORACLE]
    for name, values in choices.items():
        row = {"proxy": name, "protocol": protocol, "networks": size}
        for metric, column in (("accuracy", values), ("regret", best - values)):
            std = column.std(ddof=1) if len(column) > 1 else None
            spread = {"mean": column.mean(), "std": std, "n": len(column)}
            yield {**row, "metric": metric, **spread}
        if name in costs:
            yield {**row, "metric": "seconds", "mean": size * costs[name].mean, "n": 1}


def _rows(stored: Stored) -> pd.DataFrame:
    return long_table(
        [{**one.place, **row} for one in stored.scored for row in _measure(one, stored)]
    )


TABLE = Table(
    name="nas",
    title="Search by a proxy alone",
    words=f"""\
Test accuracy, in percent, of the network that a proxy ranks first among 100 or 1,000 random
networks (mean and standard deviation over {DRAWS} draws), and in the whole space. Draws come from
the whole space for a proxy that scored every network, and otherwise from the random sample that it
scored. If several networks tie for the first rank, the value is their mean. The figure shows the
regret: the distance to the best accuracy of the draw. A regret of zero has no dot.
`(oracle)` ranks by accuracy, `(random)` picks a random network; the other names in brackets are
baselines. Seconds are those of one core for this proxy alone, computed from its mean time per
network (table `cost`), including building the network. Results of the papers' own searches are not
known here. The searches of evolved proxies (`gm_...`, `nats_...`) used the accuracies of some of
these networks; see the table of generalisation.""",
    rows=_rows,
    columns=(
        Column("of 100, %", "of 100", "accuracy", ".2f"),
        Column("of 1,000, %", "of 1000", "accuracy", ".2f"),
        Column("of all, %", "of all", "accuracy", ".2f"),
        Column("seconds, 100", "of 100", "seconds", ".3g"),
        Column("seconds, 1,000", "of 1000", "seconds", ".3g"),
        Column("seconds, all", "of all", "seconds", ".3g"),
    ),
    drawing=Drawing(
        "What the choice of a proxy lacks of the best test accuracy",
        "regret, % (logarithmic)",
        "regret",
        ("of 100", "of 1000", "of all"),
        logarithmic=True,
    ),
    recompute=sweep,
)
