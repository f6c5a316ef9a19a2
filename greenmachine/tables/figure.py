"""The figure of a table, an SVG: one panel per space and data set, one row per proxy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from greenmachine.reports.vega import colour, svg
from greenmachine.tables.base import Drawing

if TYPE_CHECKING:
    import altair

__all__ = ["draw"]


def draw(table: pd.DataFrame, drawing: Drawing, keys: Sequence[str]) -> str:
    """Return the SVG; published values are hollow diamonds in the colour of their protocol.

    Args:
        table: the long rows.
        drawing: which of them are shown.
        keys: columns that identify the rows of the figure.
    """
    import altair as alt

    shown = table[(table["metric"] == drawing.metric) & table["protocol"].isin(drawing.protocols)]
    names = [", ".join(map(str, key)) for key in shown[list(keys)].itertuples(index=False)]
    values = shown[["mean", "std", "published"]].astype(float)
    if drawing.logarithmic:  # zero and negative values have no logarithm
        values = values.where(values > 0)
    shown = shown[["space", "dataset", "protocol"]].assign(line=names, **values)
    first = shown["protocol"] == drawing.protocols[0]
    for column, side in (("low", -1), ("high", 1)):
        end = shown["mean"] + side * shown["std"]
        shown[column] = end.where(first & (not drawing.logarithmic))
    shown = shown[shown["mean"].notna() | shown["published"].notna()]
    rows = [
        alt.hconcat(
            *(
                _panel(part, drawing, order, f"{space}, {dataset}", labels=number == 0)
                for number, (dataset, part) in enumerate(of_space.groupby("dataset", sort=False))
            ),
            spacing=36,
        )
        for space, of_space in shown.groupby("space", sort=False)
        for order in [_order(of_space, drawing)]
    ]
    chart = (
        alt.vconcat(*rows, spacing=28)
        .resolve_scale(color="shared", shape="shared")
        .properties(title=alt.Title(drawing.title, fontSize=13, offset=8), padding=12)
    )
    return svg(chart, title=drawing.title)


def _order(rows: pd.DataFrame, drawing: Drawing) -> list[str]:
    """Return the rows of the figure, the best first, by the first protocol that each has."""
    values = rows["mean"].fillna(rows["published"])
    known = rows.assign(x=np.log10(values) if drawing.logarithmic else values)
    means = known.pivot_table(index="line", columns="protocol", values="x", aggfunc="mean")
    best = means.reindex(columns=list(drawing.protocols)).bfill(axis=1).iloc[:, 0]
    return list(best.sort_values(ascending=drawing.logarithmic, kind="stable").index)


def _panel(
    part: pd.DataFrame, drawing: Drawing, order: Sequence[str], title: str, *, labels: bool
) -> altair.LayerChart | altair.FacetChart:
    import altair as alt

    ticks, scale = alt.Axis(grid=True, domain=False, tickCount=5), alt.Scale(zero=False)
    if drawing.logarithmic:
        ends = np.log10(part[["mean", "published"]].to_numpy())
        powers = np.arange(np.floor(np.nanmin(ends)), np.ceil(np.nanmax(ends)) + 1)
        ticks = alt.Axis(grid=True, domain=False, values=list(10**powers), format="~g")
        scale = alt.Scale(type="log")
    base = alt.Chart(part).encode(
        y=alt.Y(
            "line:N",
            title=None,
            scale=alt.Scale(domain=list(order)),
            axis=alt.Axis(labelColor=colour("ink"), labelLimit=0, labelPadding=8)
            if labels
            else None,
        ),
        color=alt.Color("protocol:N", scale=alt.Scale(domain=list(drawing.protocols))),
    )

    def across(column: str) -> altair.X:
        return alt.X(f"{column}:Q", title=drawing.axis, axis=ticks, scale=scale)

    shapes = alt.Scale(domain=["published"], range=["diamond"])
    layers = [
        base.transform_filter("isValid(datum.low)").mark_rule().encode(x=across("low"), x2="high"),
        base.mark_circle(size=46, opacity=0.6).encode(x=across("mean")),
        base.mark_point(size=60, filled=False, strokeWidth=1.8, opacity=1)
        .transform_filter("isValid(datum.published)")
        .transform_calculate(source="'published'")
        .encode(x=across("published"), shape=alt.Shape("source:N", scale=shapes)),
    ]
    if part["published"].isna().all():
        del layers[-1]
    heading = alt.Title(title, fontSize=12)
    return alt.layer(*layers).properties(width=240, height=alt.Step(15), title=heading)
