"""The files of a table: long rows as CSV, Markdown, a figure, and a manifest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from greenmachine.files import replace_file, sha256, write_json, write_text
from greenmachine.manifest import manifest
from greenmachine.tables.base import Table
from greenmachine.tables.figure import draw

__all__ = ["grid", "markdown", "write_table"]


def write_table(table: Table, rows: pd.DataFrame, out: Path, files: Sequence[Path]) -> list[Path]:
    """Write ``<name>.csv``, ``.md``, ``.svg`` and ``.json`` to ``out``.

    Args:
        table: the table.
        rows: its long rows.
        out: folder.
        files: files of the scores, whose checksums the manifest records.

    Returns:
        The files.
    """
    made = [out / f"{table.name}.{kind}" for kind in ("csv", "md", "svg", "json")]

    def write(temporary: Path) -> None:
        rows.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")

    replace_file(made[0], write)
    write_text(made[1], markdown(table, rows))
    write_text(made[2], draw(rows, table.drawing, table.keys))
    known = {path.name: sha256(path) for path in files}
    write_json(made[3], manifest(command=_command(table), scores=known))
    return made


def markdown(table: Table, rows: pd.DataFrame) -> str:
    """Return the Markdown: one table per space and data set, sorted by the first column.

    A column without values is left out. Published values have a column after the measured ones.
    """
    lines = [
        f"# {table.title}\n",
        f"    {_command(table)}\n",
        f"{table.introduction}\n",
        f"![{table.drawing.title}]({table.name}.svg)\n",
    ]
    for (space, dataset), part in rows.groupby(["space", "dataset"], sort=False):
        lines.append(f"## {space}, {dataset}{_counts(part)}\n")
        lines.append(grid(list(_lines(table, part))))
    return "\n".join(lines)


def _command(table: Table) -> str:
    return f"greenmachine reproduce {table.name}"


def _counts(part: pd.DataFrame) -> str:
    counts = part.loc[part["protocol"] == "scored", "networks"].dropna()
    return f": {counts.max():,.0f} networks scored" if len(counts) else ""


def _lines(table: Table, part: pd.DataFrame) -> Iterator[Mapping[str, str]]:
    """Yield the lines of one space and data set, by the headings of their columns."""
    shown: dict[str, pd.Series[str]] = {}
    order: pd.Series[float] | None = None
    for column in table.columns:
        chosen = part[(part["protocol"] == column.protocol) & (part["metric"] == column.metric)]
        by = chosen.set_index(list(table.keys))
        if by["mean"].notna().any():
            shown[column.title] = by.apply(_cell, axis=1, form=column.form)
            order = by["mean"] if order is None else order.combine_first(by["mean"])
        if by["published"].notna().any():
            texts = by["published"].map(partial(_number, form=column.form))
            shown[f"{column.title}, published"] = texts
    frame = pd.DataFrame(shown)
    if order is not None:
        frame = frame.reindex(order.reindex(frame.index).sort_values(ascending=False).index)
    for key, row in frame.iterrows():
        names = key if isinstance(key, tuple) else (key,)
        keyed = {name: f"`{value}`" for name, value in zip(table.keys, names, strict=True)}
        yield keyed | {str(h): "–" if pd.isna(text) else str(text) for h, text in row.items()}


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else f"{value:{form}}"


def _cell(row: pd.Series[float], form: str) -> str:
    value = _number(row["mean"], form)
    return value if math.isnan(row["std"]) else f"{value} ± {row['std']:{form.lstrip('+')}}"


def grid(rows: Sequence[Mapping[str, object]]) -> str:
    """Return a Markdown table of rows with the same keys, at least one."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
