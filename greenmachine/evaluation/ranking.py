"""How well scores rank: tables of tau, and of more, beside the baselines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from greenmachine.benchmarks import Benchmark
from greenmachine.errors import ConfigError
from greenmachine.evaluation.combining import sums_among, with_rank_sums
from greenmachine.evaluation.seeds import seed_table
from greenmachine.fitness import rank_row
from greenmachine.proxies.joins import joined_scores

__all__ = ["LEAST_RANKED", "ONE_SEED", "seed_row", "tau_table"]

LEAST_RANKED = 3
"""Fewer networks have no spread."""

ONE_SEED = "(one seed)"
"""What tables call how well the accuracy of one training ranks like that of the others."""


def tau_table(
    frame: pd.DataFrame, benchmark: Benchmark, dataset: str, directions: Mapping[str, int]
) -> pd.DataFrame:
    """Return a row for every proxy of ``frame`` and for every baseline, the best first.

    Args:
        frame: with ``index`` and a column a proxy.
        benchmark: where the accuracies come from.
        dataset: its data set.
        directions: of the proxies; baselines count as higher is better. Rank sums of columns rank
            the networks of ``frame``, whatever set a column of theirs was made on.

    Returns:
        ``proxy``, ``direction``, and what ``greenmachine.fitness.rank_row`` says, for what the
        columns can be joined to as well (``greenmachine.proxies.joins``). Baselines are in
        brackets; they are of the same networks. So is :func:`seed_row`. Where a proxy has several
        seeds, these are of its mean score, and the columns of
        ``greenmachine.evaluation.seeds.seed_table`` follow, NaN for the others.

    Raises:
        ConfigError: ``frame`` has fewer than ``LEAST_RANKED`` rows.
    """
    if len(frame) < LEAST_RANKED:
        raise ConfigError(f"{len(frame)} networks cannot be ranked: {LEAST_RANKED} are the least")
    indices = frame["index"].to_numpy()
    accuracy = benchmark.accuracy(dataset)[indices]
    sums = sums_among(directions, frame.columns)
    frame = with_rank_sums(frame, sums, directions) if sums else frame
    columns = {
        name: (frame[name].to_numpy(dtype=np.float64), direction)
        for name, direction in directions.items()
    }
    whole = {name: direction * scores for name, (scores, direction) in columns.items()}
    columns |= {name: (scores, 1) for name, scores in joined_scores(whole).items()}
    trivial = benchmark.trivial_scores(dataset, indices)
    columns |= {f"({name})": (scores, 1) for name, scores in trivial.items()}
    rows = [
        {"proxy": name, "direction": direction, **rank_row(scores, accuracy, direction)}
        for name, (scores, direction) in columns.items()
    ]
    seeds = benchmark.seed_accuracies(dataset)[:, indices]
    if len(seeds) > 1:
        rows.append({"proxy": ONE_SEED, "direction": 1, **seed_row(seeds)})
    table = pd.DataFrame(rows)
    if len(of_seeds := seed_table(frame, accuracy, directions)):
        table = table.merge(of_seeds, on="proxy", how="left", validate="1:1")
    return table.sort_values("tau", ascending=False, ignore_index=True, na_position="last")


def seed_row(seeds: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return how well one training ranks networks like the mean of the others.

    It tells how noisy the accuracies are. A proxy may rank better like their mean than one training
    does, because its score has not the noise of a training.

    Args:
        seeds: (seeds, networks), two or more, accuracies in percent.

    Returns:
        The means over the seeds of what ``greenmachine.fitness.rank_row`` says of each of them
        against the mean of the others.
    """
    rows = []
    for place, own in enumerate(seeds):
        others = np.delete(seeds, place, axis=0).mean(axis=0)
        rows.append(rank_row(own, others, 1))
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return means | {name: rows[0][name] for name in ("networks", "failed")}
