"""``greenmachine list``: list named primitives, passes, parts, proxies and benchmarks."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["Listed", "list_names"]


class Listed(StrEnum):
    """Kinds of things that can be listed."""

    PRIMITIVES = "primitives"
    PASSES = "passes"
    OBJECTIVES = "objectives"
    SELECTIONS = "selections"
    CALLBACKS = "callbacks"
    PROXIES = "proxies"
    BENCHMARKS = "benchmarks"


def list_names(
    what: Annotated[Listed, typer.Argument(help="what to list")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for programs")] = False,
) -> None:
    """List the names that settings and commands can use, including those of plugins.

    Examples:

      greenmachine list primitives

      greenmachine list selections --json

      greenmachine list passes --plugin my_words.py
    """
    from greenmachine.cli.names import listed

    rows = listed(what.value)
    if as_json:
        typer.echo(json.dumps(rows))
        return

    from rich.table import Table
    from rich.text import Text

    from greenmachine.cli.console import plain_console

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in rows[0]:
        table.add_column(column, no_wrap=column in ("name", "origin"), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    plain_console().print(table)


def _cell(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
