"""Networks of other libraries, and the benchmarks of a user's own networks."""

from __future__ import annotations

import csv
from functools import cache

import numpy as np

from experiments.agreement import agreement
from experiments.markdown import rounded
from experiments.studies.stored import ROOT, read_table


def coverage(network: str) -> str:
    """Return the share of a network's weights that proxies read, in percent."""
    rows = read_table("libraries/libraries.csv")
    (share,) = set(rows[rows["network"] == network.replace("_", " ")]["coverage"].dropna())
    return f"{100 * share:.1f}"


@cache
def _own(name: str) -> np.ndarray:
    with (ROOT / "experiments" / "own_networks" / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    seeds = [column for column in rows[0] if column.startswith("seed_")]
    return np.array([[float(row[seed]) for seed in seeds] for row in rows])


def own_networks(name: str, what: str) -> str:
    """Return a fact of a benchmark of own networks.

    Args:
        name: ``mixed`` or ``vectors``.
        what: ``size``; ``range`` of the accuracies; ``deviation`` of the seeds; ``tau`` between
            halves of the seeds.
    """
    found = _own(name)
    if what == "range":
        means = found.mean(axis=1)
        return f"{means.min():.1f} to {means.max():.1f} %"
    if what == "deviation":
        return f"{found.std(axis=1, ddof=1).mean():.1f}"
    if what == "tau":
        return rounded(float(agreement(found.T, found.shape[1] // 2).mean()))
    return str(len(found))
