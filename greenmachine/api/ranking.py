"""The table that ``greenmachine.rank`` returns, formatted for a terminal and for a notebook."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator
from html import escape
from io import StringIO
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from greenmachine.errors import printable

__all__ = ["Ranking"]

WIDTH = 80
_SHOWN = 40  # networks
_NAME = 30  # characters reserved for the name of a network
_LONGEST = 16  # characters of a proxy's name above its column; a longer name becomes a footnote


class Ranking(pd.DataFrame):
    """The rows of ``greenmachine.rank``: a data frame with a print of its own.

    The print is at most 80 characters wide and begins with the best networks. The lines below the
    table say why networks have no score. A frame that pandas derives from it, such as a selection
    of rows, prints in the same way if it still has these columns.
    """

    @property
    def _constructor(self) -> Callable[..., Ranking]:
        return Ranking

    def __repr__(self) -> str:
        if not self._is_whole():
            return super().__repr__()
        names = _score_columns(self)
        long = [name for name in names if len(name) > _LONGEST]
        marks = {name: f"[{place}]" for place, name in enumerate(long, 1)}
        shown = self.head(_SHOWN)
        parts = [_text(shown, block, marks) for block in _blocks(shown, names, marks)]
        notes = [f"{mark} {name}" for name, mark in marks.items()]
        notes += _notes(self)
        lines = [
            line
            for note in notes
            for line in textwrap.wrap(note, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        ]
        return "\n\n".join([*parts, *(["\n".join(lines)] if lines else [])])

    def _repr_html_(self) -> str:
        if not self._is_whole():
            return self.to_html()
        shown = self.head(_SHOWN)
        columns: dict[str, list[Any]] = {"rank": [*shown["rank"]], "network": [*shown["name"]]}
        for name in _score_columns(self):
            columns[name] = [_cell(row, name) for _, row in shown.iterrows()]
        table = pd.DataFrame(columns).to_html(index=False, escape=True, border=0)
        return table + "".join(f"<p>{escape(note)}</p>" for note in _notes(self))

    def _is_whole(self) -> bool:
        return {"name", "rank", "coverage", "failure"} <= set(
            self.columns
        ) and self.columns.is_unique


def _score_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of scores, in order."""
    others = {"name", "deviation", "rank", "coverage", "failure"}
    return [
        name
        for name in map(str, frame.columns)
        if name not in others and _owner(frame, name) is None
    ]


def _owner(frame: pd.DataFrame, name: str) -> str | None:
    """Return the proxy whose ranks or deviations are in column ``name``; None for other columns."""
    for proxy in (name.removesuffix(" rank"), name.removesuffix(" deviation")):
        if proxy != name and proxy in frame.columns:
            return proxy
    return None


def _cell(row: pd.Series[Any], name: str) -> str:
    """Return the score of a network, with its deviation over seeds and its rank by this proxy."""
    value, place = row[name], row.get(f"{name} rank")
    if not math.isfinite(value):
        return "–" if math.isnan(value) else str(value)
    spread = row.get("deviation" if name == "score" else f"{name} deviation")
    text = f"{value:.6g}" if spread is None else f"{value:.6g} ± {spread:.2g}"
    return text if place is None else f"{text} ({place})"


def _blocks(frame: pd.DataFrame, names: list[str], marks: dict[str, str]) -> Iterator[list[str]]:
    """Yield groups of score columns that fit side by side in one table."""
    longest = max((len(printable(str(name))) for name in frame["name"]), default=0)
    room = WIDTH - len("rank") - 3 - max(min(longest, _NAME), len("network"))
    block: list[str] = []
    left = room
    for name in names:
        cells = [len(_cell(row, name)) for _, row in frame.iterrows()]
        width = 3 + max([len(marks.get(name, name)), *cells])
        if block and width > left:
            yield block
            block, left = [], room
        block.append(name)
        left -= width
    yield block


def _text(frame: pd.DataFrame, names: list[str], marks: dict[str, str]) -> str:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("network", overflow="fold")
    for name in names:
        table.add_column(Text(marks.get(name, name)), justify="right", no_wrap=True)
    for _, row in frame.iterrows():
        cells = [_cell(row, name) for name in names]
        table.add_row(str(row["rank"]), Text(printable(str(row["name"]))), *cells)
    out = StringIO()
    # Plain text for every kind of terminal, because a repr is also written to logs and files.
    plain = Console(
        file=out,
        width=WIDTH,
        force_terminal=False,
        force_jupyter=False,
        color_system=None,
        markup=False,
    )
    plain.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").splitlines())


def _notes(frame: pd.DataFrame) -> Iterator[str]:
    """Yield the lines below the table: networks that are not shown, failures and coverage."""
    if len(frame) > _SHOWN:
        yield f"and {len(frame) - _SHOWN} more networks"
    for _, row in frame.iterrows():
        name = printable(str(row["name"]))
        if row["failure"]:
            yield f"{name}: {row['failure']}"
        if row["coverage"] < 1:
            percent = math.floor(1000 * row["coverage"]) / 10
            yield f"{name}: the score covers {percent}% of its weights"
