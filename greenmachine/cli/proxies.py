"""``greenmachine proxies``: the named proxies and what they compute."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.table import Table

from greenmachine.cli.display import plain_console
from greenmachine.proxies import (
    PROXIES,
    ArchitectureProxy,
    EvolvedProxy,
    ExpressionProxy,
    FunctionProxy,
    Proxy,
    resolve,
)

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
        good, reference = _GOOD[proxy.direction], proxy.reference
        table.add_row(proxy.name, _form(proxy), good, _passes(proxy), reference)
    plain_console().print(table)


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
        **_found(proxy),
        "direction": _GOOD[proxy.direction],
        "passes": _passes(proxy),
        "spaces": ", ".join(_spaces(proxy) or []),
        "reference": proxy.reference,
        "notes": proxy.notes,
    }
    table = Table(box=None, show_header=False, title=proxy.name, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row, text in rows.items():
        if text:
            table.add_row(row, text)
    plain_console().print(table)


def _forms(proxy: Proxy) -> tuple[str | None, str | None]:
    """Return the expression and the path of the functions, one of them None."""
    if isinstance(proxy, ExpressionProxy):
        return proxy.expression, None
    found: list[Callable[..., Any]] = [proxy.function] if isinstance(proxy, FunctionProxy) else []
    if isinstance(proxy, ArchitectureProxy):
        found += proxy.functions.values()
    return None, ", ".join(f"{function.__module__}.{function.__qualname__}" for function in found)


def _form(proxy: Proxy) -> str:
    if isinstance(proxy, ExpressionProxy):
        return "expression"
    return "architecture" if isinstance(proxy, ArchitectureProxy) else "function"


def _found(proxy: Proxy) -> dict[str, str]:
    """Return what is said of proxies that this project's runs found, and of no others."""
    if not isinstance(proxy, EvolvedProxy):
        return {}
    return {"maths": proxy.maths, "why": proxy.reason, "evolved on": proxy.evolved_on}


def _spaces(proxy: Proxy) -> list[str] | None:
    """Return the spaces whose architectures the proxy reads; None where it reads networks."""
    return list(proxy.functions) if isinstance(proxy, ArchitectureProxy) else None


def _passes(proxy: Proxy) -> str:
    return ", ".join(proxy.passes) or "none"


def _facts(proxy: Proxy) -> dict[str, Any]:
    expression, function = _forms(proxy)
    return {
        "name": proxy.name,
        "form": _form(proxy),
        "expression": expression,
        "function": function,
        "direction": proxy.direction,
        "passes": list(proxy.passes),
        "spaces": _spaces(proxy),
        "reference": proxy.reference,
        "words": proxy.words,
        "notes": proxy.notes,
        **_found(proxy),
    }
