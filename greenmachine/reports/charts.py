"""The charts of a run: convergence, cost, and how its champion ranks networks.

A chart refers to its table by name (``history``, ``scores``); a page contains every table once.
:func:`history_table` and similar functions make those tables. Nothing here depends on the files of
a run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import altair as alt
import numpy as np
import pandas as pd
from scipy.stats import rankdata

from greenmachine.evolution.equations import Equation
from greenmachine.reports.plots import without_outliers
from greenmachine.reports.vega import colour

__all__ = [
    "Scatter",
    "comparison",
    "comparison_table",
    "front_chart",
    "front_table",
    "history_charts",
    "history_table",
    "ranks",
    "scatter",
    "score_table",
    "usage",
    "usage_table",
]

_LARGEST = 1e300  # larger scores are drawn here, because their differences would overflow
_PRIMITIVES, _COLUMNS = 24, 60  # most rows and columns; more would not be readable
_GENERATION = alt.X("generation:Q", axis=alt.Axis(tickMinStep=1, tickCount=5, format="d")).scale(
    nice=False, zero=False
)
_Layers: TypeAlias = alt.LayerChart | alt.FacetChart


class Scatter(NamedTuple):
    """A chart of one sample, with the numbers of its networks that are shown, failed and far."""

    chart: alt.TopLevelMixin
    networks: int
    shown: int
    failed: int
    far: int


def history_table(history: pd.DataFrame) -> pd.DataFrame:
    """Return the table for :func:`history_charts`, one row per generation.

    Args:
        history: ``history.csv``, whose counters and seconds are cumulative.
    """
    new = history.diff().fillna(history)
    # The counters of the cache start again when a run is resumed.
    new = new.where(new >= 0, history)
    asked = new["cache_hits"] + new["cache_misses"]
    return pd.DataFrame(
        {
            "generation": history["generation"],
            "best on train": history["best"],
            "best on validation": history["best_validation"],
            "mean on train": history["mean"],
            "distinct": 100 * history["diversity"],
            "largest": history["largest_size"],
            "mean size": history["mean_size"],
            # The first generation includes the capture, and would hide all others.
            "seconds": new["seconds"].where((history["generation"] > 0) | (len(new) == 1)),
            "evaluated": new["evaluated"],
            "cache hits": 100 * new["cache_hits"] / asked.where(asked > 0),
        }
    )


def history_charts() -> dict[str, alt.TopLevelMixin]:
    """Return the charts of a :func:`history_table` with the name ``history`` in the page."""
    return {
        "fitness": _lines(["best on train", "best on validation", "mean on train"], "fitness"),
        "diversity": _lines(["distinct"], "% of the population", [0, 100]),
        "size": _lines(["largest", "mean size"], "nodes"),
        "seconds": _lines(["seconds"], "seconds"),
        "evaluated": _lines(["evaluated"], "expressions"),
        "hits": _lines(["cache hits"], "% of look-ups", [0, 100]),
    }


def score_table(scores: pd.DataFrame, directions: Mapping[str, int], most: int) -> pd.DataFrame:
    """Return the table for :func:`scatter` and :func:`ranks`, one row per network and sample.

    Args:
        scores: ``scores.parquet``, of one data set.
        directions: directions of the champion and the baselines, 1 or -1. Their ranks on the test
            sample are called ``rank_0``, ``rank_1``, ..., because a name may not be a valid field
            name in Vega-Lite.
        most: most networks of a sample that are kept; more are slow to draw and show nothing new.
    """
    parts = []
    for sample, part in scores.groupby("sample", sort=False):
        table = part[["sample", "index", "accuracy", "champion"]].copy()
        finite = table["champion"].where(np.isfinite(table["champion"]))
        table["champion"] = finite.clip(-_LARGEST, _LARGEST)
        if sample == "test":
            table["rank"] = rankdata(part["accuracy"])
            for place, (name, direction) in enumerate(directions.items()):
                values = direction * part[name].to_numpy()
                table[f"rank_{place}"] = rankdata(np.where(np.isfinite(values), values, -np.inf))
        # By accuracy, so that the arrow keys move from network to network in a sensible order.
        parts.append(table.iloc[:: -(-len(table) // most)].sort_values("accuracy", kind="stable"))
    return pd.concat(parts)


def scatter(
    source: str, scores: pd.DataFrame, table: pd.DataFrame, sample: str, place: int
) -> Scatter:
    """Return a chart of the champion's score against accuracy on one sample.

    A few huge scores would squeeze all others into one column. The axis therefore leaves out
    outliers that are further from the quartiles than three times the interquartile range; they are
    drawn at its edge. :func:`ranks` shows all networks.

    Args:
        source: name of ``table`` in the page.
        scores: ``scores.parquet``, of one data set.
        table: :func:`score_table` of them.
        sample: name of the sample.
        place: number of the colour.
    """
    values = scores.loc[scores["sample"] == sample, "champion"].to_numpy(np.float64)
    finite = values[np.isfinite(values)].clip(-_LARGEST, _LARGEST)
    near = without_outliers(finite)
    ends = [float(near.min()), float(near.max())] if len(near) else [0.0, 1.0]
    x = alt.X("champion:Q", title="score of the champion", axis=alt.Axis(tickCount=4))
    chart = _dots(source, sample, colour(place), 200).encode(
        x.scale(domain=ends, clamp=True),
        alt.Y("accuracy:Q", title="accuracy, %").scale(zero=False),
        tooltip=["index:Q", "accuracy:Q", alt.Tooltip("champion:Q", title="score")],
    )
    shown = int((table["sample"] == sample).sum())
    return Scatter(chart, len(values), shown, len(values) - len(finite), len(finite) - len(near))


def ranks(source: str, names: Sequence[str], networks: int) -> dict[str, alt.TopLevelMixin]:
    """Return charts of the rank of each score against the rank of the accuracy on the test sample.

    Args:
        source: name of a :func:`score_table` in the page.
        names: names of the champion and the baselines, in the order of that table.
        networks: number of networks of the test sample.
    """
    charts: dict[str, alt.TopLevelMixin] = {}
    for place, name in enumerate(names):
        ends, axis = [1, max(2, networks)], alt.Axis(tickCount=4)
        x = alt.X(f"rank_{place}:Q", title="rank of the score", axis=axis).scale(domain=ends)
        y = alt.Y("rank:Q", title="rank of the accuracy", axis=axis).scale(domain=ends)
        shown = [alt.Tooltip(f"{field}:Q") for field in ("index", "accuracy", "rank")]
        shown.append(alt.Tooltip(f"rank_{place}:Q", title="rank of the score"))
        dots = _dots(source, "test", colour("soft" if place else "c2"), 170)
        charts[name] = dots.encode(x, y, tooltip=shown)
    return charts


def front_table(front: Sequence[Equation]) -> pd.DataFrame:
    """Return the table for :func:`front_chart`, one row per formula and sample."""
    rows = [
        {"size": e.size, "tau": tau, "sample": sample, "passes": e.cost, "formula": e.formula}
        for e in front
        for sample, tau in (("train", e.train), ("validation", e.validation))
        if np.isfinite(tau)
    ]
    return pd.DataFrame(rows, columns=["size", "tau", "sample", "passes", "formula"])


def front_chart() -> _Layers:
    """Return the Pareto front of a :func:`front_table` with the name ``front`` in the page."""
    base = _chart("front", 260).encode(
        x=alt.X("size:Q", title="nodes", axis=alt.Axis(tickMinStep=1, format="d")).scale(
            zero=False, padding=14
        ),
        y=alt.Y("tau:Q", title="Kendall's τ").scale(zero=False),
        color=alt.Color("sample:N").scale(domain=["train", "validation"]),
    )
    steps = base.mark_line(interpolate="step-after").transform_filter("datum.sample == 'train'")
    shown = ["formula:N", "size:Q", "passes:Q", "sample:N", alt.Tooltip("tau:Q", format=".3f")]
    return alt.layer(steps, base.mark_circle(size=60, opacity=1).encode(tooltip=shown))


def usage_table(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the table for :func:`usage`: share of individuals by primitive and generation.

    Args:
        counts: number of individuals that contain each primitive, one row per generation, with
            ``generation`` and ``population``.
    """
    shares = (
        counts.drop(columns=["generation", "population"])
        .div(counts["population"], axis=0)
        .fillna(0.0)
    )
    last = shares.iloc[-1].sort_values(ascending=False, kind="stable")
    names = [str(name) for name in last.index[:_PRIMITIVES] if last[name] > 0]
    every = -(-len(shares) // _COLUMNS)
    # Counted from the last generation, which must be included.
    table = shares[names].assign(generation=counts["generation"]).iloc[::-every][::-1]
    return table.melt("generation", var_name="primitive", value_name="share")


def usage(table: pd.DataFrame, champion: Sequence[str]) -> _Layers:
    """Return a heat map of the most used primitives, with one column per generation.

    Args:
        table: :func:`usage_table`, with the name ``usage`` in the page.
        champion: the primitives of the champion, which are printed in bold.
    """
    is_its = f"indexof({json.dumps(list(champion))}, datum.value) >= 0"
    axis = alt.Axis(
        title=None,
        labelColor=colour("ink"),
        labelFontWeight=alt.condition(is_its, alt.value("bold"), alt.value("normal")),
        labelLimit=220,
    )
    rows = _chart("usage").encode(
        y=alt.Y("primitive:N", sort=list(dict.fromkeys(table["primitive"])), axis=axis)
    )
    cells = rows.mark_rect(color=colour(0)).encode(
        x=alt.X("generation:O", axis=alt.Axis(labelAngle=0, labelOverlap=True, domain=False)),
        opacity=alt.Opacity("share:Q", legend=None).scale(domain=[0, 1], range=[0, 1]),
        tooltip=["primitive:N", "generation:O", alt.Tooltip("share:Q", format=".0%")],
    )
    last = (
        rows.transform_filter(f"datum.generation == {table['generation'].max()}")
        .mark_text(align="left", dx=8)
        .encode(x=alt.value("width"), text=alt.Text("share:Q", format=".0%"))
    )
    return alt.layer(cells, last).properties(height=alt.Step(17))


def comparison_table(histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the table for :func:`comparison`: best fitness by run, sample and generation."""
    parts = [
        history[["generation"]].assign(fitness=history[column], run=run, sample=sample)
        for run, history in histories.items()
        for sample, column in (("validation", "best_validation"), ("train", "best"))
    ]
    return pd.concat(parts)


def comparison(runs: Sequence[str]) -> _Layers:
    """Return the best fitness of several runs by generation."""
    chosen = alt.selection_point(name="chosen", fields=["run"], bind="legend")
    base = _chart("comparison", 320).encode(
        x=_GENERATION,
        y=alt.Y("fitness:Q").scale(zero=False),
        color=alt.Color("run:N", legend=alt.Legend(columns=4)).scale(domain=list(runs)),
    )
    lines = (
        base.mark_line()
        .encode(
            strokeDash=alt.StrokeDash("sample:N").scale(
                domain=["validation", "train"], range=[[1, 0], [5, 6]]
            ),
            opacity=alt.condition(chosen, alt.value(1), alt.value(0.15)),
        )
        .add_params(chosen)
        .properties(name="lines")
    )
    names = ["run", "sample", "generation"]
    shown = [*(f"{name}:N" for name in names), alt.Tooltip("fitness:Q", format=".4f")]
    return alt.layer(lines, _hover(base.mark_circle(size=60), names, shown))


def _chart(source: str, height: int = 200) -> alt.Chart:
    return alt.Chart(alt.NamedData(source), width="container", height=height)


def _dots(source: str, sample: str, fill: str, height: int) -> alt.Chart:
    chart = _chart(source, height).transform_filter(f"datum.sample == '{sample}'")
    dots: alt.Chart = chart.mark_circle(color=fill, size=20, opacity=0.55)
    return dots


def _lines(columns: Sequence[str], unit: str, domain: Sequence[float] | None = None) -> _Layers:
    """Return lines for columns of :func:`history_table`, with all values at the pointer."""
    base = _chart("history").encode(x=_GENERATION)
    y = alt.Y("value:Q", title=unit, axis=alt.Axis(tickCount=5))
    lines = (
        base.transform_fold(list(columns), as_=["series", "value"])
        .mark_line()
        .encode(
            y=y.scale(domain=domain) if domain else y,
            color=alt.Color("series:N", legend=alt.Legend() if len(columns) > 1 else None).scale(
                domain=list(columns)
            ),
        )
    )
    values = [alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("generation", *columns)]
    return alt.layer(lines, _hover(base.mark_rule(color=colour("soft")), ["generation"], values))


def _hover(marks: alt.Chart, fields: list[str], values: list[Any]) -> alt.Chart:
    """Return marks of which only the one nearest to the pointer is visible, with ``values``."""
    # Altair numbers unnamed objects, so a second report of the same run would differ.
    near = alt.selection_point(
        name="near",
        nearest=True,
        on="pointerover",
        clear="pointerout",
        fields=fields,
        empty=False,
    )
    opacity = alt.condition(near, alt.value(0.8), alt.value(0))
    return marks.encode(opacity=opacity, tooltip=values).add_params(near).properties(name="hover")
