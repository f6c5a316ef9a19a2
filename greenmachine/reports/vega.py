"""Vega-Lite charts in a page or as an SVG, with one style and a light and a dark palette.

Charts contain the light colours, so that any viewer shows them; a style sheet replaces each by its
dark counterpart if the reader prefers a dark page.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing Altair takes half a second, and only drawing needs it
    import altair

__all__ = ["CONFIG", "PALETTE", "colour", "colour_rules", "javascript", "spec", "svg"]

PALETTE: Mapping[str, tuple[str, str]] = {
    "page": ("#ffffff", "#12161c"),
    "card": ("#f6f7f9", "#1a2029"),
    "ink": ("#1b2430", "#e6eaf0"),
    "soft": ("#5b6675", "#a2adbb"),
    "rule": ("#d9dee5", "#333d4a"),
    "c0": ("#1d66d6", "#6aa5ff"),
    "c1": ("#c2570c", "#ff9a4d"),
    "c2": ("#1a7f4b", "#4fce8b"),
    "c3": ("#8b3fc4", "#c791ff"),
    "c4": ("#b81d5b", "#ff7eae"),
    "c5": ("#0e7c86", "#45cbd6"),
    "c6": ("#7a5c00", "#e0bb45"),
    "k0": ("#d8e6ff", "#1f3c6e"),
    "k1": ("#f3dcf7", "#52305c"),
    "k2": ("#d5f0df", "#1d4d34"),
    "k3": ("#fde6c8", "#5e4117"),
    "k4": ("#ffdcdc", "#622c2c"),
    "k5": ("#e7eaee", "#353d48"),
}
"""Colours by name, on light and on dark: series are ``c0``, ``c1``, ..., kinds ``k0``, ..."""


def colour(name: str | int) -> str:
    """Return a light colour by its name, or that of series number ``name`` modulo 7."""
    return PALETTE[name if isinstance(name, str) else f"c{name % 7}"][0]


_TEXT = {"labelColor": colour("soft"), "titleColor": colour("soft"), "labelFontSize": 12}

CONFIG: Mapping[str, Any] = {
    "background": None,
    "font": "system-ui, 'DejaVu Sans', sans-serif",
    "view": {"stroke": None},
    "axis": {
        **_TEXT,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "domainColor": colour("soft"),
        "gridColor": colour("rule"),
        "tickColor": colour("soft"),
    },
    "axisX": {"grid": False},
    "axisY": {"domain": False, "ticks": False},
    "legend": {
        **_TEXT,
        "labelColor": colour("ink"),
        "columns": 2,
        "labelLimit": 400,
        "orient": "bottom",
        "symbolType": "stroke",
        "title": None,
    },
    "title": {"color": colour("ink"), "anchor": "start", "frame": "group"},
    "line": {"strokeWidth": 2, "strokeCap": "round", "strokeJoin": "round"},
    "range": {"category": [colour(place) for place in range(7)]},
    "text": {"fill": colour("soft"), "fontSize": 12},
}
"""Vega-Lite's ``config`` of every chart."""


def spec(chart: altair.TopLevelMixin) -> dict[str, Any]:
    """Return a chart as Vega-Lite, for a page that provides ``CONFIG`` and the data."""
    made: dict[str, Any] = chart.to_dict()
    del made["config"]  # Altair's own default
    return made


def svg(chart: altair.TopLevelMixin, *, title: str) -> str:
    """Return a chart with its data as SVG; equal charts give equal bytes.

    Args:
        chart: the chart.
        title: description for readers who cannot see it.
    """
    import vl_convert

    # vl-convert includes this font, so widths of labels are the same on every machine.
    font = "Liberation Sans, Arial, Helvetica, sans-serif"
    config = {**CONFIG, "background": colour("page"), "font": font, "mark": {"aria": False}}
    config["legend"] = {**CONFIG["legend"], "columns": 0, "orient": "top", "symbolType": "circle"}
    drawn = vl_convert.vegalite_to_svg({**spec(chart), "description": title}, config=config)
    head, end, rest = drawn.partition(">")
    return f"{head}{end}<style>{colour_rules()}</style>{rest}\n"


def colour_rules() -> str:
    """Return the style sheet that turns light colours of a chart into dark ones."""
    rules = "".join(
        f'[{attribute}="{light}"]{{{attribute}:{dark}}}'
        for light, dark in PALETTE.values()
        for attribute in ("fill", "stroke")
    )
    return f"@media screen and (prefers-color-scheme:dark){{{rules}}}"


@cache  # takes two seconds, always with the same result
def javascript() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that defines ``vegaEmbed``."""
    import vl_convert

    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace(
        "</script", "<\\/script"
    )
