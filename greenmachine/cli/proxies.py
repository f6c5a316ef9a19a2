"""``greenmachine proxies``: the named proxies and what they compute."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from greenmachine.proxies import PROXIES, Proxy, resolve

__all__ = ["app"]

app = typer.Typer(help="The proxies that have a name, and what they say.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_GOOD = {1: "high is good", -1: "low is good"}


@app.command("list")
def list_proxies(as_json: _Json = False) -> None:
    """Show the named proxies: direction, passes, reference.

    Example: greenmachine proxies list
    """
    if as_json:
        typer.echo(json.dumps([_facts(proxy) for proxy in PROXIES]))
        return
    table = Table(box=None, header_style="bold")
    for column in ("name", "direction", "passes", "reference"):
        table.add_column(column, no_wrap=column != "reference")
    for proxy in PROXIES:
        table.add_row(proxy.name, _GOOD[proxy.direction], _passes(proxy), escape(proxy.reference))
    Console().print(table)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="A name, an expression, an exported .py, or a run's folder.")
    ],
    as_json: _Json = False,
) -> None:
    """Show one proxy: formula, words, direction, passes, reference, notes.

    Example: greenmachine proxies show synflow
    """
    proxy = resolve(name)
    if as_json:
        typer.echo(json.dumps(_facts(proxy)))
        return
    rows = {
        "formula": proxy.expression,
        "words": proxy.words if proxy.words != proxy.expression else "",
        "direction": _GOOD[proxy.direction],
        "passes": _passes(proxy),
        "reference": proxy.reference,
        "notes": proxy.notes,
    }
    table = Table(box=None, show_header=False, title=escape(proxy.name), title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row, text in rows.items():
        if text:
            table.add_row(row, escape(text))
    Console().print(table)


def _passes(proxy: Proxy) -> str:
    return ", ".join(proxy.passes) or "none"


def _facts(proxy: Proxy) -> dict[str, Any]:
    return {
        "name": proxy.name,
        "expression": proxy.expression,
        "direction": proxy.direction,
        "passes": list(proxy.passes),
        "reference": proxy.reference,
        "words": proxy.words,
        "notes": proxy.notes,
    }
