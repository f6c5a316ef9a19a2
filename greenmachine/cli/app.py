"""The application: its commands, and how its errors reach a person."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from greenmachine import __version__
from greenmachine.cli import data, forest, proxies
from greenmachine.cli.evaluate import evaluate
from greenmachine.cli.evolve import evolve
from greenmachine.cli.export import export
from greenmachine.cli.report import report
from greenmachine.cli.reproduce import reproduce
from greenmachine.cli.score import score
from greenmachine.errors import GreenMachineError
from greenmachine.workers import WorkerWarning, keep_freed_memory

__all__ = ["app", "main"]

app = typer.Typer(
    name="greenmachine",
    help="Discover zero-cost proxies for neural architecture search by genetic programming.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(evolve)
app.command()(export)
app.command()(report)
app.command()(score)
app.command()(evaluate)
app.command()(reproduce)
app.add_typer(proxies.app, name="proxies")
app.add_typer(forest.app, name="forest")
app.add_typer(data.app, name="data")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    shown: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="and exit")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line: exit code 0, 1 where something failed, 2 for bad usage."""
    try:
        keep_freed_memory()
        with _worker_warnings():
            app()
    except GreenMachineError as error:
        typer.echo(f"greenmachine: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("greenmachine: stopped", err=True)
        sys.exit(1)
    except OSError as error:  # full disk, no permission: the system's words say it
        typer.echo(f"greenmachine: {error}", err=True)
        sys.exit(1)


@contextmanager
def _worker_warnings() -> Iterator[None]:
    """Inside, say in one line each time that work is repeated."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **at: Any) -> None:
            if issubclass(category, WorkerWarning):
                print(f"greenmachine: {message}", file=sys.stderr, flush=True)
            else:
                others(message, category, *where, **at)

        warnings.simplefilter("always", WorkerWarning)
        warnings.showwarning = show
        yield
