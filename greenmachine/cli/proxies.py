"""``greenmachine proxies``: the named proxies and what they compute."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from greenmachine.proxies import PROXIES, ExpressionProxy, Proxy, resolve

__all__ = ["app"]

app = typer.Typer(help="The proxies that have a name, and what they say.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_GOOD = {1: "high is good", -1: "low is good"}


@app.command("list")
def list_proxies(as_json: _Json = False) -> None:
    """Show the named proxies: form, direction, passes, reference.

    Example: greenmachine proxies list
    """
    if as_json:
        typer.echo(json.dumps([_facts(proxy) for proxy in PROXIES]))
        return
    table = Table(box=None, header_style="bold")
    for column in ("name", "form", "direction", "passes", "reference"):
        table.add_column(column, no_wrap=column != "reference")
    for proxy in PROXIES:
        form = "expression" if isinstance(proxy, ExpressionProxy) else "function"
        good, reference = _GOOD[proxy.direction], escape(proxy.reference)
        table.add_row(proxy.name, form, good, _passes(proxy), reference)
    Console().print(table)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="A name, an expression, an exported .py, or a run's folder.")
    ],
    as_json: _Json = False,
) -> None:
    """Show one proxy: formula or function, words, direction, passes, reference, notes.

    Example: greenmachine proxies show synflow
    """
    proxy = resolve(name)
    if as_json:
        typer.echo(json.dumps(_facts(proxy)))
        return
    expression, function = _forms(proxy)
    rows = {
        "formula": expression,
        "function": function,
        "words": proxy.words if proxy.words != expression else "",
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


def _forms(proxy: Proxy) -> tuple[str | None, str | None]:
    """Return the expression and the path of the function, one of them None."""
    if isinstance(proxy, ExpressionProxy):
        return proxy.expression, None
    return None, f"{proxy.function.__module__}.{proxy.function.__qualname__}"


def _passes(proxy: Proxy) -> str:
    return ", ".join(proxy.passes) or "none"


def _facts(proxy: Proxy) -> dict[str, Any]:
    expression, function = _forms(proxy)
    return {
        "name": proxy.name,
        "expression": expression,
        "function": function,
        "direction": proxy.direction,
        "passes": list(proxy.passes),
        "reference": proxy.reference,
        "words": proxy.words,
        "notes": proxy.notes,
    }
