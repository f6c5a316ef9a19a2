"""``greenmachine show``: show a formula as text, LaTeX, SymPy or tree, or the formulas of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenmachine.cli.names import completed
from greenmachine.cli.proxies import facts_of, print_facts
from greenmachine.errors import ConfigError

if TYPE_CHECKING:
    from greenmachine.evolution.equations import Equation

__all__ = ["show"]


def show(
    proxy: Annotated[
        str,
        typer.Argument(
            help="a name, an expression, an exported .py, or a run's folder",
            autocompletion=completed("proxies"),
        ),
    ],
    latex: Annotated[bool, typer.Option("--latex", help="print the formula in LaTeX")] = False,
    sympy: Annotated[
        bool, typer.Option("--sympy", help="print the formula as a SymPy expression")
    ] = False,
    tree: Annotated[
        bool, typer.Option("--tree", help="print the tree in Graphviz's language")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="write a drawing of the tree to this .svg, .dot or .gv file")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for programs")] = False,
) -> None:
    """Show a formula; for a run, also the best formula of each size.

    Examples:

      greenmachine show gm_tss

      greenmachine show runs/tss --latex

      greenmachine show "sum_layers(l2_norm(weight))" --tree

      greenmachine show gm_any --out gm_any.svg
    """
    if latex + sympy + (tree or out is not None) > 1:
        raise ConfigError("give only one of --latex, --sympy and --tree (or --out)")
    if not (latex or sympy or tree or out):
        _describe(proxy, as_json)
        return
    from greenmachine.proxies import ExpressionProxy, resolve

    found = resolve(proxy)
    if not isinstance(found, ExpressionProxy):
        raise ConfigError(
            f"proxy {found.name!r} is a function without a formula: see `greenmachine show`"
        )
    if out is not None:
        found.tree().save(out)
        typer.echo(f"{out}: the tree of {found.name}", err=True)
        return
    kind = "latex" if latex else "sympy" if sympy else "tree"
    text = str(getattr(found, kind)())
    typer.echo(json.dumps({"name": found.name, kind: text}) if as_json else text.rstrip())


def _describe(proxy: str, as_json: bool) -> None:
    """Print the description of a proxy, and for a run its Pareto front."""
    facts = dict(facts_of(proxy))
    front = _front(Path(proxy)) if "(" not in proxy and Path(proxy).is_dir() else []
    if as_json:
        rows = [_plain(equation) for equation in front]
        typer.echo(json.dumps(facts | ({"equations": rows} if front else {})))
        return
    print_facts(facts)
    if not front:
        return
    from rich.table import Table

    from greenmachine.cli.console import plain_console

    table = Table(box=None, header_style="bold", title="The best formula of each size")
    for column in ("size", "cost", "train", "validation"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("formula", overflow="fold")
    for equation in front:
        row = _plain(equation)
        tau = ["–" if row[s] is None else f"{row[s]:.3f}" for s in ("train", "validation")]
        table.add_row(str(equation.size), str(equation.cost), *tau, equation.formula)
    plain_console().print("", table)


def _front(folder: Path) -> list[Equation]:
    from greenmachine.evolution import RunFolder
    from greenmachine.evolution.equations import equations

    saved = RunFolder(folder).checkpoint()
    return equations(saved) if saved else []


def _plain(equation: Equation) -> dict[str, Any]:
    """Return a formula for JSON, which has no NaN."""
    return {name: None if value != value else value for name, value in vars(equation).items()}
