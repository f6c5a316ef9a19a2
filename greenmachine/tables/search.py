"""Search by a proxy alone: the accuracy that it finds among some networks, and what it costs.

The searches are those of ``greenmachine search --sampler random`` among the networks whose scores
are stored. A random search suggests the same networks whatever its objective is, so one search per
seed serves all proxies: each chooses among the networks of its trials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from greenmachine.search import search_networks
from greenmachine.tables.base import Column, Drawing, Table, long_table
from greenmachine.tables.cost import Seconds, seconds_of
from greenmachine.tables.pool import Pool
from greenmachine.tables.ranking import top_accuracy
from greenmachine.tables.sources import Scored, Stored
from greenmachine.tables.sweep import sweep

__all__ = ["SEARCHES", "TABLE", "found", "found_among_all", "searched"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SEARCHES = {100: 50, 1000: 10}
"""Searches by their number of trials; the accuracy after more trials varies less."""

_ORACLE, _RANDOM = "(oracle)", "(random)"


def searched(space: str, archs: Sequence[str], trials: int, searches: int) -> list[Indices]:
    """Return for each random search the places in ``archs`` that its trials came to, in order.

    Args:
        space: a benchmark.
        archs: the networks that are searched.
        trials: of a search; two may come to the same network.
        searches: as many, with the seeds 0, 1, ...

    Raises:
        ConfigError: Optuna is missing.
    """
    places = {arch: place for place, arch in enumerate(archs)}

    def suggest(trial: Any) -> str:
        place: int = trial.suggest_int("network", 0, len(archs) - 1)
        return archs[place]

    results = (
        search_networks(
            "accuracy",
            on=space,
            trials=trials,
            sampler="random",
            seed=seed,
            ask=trials,
            suggest=suggest,
        )
        for seed in range(searches)
    )
    return [np.array([places[arch] for arch in result.trials["arch"]]) for result in results]


def found(pool: Pool, searches: Sequence[Indices]) -> dict[str, Floats]:
    """Return by proxy the accuracy of its first choice in each search, (searches,).

    Networks that tie for the first place give their mean. ``(oracle)`` chooses by the accuracy
    itself, ``(random)`` takes the first network of the search.

    Args:
        pool: the networks.
        searches: of :func:`searched`.
    """
    scores = pool.matrix()
    rows = []
    for visited in searches:
        distinct = np.unique(visited)
        accuracy = pool.accuracy[distinct]
        firsts = [top_accuracy(row, accuracy) for row in scores[:, distinct]]
        rows.append([*firsts, accuracy.max(), pool.accuracy[visited[0]]])
    return dict(zip([*pool.scores, _ORACLE, _RANDOM], np.array(rows).T, strict=True))


def found_among_all(pool: Pool) -> dict[str, Floats]:
    """Return what :func:`found` returns for one exhaustive search; ``(random)`` is the mean."""
    tops = {name: top_accuracy(scores, pool.accuracy) for name, scores in pool.scores.items()}
    tops |= {_ORACLE: float(pool.accuracy.max()), _RANDOM: float(pool.accuracy.mean())}
    return {name: np.array([top]) for name, top in tops.items()}


def _measure(
    scored: Scored, stored: Stored, known: dict[tuple[Any, ...], list[Indices]]
) -> Iterator[dict[str, object]]:
    """Yield the rows of one space and data set; ``known`` keeps searches for other data sets."""
    pool, name = scored.pool, scored.benchmark.name
    costs = seconds_of(stored.folder, name)
    indices = scored.frame["index"].to_numpy()
    for trials, searches in SEARCHES.items():
        if trials >= len(pool):
            if len(pool) < len(scored.benchmark):
                path = next(iter(scored.paths.values()))
                stored.announce(f"{path}: {len(pool)} networks are too few to search {trials}")
            continue
        key = name, trials, indices.tobytes()
        if key not in known:
            stored.announce(f"{name}: {searches} random searches of {trials} trials")
            archs = [scored.benchmark.archs[index] for index in indices]
            known[key] = searched(name, archs, trials, searches)
        yield from _choices(found(pool, known[key]), f"of {trials}", trials, costs)
    whole = len(scored.space)
    yield from _choices(found_among_all(scored.space), "of all", whole, costs)


def _choices(
    choices: Mapping[str, Floats], protocol: str, networks: int, costs: Mapping[str, Seconds]
) -> Iterator[dict[str, object]]:
    best = choices[_ORACLE]
    for name, values in choices.items():
        row = {"proxy": name, "protocol": protocol, "networks": networks}
        for metric, column in (("accuracy", values), ("regret", best - values)):
            std = column.std(ddof=1) if len(column) > 1 else None
            spread = {"mean": column.mean(), "std": std, "n": len(column)}
            yield {**row, "metric": metric, **spread}
        if name in costs:
            seconds = networks * costs[name].mean
            yield {**row, "metric": "seconds", "mean": seconds, "n": 1}


def _rows(stored: Stored) -> pd.DataFrame:
    known: dict[tuple[Any, ...], list[Indices]] = {}
    return long_table(
        [{**one.place, **row} for one in stored.scored for row in _measure(one, stored, known)]
    )


TABLE = Table(
    name="nas",
    title="Search by a proxy alone",
    introduction=f"""\
Test accuracy, in percent, of the network that a proxy ranks first in a random search of 100 or
1,000 trials (mean and standard deviation over {SEARCHES[100]} and {SEARCHES[1000]} searches), and
in the whole space. The searches are those of `greenmachine search --sampler random`, among the
random sample of the space whose scores are stored. All proxies choose among the same trials, so
they can be compared pairwise. Two trials may come to the same network. "Of all" is the
exhaustive search, for what scored every network of the space. Where several networks tie, the
accuracy is their mean. The figure shows the regret: the best accuracy of the search
minus that of the choice. A regret of 0 has no dot. `(oracle)` knows the accuracies, and
`(random)` takes any network. The
other names in brackets are baselines. Seconds are of one core and of this proxy alone, from the
measured mean of a network (table `cost`), and include building it. What the papers' proxies find
is not known here.
Evolved proxies (`gm_...`, `nats_...`) have seen the accuracies of some of these networks: see the
table of generalisation.""",
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
