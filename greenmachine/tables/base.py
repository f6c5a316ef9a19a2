"""A table: its long rows, and which of them its Markdown and its figure show."""

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
"""Makes a progress callback for some work, and shows it inside the context."""

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
"""The columns of every table, in this order; a table may have more after them.

``mean`` and ``std`` are over ``n`` draws, seeds or networks. If ``n`` is 1, ``mean`` is the single
value and ``std`` its standard error, or empty. ``networks`` is the number of networks of a value
(the mean over the draws), ``failed`` the number of networks without a score.
"""


@dataclass(frozen=True)
class Column:
    """A column of the Markdown.

    Attributes:
        title: its heading.
        protocol: protocol of the rows that it shows.
        metric: metric of the rows that it shows.
        form: format of its values.
    """

    title: str
    protocol: str
    metric: str
    form: str = ".3f"


@dataclass(frozen=True)
class Drawing:
    """The figure: one panel per space and data set, one line per proxy, one dot per protocol.

    Attributes:
        title: title of one line.
        axis: label of the horizontal axis.
        metric: metric of the rows.
        protocols: one colour each; the first one sorts the lines.
        logarithmic: whether the axis is logarithmic, for values of which small ones are good. Zero
            is not drawn then.
    """

    title: str
    axis: str
    metric: str
    protocols: tuple[str, ...]
    logarithmic: bool = False


@dataclass(frozen=True)
class Table:
    """A reproduced table of a paper.

    Attributes:
        name: name on the command line, and of its files.
        title: heading.
        introduction: text above the table.
        rows: computes the long rows, with ``COLUMNS``, from stored scores.
        columns: columns of the Markdown.
        drawing: the figure.
        recompute: computes what is stored, with a number of workers; None if nothing is stored.
        keys: columns that identify its lines.
    """

    name: str
    title: str
    introduction: str
    rows: Callable[[Stored], pd.DataFrame]
    columns: tuple[Column, ...]
    drawing: Drawing
    recompute: Callable[[Stored, Bar, int], None] | None = None
    keys: tuple[str, ...] = ("proxy",)


def long_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Return rows with all ``COLUMNS``; values that a row does not have are empty."""
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*COLUMNS, *(c for c in frame.columns if c not in COLUMNS)])
    # An empty column has no type.
    return frame.astype(dict.fromkeys(COLUMNS[COLUMNS.index("mean") :], np.float64))
