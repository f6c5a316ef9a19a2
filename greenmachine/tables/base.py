"""A table: its long rows, and what of them its Markdown and its figure show."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import pandas as pd

from greenmachine.tables.sources import Stored
from greenmachine.workers import Progress

__all__ = ["COLUMNS", "Bar", "Column", "Drawing", "Table", "long_table"]

Bar = Callable[[str], AbstractContextManager[Progress]]
"""Makes a progress callback for some work, and shows it while the context lasts."""

COLUMNS = [
    "proxy",
    "space",
    "dataset",
    "protocol",
    "metric",
    "mean",
    "std",
    "n",
    "published",
    "networks",
    "failed",
]
"""Of every table, in this order; a table may have more behind them.

``mean`` and ``std`` are over ``n`` draws, seeds or networks. Where ``n`` is 1, ``mean`` is the one
value and ``std`` its standard error, or empty. ``networks`` are those that a value is of (their
mean over the draws), ``failed`` how many of them had no score.
"""


@dataclass(frozen=True)
class Column:
    """A column of the Markdown.

    Attributes:
        title: its head.
        protocol: of the rows that it shows.
        metric: likewise.
        form: how its values are written.
    """

    title: str
    protocol: str
    metric: str
    form: str = ".3f"


@dataclass(frozen=True)
class Drawing:
    """What the figure shows: a panel a space and data set, a line a proxy, a dot a protocol.

    Attributes:
        title: what is drawn, in a line.
        axis: what the horizontal axis is.
        metric: of the rows.
        protocols: a colour each; the first one sorts the lines.
        logarithmic: whether the axis is of powers of ten: for what is the better the less it is.
            Zero is not drawn there.
    """

    title: str
    axis: str
    metric: str
    protocols: tuple[str, ...]
    logarithmic: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the papers, made again.

    Attributes:
        name: on the command line, and of its files.
        title: heading.
        words: what stands above it.
        rows: from stored scores the long rows, with ``COLUMNS``.
        columns: of the Markdown.
        drawing: the figure.
        recompute: makes anew what is stored, with so many workers; None where nothing is.
        keys: columns that tell its lines apart.
    """

    name: str
    title: str
    words: str
    rows: Callable[[Stored], pd.DataFrame]
    columns: tuple[Column, ...]
    drawing: Drawing
    recompute: Callable[[Stored, Bar, int], None] | None = None
    keys: tuple[str, ...] = ("proxy",)


def long_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Return rows with all ``COLUMNS``; what a row does not say is empty."""
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*COLUMNS, *(c for c in frame.columns if c not in COLUMNS)])
    # A column in which no row says anything has no type of its own.
    return frame.astype(dict.fromkeys(COLUMNS[COLUMNS.index("mean") :], np.float64))
