"""Tables of tau and other measures of how well scores rank, with the baselines."""

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
from greenmachine.proxies.combinations import combined_scores

__all__ = ["LEAST_RANKED", "ONE_SEED", "common_seeds", "seed_row", "tau_table"]

LEAST_RANKED = 3
"""Smallest number of networks that can be ranked; fewer have no standard error."""

ONE_SEED = "(one seed)"
"""Name of the table row for the agreement between one training and the mean of the others."""


def tau_table(
    frame: pd.DataFrame, benchmark: Benchmark, dataset: str, directions: Mapping[str, int]
) -> pd.DataFrame:
    """Return one row for every proxy of ``frame`` and for every baseline, the best first.

    Args:
        frame: scores with ``index`` and one column per proxy.
        benchmark: benchmark with the accuracies.
        dataset: data set of the benchmark.
        directions: directions of the proxies; for baselines higher is better. Rank sums are
            computed again over the networks of ``frame``, even if it has such a column.

    Returns:
        ``proxy``, ``direction`` and the columns of ``greenmachine.fitness.rank_row``. The table
        also has rows for the combinations that can be computed from the columns
        (``greenmachine.proxies.combinations``), for the baselines on the same networks (names in
        brackets), and for :func:`seed_row`. For a proxy with several seeds the mean score is
        ranked, and the columns of ``greenmachine.evaluation.seeds.seed_table`` are added; they are
        NaN for other rows.

    Raises:
        ConfigError: ``frame`` has fewer than ``LEAST_RANKED`` rows.
    """
    if len(frame) < LEAST_RANKED:
        raise ConfigError(
            f"{len(frame)} networks are too few to rank: score {LEAST_RANKED} or more of them"
        )
    indices = frame["index"].to_numpy()
    accuracy = benchmark.accuracy(dataset)[indices]
    sums = sums_among(directions, frame.columns)
    frame = with_rank_sums(frame, sums, directions) if sums else frame
    columns = {
        name: (frame[name].to_numpy(dtype=np.float64), direction)
        for name, direction in directions.items()
    }
    whole = {name: direction * scores for name, (scores, direction) in columns.items()}
    columns |= {name: (scores, 1) for name, scores in combined_scores(whole).items()}
    baselines = benchmark.baseline_scores(dataset, indices)
    columns |= {f"({name})": (scores, 1) for name, scores in baselines.items()}
    rows = [
        {"proxy": name, "direction": direction, **rank_row(scores, accuracy, direction)}
        for name, (scores, direction) in columns.items()
    ]
    seeds = common_seeds(benchmark, dataset, indices)
    if len(seeds) > 1:
        rows.append({"proxy": ONE_SEED, "direction": 1, **seed_row(seeds)})
    table = pd.DataFrame(rows)
    if len(of_seeds := seed_table(frame, accuracy, directions)):
        table = table.merge(of_seeds, on="proxy", how="left", validate="1:1")
    return table.sort_values("tau", ascending=False, ignore_index=True, na_position="last")


def common_seeds(
    benchmark: Benchmark, dataset: str, indices: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the accuracies of the training seeds that all of these networks have, in percent.

    Args:
        benchmark: the benchmark.
        dataset: one of its data sets.
        indices: (networks,), indices of architectures.

    Returns:
        (seeds, networks).
    """
    seeds = benchmark.seed_accuracies(dataset)[:, indices]
    return seeds[np.isfinite(seeds).all(axis=1)]


def seed_row(seeds: npt.NDArray[np.float64]) -> dict[str, float]:
    """Measure how well the accuracies of one training rank like the mean of the others.

    The result shows how noisy the accuracies are. A proxy may agree better with the mean than a
    single training does, because its score does not have the noise of a training.

    Args:
        seeds: (seeds, networks), accuracies in percent of two or more seeds.

    Returns:
        The columns of ``greenmachine.fitness.rank_row`` for each seed against the mean of the
        others, averaged over the seeds.
    """
    rows = []
    for place, own in enumerate(seeds):
        others = np.delete(seeds, place, axis=0).mean(axis=0)
        rows.append(rank_row(own, others, 1))
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return means | {name: rows[0][name] for name in ("networks", "failed")}
