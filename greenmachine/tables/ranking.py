"""How well every stored proxy ranks: GreenMachine's table (arXiv 2411.15290)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from greenmachine.evaluation import LEAST_RANKED
from greenmachine.fitness import directed_tau, rank_row
from greenmachine.fitness.report import FIRST
from greenmachine.tables.base import Column, Drawing, Table, long_table
from greenmachine.tables.draws import (
    BINS,
    DRAWS,
    SIZE,
    accuracy_bins,
    random_draws,
    stratified_draws,
)
from greenmachine.tables.pool import Pool
from greenmachine.tables.published import RANKING, with_published
from greenmachine.tables.sources import Scored, Stored
from greenmachine.tables.sweep import sweep

__all__ = ["PROTOCOLS", "TABLE", "at_once", "drawn", "measure", "top_accuracy"]

Floats = npt.NDArray[np.float64]

PROTOCOLS = f"""\
- `random`: {DRAWS} draws of {SIZE} of the scored networks; mean and standard deviation.
- `stratified`: the same for draws of {SIZE // BINS} networks from each of {BINS} bins of equal
  width between the least and the greatest accuracy of the space. A bin with fewer networks
  contributes all of them; column `networks` of the CSV has the mean size of a draw.
- `scored`: all scored networks, which are a random sample of the space or the whole space; ± is
  the jackknife standard error.
- `live`: the scored networks without unused operations (topology space only).
- `space`: every network of the space, for baselines and for proxies that scored all networks.
- `live_space`: every network without unused operations (topology space only).
- `stratified_space`: stratified draws from the whole space. If few networks are scored, bins of
  low accuracy have too few of them, which changes the values of `stratified`."""


def drawn(pool: Pool, whole: Floats) -> Iterator[dict[str, object]]:
    """Yield rows of tau and Spearman's rho over random and stratified draws.

    Args:
        pool: the networks to draw from; without more than ``SIZE`` of them there are no rows.
        whole: (N,) accuracies of the whole space.
    """
    if len(pool) <= SIZE:
        return
    scores = pool.matrix()
    kinds = {
        "random": random_draws(len(pool)),
        "stratified": stratified_draws(accuracy_bins(pool.accuracy, whole)),
    }
    for protocol, draws in kinds.items():
        chosen = list(draws)
        taus = np.array([directed_tau(scores[:, c], pool.accuracy[c], 1) for c in chosen])
        rhos = np.array([_spearman(scores[:, c], pool.accuracy[c]) for c in chosen])
        networks = float(np.mean([len(places) for places in chosen]))
        for metric, values in (("tau", taus), ("spearman", rhos)):
            for name, column in zip(pool.scores, values.T, strict=True):
                held = column[np.isfinite(column)]
                if len(held) > 1:
                    yield {
                        "proxy": name,
                        "protocol": protocol,
                        "metric": metric,
                        "mean": held.mean(),
                        "std": held.std(ddof=1),
                        "n": len(held),
                        "networks": networks,
                    }


def top_accuracy(scores: Floats, accuracy: Floats) -> float:
    """Return the accuracy of the network with the highest score; the mean if several tie.

    Args:
        scores: (n,); a score that is not finite means failed.
        accuracy: (n,) in percent.
    """
    ranked = np.where(np.isfinite(scores), scores, -np.inf)
    return float(accuracy[ranked == ranked.max()].mean())


def _spearman(scores: Floats, accuracy: Floats) -> Floats:
    """Return rho of each row of (rows, n), NaN if all values of a row are tied."""
    ranks = stats.rankdata(scores, axis=1)
    truth = stats.rankdata(accuracy)
    ranks, truth = ranks - ranks.mean(axis=1, keepdims=True), truth - truth.mean()
    size = np.sqrt((ranks**2).sum(axis=1) * (truth**2).sum())
    found: Floats = np.divide(ranks @ truth, size, out=np.full(len(size), np.nan), where=size > 0)
    return found


def at_once(protocol: str, pool: Pool) -> Iterator[dict[str, object]]:
    """Yield the rows of all networks of ``pool`` together; none if they are too few."""
    if len(pool) < LEAST_RANKED:
        return
    best = float(pool.accuracy.max())
    for name, scores in pool.scores.items():
        row = rank_row(scores, pool.accuracy, 1)
        top = top_accuracy(scores, pool.accuracy)
        measured: dict[str, tuple[float, float | None]] = {
            "tau": (row["tau"], row["standard_error"]),
            "spearman": (row["spearman"], None),
            "ndcg": (row["ndcg"], None),
            "tau_best": (row["tau_best"], row["standard_error_best"]),
            "top_accuracy": (top, None),
            "optimum": (best, None),
            "regret": (best - top, None),
        }
        for metric, (value, error) in measured.items():
            yield {
                "proxy": name,
                "protocol": protocol,
                "metric": metric,
                "mean": value,
                "std": error,
                "n": 1,
                "networks": len(pool),
                "failed": row["failed"],
            }


def measure(
    scored: Scored, chosen: Callable[[str], bool] = lambda name: True
) -> Iterator[dict[str, object]]:
    """Yield the rows of one space and data set under every protocol, for the ``chosen`` proxies."""
    pool, space = scored.pool.only(chosen), scored.space.only(chosen)
    yield from drawn(pool, space.accuracy)
    yield from at_once("scored", pool)
    if scored.live is not None:
        yield from at_once("live", pool.part(scored.live))
    yield from at_once("space", space)
    if scored.live_space is not None:
        yield from at_once("live_space", space.part(scored.live_space))
    for row in drawn(space, space.accuracy):
        if row["protocol"] == "stratified":
            yield {**row, "protocol": "stratified_space"}


def _rows(stored: Stored) -> pd.DataFrame:
    rows = [{**scored.place, **row} for scored in stored.scored for row in measure(scored)]
    return with_published(long_table(rows), RANKING)


TABLE = Table(
    name="greenmachine",
    title="How well proxies rank",
    introduction=f"""\
Kendall's tau-b with true test accuracy, in the direction stated for each proxy; a negative value
means that the proxy ranks in the opposite direction. Networks without a score rank last. Names in
brackets are baselines on the same networks. `greenmachine` and `eznas` have only published values,
because their formulas are not known.

{PROTOCOLS}

`nDCG` is the normalised discounted cumulative gain of the {FIRST} networks that rank first, with
gain 2^accuracy - 1 and the accuracy in percent (Tybl and Neumann, CVPR 2025). It depends on the
number of networks, so compare within a column only; the published values are for all cells without
unused operations.

`best 10 %` is tau among the most accurate tenth of the scored networks. `top` is the accuracy of
the network that the proxy ranks first (the mean if several tie), and `regret` its distance to the
best accuracy of a scored network. `az_nas` combines its four components by their ranks among the
scored networks. Evolved proxies (`gm_...`, `nats_...`) were selected on some networks of their
spaces; the table of generalisation has their values on the other networks.""",
    rows=_rows,
    columns=(
        Column("τ stratified", "stratified", "tau"),
        Column("τ stratified space", "stratified_space", "tau"),
        Column("τ random", "random", "tau"),
        Column("τ scored", "scored", "tau"),
        Column("τ live", "live", "tau"),
        Column("τ space", "space", "tau"),
        Column("τ live space", "live_space", "tau"),
        Column("τ unknown", "unknown", "tau"),
        Column("ρ scored", "scored", "spearman"),
        Column("ρ live", "live", "spearman"),
        Column("nDCG scored", "scored", "ndcg"),
        Column("nDCG live", "live", "ndcg"),
        Column("nDCG live space", "live_space", "ndcg"),
        Column("τ best 10 %", "scored", "tau_best"),
        Column("top, %", "scored", "top_accuracy", ".2f"),
        Column("regret", "scored", "regret", ".2f"),
    ),
    drawing=Drawing(
        "Kendall's tau of proxies on NATS-Bench",
        "Kendall's tau-b",
        "tau",
        ("stratified", "scored", "live"),
    ),
    recompute=sweep,
)
