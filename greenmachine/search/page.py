"""The report of a search for networks: one HTML file that needs nothing else; the front as SVG."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import altair as alt
import pandas as pd

from greenmachine.benchmarks import short_name
from greenmachine.reports.page import render
from greenmachine.reports.vega import colour, svg

if TYPE_CHECKING:
    from greenmachine.search.result import SearchResult

__all__ = ["front_svg", "page"]

_MOST = 3_000  # networks in a chart
_DATA = alt.NamedData("networks")


def page(result: SearchResult) -> str:
    """Return the whole page."""
    table = _table(result)
    goals = [goal.text for goal in result.search.goals]
    charts = {"front" if len(goals) > 1 else "progress": _chart(result, _DATA)}
    if "accuracy" in table and "accuracy" not in goals:
        charts["accuracy"] = _dots(_DATA, "goal_0", goals[0], "accuracy", "accuracy, %")
    facts = result.facts()
    return render(
        "search.html",
        {"networks": table},
        name=short_name(result.search.benchmark.name),
        goals=result.search.goals,
        facts=facts,
        settings={**facts["search"], "trials": result.search.trials},
        charts=charts,
        best=_cells(result, result.best.head(10)),
        front=_cells(result, result.front.head(100)) if len(goals) > 1 else None,
    )


def front_svg(result: SearchResult) -> str:
    """Draw the objectives of every network as SVG, with the front in another colour."""
    drawn = _chart(result, alt.InlineData(json.loads(_table(result).to_json(orient="records"))))
    chart = drawn.properties(width=520, height=340)
    return svg(chart, title=f"Networks of {short_name(result.search.benchmark.name)}")


def _table(result: SearchResult) -> pd.DataFrame:
    """Return the data of the charts, one row per scored trial; objectives are ``goal_0``, ..."""
    frame = result.trials[result.trials["state"] == "scored"]
    frame = frame.iloc[:: max(1, -(-len(frame) // _MOST))]
    front = set(result.front["arch"])
    table = pd.DataFrame({"trial": frame["trial"], "arch": frame["arch"]})
    for number, goal in enumerate(result.search.goals):
        table[f"goal_{number}"] = frame[goal.text].astype(float)
    if "accuracy" in frame and frame["accuracy"].notna().any():
        table["accuracy"] = frame["accuracy"]
    table["on"] = ["front" if arch in front else "other" for arch in frame["arch"]]
    first = result.search.goals[0]
    best = table["goal_0"].cummax() if first.direction > 0 else table["goal_0"].cummin()
    return table.assign(best=best)


def _chart(result: SearchResult, data: Any) -> Any:
    goals = result.search.goals
    if len(goals) > 1:
        dots = _dots(data, "goal_0", goals[0].text, "goal_1", goals[1].text)
        if len(goals) > 2:  # with three objectives, the front is not a line in two dimensions
            return dots
        # Between two networks of the front only the next better one reaches the first objective.
        steps: Literal["step-before", "step-after"]
        steps = "step-before" if goals[0].direction > 0 else "step-after"
        front = (
            alt.Chart(data)
            .transform_filter("datum.on == 'front'")
            .mark_line(color=colour("c1"), opacity=0.5, interpolate=steps)
            .encode(x=alt.X("goal_0:Q"), y=alt.Y("goal_1:Q"))
        )
        return alt.layer(front, dots).properties(width="container", height=300)
    dots = _dots(data, "trial", "trial", "goal_0", goals[0].text)
    line = (
        alt.Chart(data)
        .mark_line(color=colour("c0"), interpolate="step-after")
        .encode(x=alt.X("trial:Q"), y=alt.Y("best:Q").scale(zero=False))
    )
    return alt.layer(dots, line).properties(width="container", height=260)


def _dots(data: Any, x: str, x_title: str, y: str, y_title: str) -> alt.Chart:
    chart: alt.Chart = (
        alt.Chart(data, width="container", height=300)
        .mark_circle(size=28, opacity=0.7)
        .encode(
            x=alt.X(f"{x}:Q", title=x_title[:60], axis=alt.Axis(tickCount=8)).scale(zero=False),
            y=alt.Y(f"{y}:Q", title=y_title[:60]).scale(zero=False),
            color=alt.Color("on:N", legend=None).scale(
                domain=["front", "other"], range=[colour("c1"), colour("soft")]
            ),
            tooltip=["arch:N", "trial:Q", alt.Tooltip(f"{x}:Q"), alt.Tooltip(f"{y}:Q")],
        )
    )
    return chart


def _cells(result: SearchResult, frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    shown = result.shown(frame)
    percent = {name: f"{name}, %" for name in ("accuracy", "regret")}
    texts = {
        name: [_number(value, name in percent) for value in shown[name]] for name in shown.columns
    }
    rows = [list(row) for row in zip(*texts.values(), strict=True)]
    return [str(percent.get(name, name)) for name in shown.columns], rows


def _number(value: Any, percent: bool) -> str:
    if not isinstance(value, float):
        return str(value)
    if value != value:
        return "–"
    return f"{value:.2f}" if percent else f"{value:.6g}"
