"""Charts as inline SVG: two axes with round ticks, lines, points, a legend.

Colours are CSS classes (``c0``, ``c1``, ...), so that one drawing serves light and dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from greenmachine.reports.markup import Element, element

__all__ = ["COLOURS", "Axis", "Chart", "key"]

COLOURS = 8
"""Classes ``c0`` to ``c7`` of the style sheet; a ninth series has the first colour again."""

_LARGEST = 1e300  # floats beyond it stand there: their differences would overflow


@dataclass(frozen=True)
class Axis:
    """A range with round ticks.

    Attributes:
        low: left or lower end.
        high: right or upper end.
        step: between two ticks.
    """

    low: float
    high: float
    step: float

    @classmethod
    def over(cls, values: Iterable[float], ticks: int = 5, *, whole: bool = False) -> Axis:
        """Return the axis of all finite ``values``, which ends at ticks.

        Args:
            values: what it has to show.
            ticks: about so many.
            whole: ticks at whole numbers only, and the axis ends at the outermost values.
        """
        finite = [max(-_LARGEST, min(_LARGEST, v)) for v in values if math.isfinite(v)] or [0.0]
        low, high = min(finite), max(finite)
        if high - low <= 1e-9 * max(abs(low), abs(high)) or high - low < 1e-280:
            margin = 0.1 * max(abs(low), abs(high)) if abs(low) > 1e-280 else 1.0
            low, high = low - margin, high + margin
        power = 10.0 ** math.floor(math.log10((high - low) / ticks))
        step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs((high - low) / s - ticks))
        if whole:
            return cls(low, high, max(1.0, step))
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        return cls(low, high, step)

    @property
    def ticks(self) -> list[float]:
        """The multiples of the step within the range."""
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        return [place * self.step for place in range(first, last + 1)]

    def label(self, value: float) -> str:
        """Return ``value`` with the digits that tell two ticks apart."""
        digits = math.floor(math.log10(self.step) + 1e-9)
        size = math.floor(math.log10(max(abs(self.low), abs(self.high))) + 1e-9)
        if digits >= -4 and size < 7:
            return f"{value:,.{max(0, -digits)}f}".replace("-", "−")
        if value == 0:
            return "0"
        mantissa, _, power = f"{value:.{max(0, size - digits)}e}".partition("e")
        return f"{mantissa}e{int(power)}".replace("-", "−")

    def place(self, value: float) -> float:
        """Return where ``value`` stands, from 0 to 1; what lies outside stands at the end."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


class Chart:
    """A figure that grows: make it with its axes, add lines and points, then take ``figure``.

    Args:
        title: what is shown, in a line above it.
        x: of the horizontal axis.
        y: of the vertical axis.
        labels: titles of the two axes.
        text: what a reader who cannot see it should know.
        size: width and height, in CSS pixels where there is room.
    """

    def __init__(
        self,
        title: str,
        x: Axis,
        y: Axis,
        labels: tuple[str, str],
        text: str,
        size: tuple[int, int] = (340, 250),
    ) -> None:
        self.title = title
        self.x, self.y = x, y
        self.size = size
        marks = [y.label(tick) for tick in y.ticks]
        self._left = 30 + 6.6 * max(map(len, marks), default=0)
        self._right, self._top, self._bottom = size[0] - 14.0, 8.0, size[1] - 42.0
        self._legend: list[Element] = []
        self._svg = element(
            "svg",
            element("title", title),
            element("desc", text),
            viewBox=f"0 0 {size[0]} {size[1]}",
            role="img",
            style=f"max-width:{size[0]}px",
        )
        self._draw_axes(labels)

    def line(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        name: str,
        colour: int = 0,
        *,
        dashed: bool = False,
    ) -> None:
        """Add a line, broken where a value is not finite."""
        path, pen = [], "M"
        for x, y in zip(xs, ys, strict=True):
            if math.isfinite(y):
                path.append(f"{pen}{self._x(x):.1f} {self._y(y):.1f}")
                pen = "L"
            else:
                pen = "M"
        kind = f"line c{colour % COLOURS}{' dashed' if dashed else ''}"
        # A value between two gaps, or alone, is a line of no length: its round ends are a dot.
        self._svg.append(element("path", class_=kind, d="".join(path) + ("h0" if path else "")))
        self._legend.append(key(name, kind))

    def points(
        self, xs: Sequence[float], ys: Sequence[float], colour: int = 0, radius: float = 2.2
    ) -> None:
        """Add a dot for every pair of finite values."""
        group = element("g", class_=f"dots c{colour % COLOURS}")
        for x, y in zip(xs, ys, strict=True):
            if math.isfinite(x) and math.isfinite(y):
                group.append(element("circle", cx=self._x(x), cy=self._y(y), r=radius))
        self._svg.append(group)

    def figure(self, note: str = "") -> Element:
        """Return the drawing with its title, the legend where lines have names, and a note."""
        made = element("figure", element("figcaption", self.title), self._svg)
        made.set("class", "chart")
        if len(self._legend) > 1:
            made.append(element("ul", *self._legend, class_="legend"))
        if note:
            made.append(element("p", note, class_="note"))
        return made

    def _x(self, value: float) -> float:
        return self._left + self.x.place(value) * (self._right - self._left)

    def _y(self, value: float) -> float:
        return self._bottom - self.y.place(value) * (self._bottom - self._top)

    def _draw_axes(self, labels: tuple[str, str]) -> None:
        add = self._svg.append
        for tick in self.y.ticks:
            at = self._y(tick)
            add(element("path", class_="grid", d=f"M{self._left:.1f} {at:.1f}H{self._right:.1f}"))
            add(element("text", self.y.label(tick), x=self._left - 6, y=at + 4, class_="end"))
        for tick in self.x.ticks:
            at = self._x(tick)
            add(element("path", class_="axis", d=f"M{at:.1f} {self._bottom:.1f}v4"))
            add(element("text", self.x.label(tick), x=at, y=self._bottom + 17, class_="mid"))
        edge = f"M{self._left:.1f} {self._bottom:.1f}H{self._right:.1f}"
        add(element("path", class_="axis", d=edge))
        middle = (self._left + self._right) / 2
        add(element("text", labels[0], x=middle, y=self.size[1] - 6, class_="mid"))
        middle = (self._top + self._bottom) / 2
        turned = f"translate(12 {middle:.1f}) rotate(-90)"
        add(element("text", labels[1], transform=turned, class_="mid"))


def key(name: str, kind: str) -> Element:
    """Return an entry of a legend: a swatch of CSS class ``kind``, and ``name``."""
    return element("li", element("span", class_=f"swatch {kind}"), name)
