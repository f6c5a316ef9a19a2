"""The figure of a table, an SVG: a panel a space and data set, a line a proxy, a dot a protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import tostring

import pandas as pd

from greenmachine.reports.charts import Axis
from greenmachine.reports.markup import STYLE, Element, element
from greenmachine.tables.base import Drawing

__all__ = ["draw"]

_LINE, _PANEL, _GAP, _EDGE = 15.0, 240.0, 38.0, 12.0
_LETTER = 7.3  # width of a wide one of 12 px


def draw(table: pd.DataFrame, drawing: Drawing, keys: Sequence[str]) -> str:
    """Return the SVG, with what is published as hollow diamonds in the colour of its protocol.

    Args:
        table: the long rows.
        drawing: what of them is shown.
        keys: columns that tell the lines apart.
    """
    shown = table[table["metric"] == drawing.metric]
    shown = shown[shown["protocol"].isin(drawing.protocols)]
    names = [", ".join(map(str, key)) for key in shown[list(keys)].itertuples(index=False)]
    shown = shown.assign(line=names, x=_values(shown["mean"], drawing))
    shown = shown.assign(reference=_values(shown["published"], drawing))
    shown = shown[shown["x"].notna() | shown["reference"].notna()]
    letters = max(map(len, shown["line"]), default=0)
    left = _EDGE + _LETTER * letters + 12
    panels = shown.groupby("space", sort=False)["dataset"].nunique().max() if len(shown) else 1
    width = max(left + panels * (_PANEL + _GAP), 640.0)
    parts: list[Element] = [element("text", drawing.title, x=_EDGE, y=20, class_="name stress")]
    parts += _legend(drawing, shown, 40)
    top = 62.0
    for space, rows in shown.groupby("space", sort=False):
        lines = _sorted(rows, drawing)
        bottom = top + 20 + _LINE * len(lines)
        for name, y in lines.items():
            at = top + 20 + y
            parts.append(element("text", name, x=left - 12, y=at + 4, class_="end name"))
        for number, (dataset, part) in enumerate(rows.groupby("dataset", sort=False)):
            edge = left + number * (_PANEL + _GAP)
            title = element("text", f"{space}, {dataset}", x=edge, y=top + 4, class_="name stress")
            parts += [title, *_panel(part, drawing, lines, edge, top + 20, bottom)]
        top = bottom + 64
    height = max(top - 16, 80.0)
    svg = element(
        "svg",
        element("style", STYLE.read_text(encoding="utf-8")),
        element("rect", width=width, height=height, style="fill:var(--page)"),
        element("title", drawing.title),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=width,
        height=height,
        role="img",
        font_family="system-ui, 'DejaVu Sans', sans-serif",
    )
    return tostring(svg, encoding="unicode") + "\n"


def _values(values: pd.Series[float], drawing: Drawing) -> pd.Series[float]:
    if not drawing.logarithmic:
        return values.astype(float)
    return values.astype(float).map(lambda v: math.log10(v) if v > 0 else math.nan)


def _sorted(rows: pd.DataFrame, drawing: Drawing) -> dict[str, float]:
    """Return how far down each line stands: the best first, by the first protocol that it has."""
    known = rows.assign(x=rows["x"].fillna(rows["reference"]))
    means = known.pivot_table(index="line", columns="protocol", values="x", aggfunc="mean")
    order = means.reindex(columns=list(drawing.protocols)).bfill(axis=1).iloc[:, 0]
    names = order.sort_values(ascending=drawing.logarithmic, kind="stable").index
    return {str(name): (place + 0.5) * _LINE for place, name in enumerate(names)}


def _legend(drawing: Drawing, shown: pd.DataFrame, y: float) -> list[Element]:
    made, x = [], _EDGE + 4
    present = [name for name in drawing.protocols if (shown["protocol"] == name).any()]
    for name in present:
        colour = drawing.protocols.index(name)
        dot = element("circle", cx=x, cy=y, r=4)
        made.append(element("g", dot, class_=f"dots c{colour}"))
        made.append(element("text", name, x=x + 9, y=y + 4))
        x += 32 + 7 * len(name)
    if shown["reference"].notna().any():
        made += [_diamond(x, y, "c7"), element("text", "published", x=x + 9, y=y + 4)]
    return made


def _panel(
    part: pd.DataFrame,
    drawing: Drawing,
    lines: Mapping[str, float],
    left: float,
    top: float,
    bottom: float,
) -> list[Element]:
    axis = Axis.over([*part["x"], *part["reference"]], 4, whole=drawing.logarithmic)
    made = []

    def across(value: float) -> float:
        return left + axis.place(value) * _PANEL

    for tick in axis.ticks:
        label = _power(tick) if drawing.logarithmic else axis.label(tick)
        path = f"M{across(tick):.1f} {top:.1f}V{bottom:.1f}"
        made.append(element("path", class_="grid", d=path))
        made.append(element("text", label, x=across(tick), y=bottom + 16, class_="mid"))
    middle = left + _PANEL / 2
    made.append(element("text", drawing.axis, x=middle, y=bottom + 33, class_="mid"))
    for colour, protocol in enumerate(drawing.protocols):
        group = element("g", class_=f"dots c{colour}")
        for row in part[part["protocol"] == protocol].to_dict("records"):
            y = top + lines[str(row["line"])]
            mean, std = float(row["x"]), float(row["std"])
            if colour == 0 and math.isfinite(mean + std) and not drawing.logarithmic:
                whisker = f"M{across(mean - std):.1f} {y:.1f}H{across(mean + std):.1f}"
                made.append(element("path", class_="line c0", d=whisker, style="stroke-width:1"))
            if math.isfinite(mean):
                group.append(element("circle", cx=across(mean), cy=y, r=3.4))
        made.append(group)
        for row in part[part["protocol"] == protocol].to_dict("records"):
            y, reference = top + lines[str(row["line"])], float(row["reference"])
            if math.isfinite(reference):
                made.append(_diamond(across(reference), y, f"c{colour}"))
    return made


def _diamond(x: float, y: float, colour: str) -> Element:
    return element("path", class_=f"line {colour}", d=f"M{x - 4:.1f} {y:.1f}l4 -4l4 4l-4 4z")


def _power(exponent: float) -> str:
    return f"{10**exponent:.3g}"
