"""``greenmachine proxies``: list and describe the named proxies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from greenmachine.cli.names import completed, proxies, proxy_facts

__all__ = ["app", "facts_of", "print_facts"]

app = typer.Typer(help="List and describe the named proxies.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_GOOD = {1: "high is good", -1: "low is good"}
_DISCOVERY = ("maths", "why", "evolved on")  # of proxies that this project's runs found


@app.command("list")
def list_proxies(as_json: _Json = False) -> None:
    """List the named proxies: form, direction, passes, reference.

    Example: greenmachine proxies list
    """
    if as_json:
        typer.echo(json.dumps(proxies()))
        return
    from rich.table import Table
    from rich.text import Text

    from greenmachine.cli.console import plain_console

    table = Table(box=None, header_style="bold")
    better = {1: "high", -1: "low"}
    for column in ("name", "form", "better", "passes", "reference"):
        table.add_column(column, no_wrap=column != "reference")
    for facts in proxies():
        # One line a proxy: a narrow screen cuts the reference, which `show` prints whole.
        reference = Text(facts["reference"], no_wrap=True, overflow="ellipsis")
        direction = better[facts["direction"]]
        table.add_row(facts["name"], facts["form"], direction, _passes(facts), reference)
    plain_console().print(table)


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A name, an expression, an exported .py, or a run's folder.",
            autocompletion=completed("proxies"),
        ),
    ],
    as_json: _Json = False,
) -> None:
    """Describe one proxy: formula or function, direction, passes, reference, notes.

    Example: greenmachine proxies show synflow
    """
    facts = facts_of(name)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        print_facts(facts)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print the description of a proxy, see ``names.proxy_facts``."""
    from rich.table import Table

    from greenmachine.cli.console import plain_console

    rows = {
        "formula": facts["expression"],
        "function": facts["function"],
        "description": facts["description"] if facts["description"] != facts["expression"] else "",
        **{row: facts[row] for row in _DISCOVERY if row in facts},
        "direction": _GOOD[facts["direction"]],
        "passes": _passes(facts),
        "spaces": ", ".join(facts["spaces"] or []),
        "reference": facts["reference"],
        "notes": facts["notes"],
    }
    table = Table(box=None, show_header=False, title=facts["name"], title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row, text in rows.items():
        if text:
            table.add_row(row, text)
    plain_console().print(table)


def facts_of(text: str) -> Mapping[str, Any]:
    """Return the description of the proxy that ``text`` names."""
    for facts in proxies():
        if facts["name"] == text.strip():
            return facts
    from greenmachine.proxies import resolve

    return proxy_facts(resolve(text))


def _passes(facts: Mapping[str, Any]) -> str:
    return ", ".join(facts["passes"]) or "none"
