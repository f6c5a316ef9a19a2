"""The charts of a run: how it converged, what it cost, how its champion ranks networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from greenmachine.evolution.outcome import PLACE, directions
from greenmachine.reports.charts import Axis, Chart
from greenmachine.reports.markup import Element
from greenmachine.reports.record import SAMPLES, Record

__all__ = ["convergence", "cost", "diversity", "generation_axis", "ranks", "scatter"]

_MOST = 1500  # dots in a chart: more are slow to draw and tell no more


def generation_axis(last: float) -> Axis:
    """Return the axis of a run (or several) that came to generation ``last``."""
    return Axis.over([0, max(1.0, last)], whole=True)


def convergence(record: Record) -> Element:
    """Return the fitness on train and validation by generation."""
    lines = {"best": "best on train", "best_validation": "best on validation", "mean": "mean"}
    note = "Fitness is τ less the parsimony of each node. Validation picks the champion."
    return _by_generation(record.history, "Fitness", "fitness", lines, note)


def diversity(record: Record) -> list[Element]:
    """Return how many individuals rank differently, and how large they are."""
    history = record.history.assign(percent=100 * record.history["diversity"])
    sizes = {"largest_size": "largest", "mean_size": "mean"}
    return [
        _by_generation(
            history,
            "Diversity",
            "% of the population",
            {"percent": "distinct"},
            "Share of the individuals that no other one equals in τ on every data set.",
            [0.0, 100.0],
        ),
        _by_generation(history, "Size of the individuals", "nodes", sizes, floor=[0.0]),
    ]


def cost(record: Record) -> list[Element]:
    """Return seconds, evaluations and the share of cache hits, a chart each, by generation."""
    history = record.history
    new = history.diff().fillna(history)
    # The counters of the cache begin again where a run was resumed.
    new = new.where(new >= 0, history)
    asked = new["cache_hits"] + new["cache_misses"]
    table = pd.DataFrame(
        {
            "generation": history["generation"],
            "seconds": new["seconds"],
            "evaluated": new["evaluated"],
            "hits": 100 * new["cache_hits"] / asked.where(asked > 0),
        }
    )
    return [
        _by_generation(
            table[1:] if len(table) > 1 else table,
            "Seconds a generation",
            "seconds",
            {"seconds": "seconds"},
            f"Generation 0 took {table['seconds'].iloc[0]:.1f} s, with the capture of the signals.",
            [0.0],
        ),
        _by_generation(
            table,
            "Evaluations a generation",
            "boundary expressions",
            {"evaluated": "evaluated"},
            "Statistics of all layers that were computed anew, on the training sample.",
            [0.0],
        ),
        _by_generation(
            table,
            "Cache hits",
            "% of what was asked",
            {"hits": "hits"},
            floor=[0.0, 100.0],
        ),
    ]


def scatter(record: Record, scores: pd.DataFrame, dataset: str) -> list[Element]:
    """Return the champion's score against accuracy, a chart a sample."""
    charts = []
    for place, sample in enumerate(SAMPLES):
        part = _part(scores, dataset, sample)
        values = part["champion"].to_numpy()
        finite = values[np.isfinite(values)]
        x, outside = _axis_without_outliers(finite)
        chart = Chart(
            f"{sample}: {_tau(record, sample, dataset, 'champion')}",
            x,
            Axis.over(part["accuracy"]),
            ("score of the champion", "accuracy, %"),
            f"Score and accuracy of {len(part)} networks.",
        )
        shown = part.iloc[:: -(-len(part) // _MOST)]
        chart.points(shown["champion"].to_list(), shown["accuracy"].to_list(), place)
        notes = [f"{len(part):,} networks"]
        notes += [f"{len(shown):,} of them drawn"] if len(shown) < len(part) else []
        notes += [f"{failed:,} failed, not drawn"] if (failed := len(part) - len(finite)) else []
        notes += [f"{outside:,} beyond the axis, on its edge"] if outside else []
        charts.append(chart.figure("; ".join(notes) + "."))
    return charts


def ranks(record: Record, scores: pd.DataFrame, dataset: str) -> list[Element]:
    """Return rank of score against rank of accuracy on test: the champion, the trivial scores."""
    table = scores[scores["dataset"] == dataset]
    # Another benchmark of the run may have trivial scores that this one lacks.
    others = set(table.columns) - {*PLACE, *record.tau["test"][dataset]}
    table = table.drop(columns=list(others))
    part = _part(scores, dataset, "test")
    truth = rankdata(part["accuracy"])
    axis = Axis.over([1.0, float(max(2, len(part)))], 3, whole=True)
    every = -(-len(part) // (_MOST // 3))
    charts = []
    for name, sign in directions(table, record.champion.direction).items():
        values = sign * part[name].to_numpy()
        rank = rankdata(np.where(np.isfinite(values), values, -np.inf))
        chart = Chart(
            f"{name}: {_tau(record, 'test', dataset, name)}",
            axis,
            axis,
            ("rank of the score", "rank of the accuracy"),
            f"Ranks of {len(part)} test networks by {name} and by accuracy.",
            size=(250, 210),
        )
        colour = 2 if name == "champion" else 7
        chart.points(rank[::every].tolist(), truth[::every].tolist(), colour, 1.6)
        charts.append(chart.figure())
    return charts


def _by_generation(
    table: pd.DataFrame,
    title: str,
    unit: str,
    lines: Mapping[str, str],
    note: str = "",
    floor: Sequence[float] = (),
) -> Element:
    """Return a chart of columns of ``table``; ``floor`` are values that its axis must hold."""
    y = Axis.over([*table[list(lines)].to_numpy().ravel().tolist(), *floor])
    last = table["generation"].iloc[-1]
    text = f"By generation, 0 to {last:.0f}: {', '.join(lines.values())}."
    chart = Chart(title, generation_axis(last), y, ("generation", unit), text)
    for colour, (column, name) in enumerate(lines.items()):
        chart.line(table["generation"].to_list(), table[column].to_list(), name, colour)
    return chart.figure(note)


def _axis_without_outliers(values: NDArray[np.float64]) -> tuple[Axis, int]:
    """Return an axis of the values but for the far outliers, and how many those are.

    A few huge scores would press all the others into one column. Far is Tukey's word: more than
    three times the distance of the quartiles away from them. :func:`ranks` shows all of them.
    """
    if len(values) == 0:
        return Axis.over(values), 0
    values = values.clip(-1e300, 1e300)  # differences of larger ones would overflow
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 3 * (high - low) or np.inf  # half of them are tied: no distance to go by
    near = values[(values >= low - reach) & (values <= high + reach)]
    return Axis.over(near.tolist()), len(values) - len(near)


def _part(scores: pd.DataFrame, dataset: str, sample: str) -> pd.DataFrame:
    return scores[(scores["dataset"] == dataset) & (scores["sample"] == sample)]


def _tau(record: Record, sample: str, dataset: str, name: str) -> str:
    score = record.tau[sample][dataset].get(name)
    return f"τ = {score.tau:.3f}" if score and math.isfinite(score.tau) else "τ undefined"
