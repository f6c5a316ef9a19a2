"""The application: its commands, and how errors are printed.

Every command imports its modules inside its function. Importing torch and pandas takes seconds, for
which a user who asks for help, or mistypes an argument, must not wait.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

from greenmachine import __version__
from greenmachine.cli import bank, data, forest, proxies
from greenmachine.cli.evaluate import evaluate
from greenmachine.cli.evolve import evolve
from greenmachine.cli.export import export
from greenmachine.cli.listing import list_names
from greenmachine.cli.models import rank
from greenmachine.cli.names import names
from greenmachine.cli.report import report
from greenmachine.cli.reproduce import reproduce
from greenmachine.cli.score import score
from greenmachine.cli.search import search
from greenmachine.cli.show import show
from greenmachine.errors import (
    CallbackWarning,
    ConfigError,
    ExpressionError,
    GreenMachineError,
    WorkerWarning,
    minus_error,
    one_line,
)
from greenmachine.plugins import load_plugin
from greenmachine.workers import keep_freed_memory

__all__ = ["DEBUG", "app", "run"]

DEBUG = "--debug"
PLUGIN = "--plugin"

app = typer.Typer(
    name="greenmachine",
    help="Discover zero-cost proxies for neural architecture search by genetic programming.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(evolve)
app.command()(export)
app.command()(report)
app.command()(score)
app.command()(rank)
app.command()(evaluate)
app.command()(search)
app.command()(reproduce)
app.command("list")(list_names)
app.command()(show)
app.add_typer(proxies.app, name="proxies")
app.add_typer(forest.app, name="forest")
app.add_typer(data.app, name="data")
app.add_typer(bank.app, name="bank")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    shown: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="print the version and exit"
        ),
    ] = False,
    debug: Annotated[  # `run` has removed it from the arguments; here it is for the help
        bool, typer.Option(DEBUG, help="print the traceback of an error; works with any command")
    ] = False,
    plugin: Annotated[  # likewise
        list[str] | None,
        typer.Option(
            PLUGIN,
            metavar="FILE",
            help="run this Python file, or import this installed plugin, which adds primitives, "
            "passes, parts, proxies or benchmarks; works with any command; repeat it for several",
        ),
    ] = None,
) -> None:
    pass


def _load_plugins(words: Sequence[str]) -> list[str]:
    """Load every plugin that the arguments ``words`` name; return the other arguments.

    Raises:
        ConfigError: a plugin cannot be loaded, or its name is missing.
    """
    others: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            return [*others, word, *waiting]
        if name != PLUGIN:
            others.append(word)
        elif equals or waiting:
            load_plugin(value if equals else waiting.pop(0))
        else:
            raise ConfigError(f"{PLUGIN}: give a Python file, or an installed plugin")
    return others


def run(words: Sequence[str]) -> int:
    """Run a command and return its exit code: 0, 1 if something failed, 2 for bad usage.

    Any exception of a command becomes one line here, and nowhere else. ``--debug``, anywhere among
    ``words``, prints the traceback before it.
    """
    debug = DEBUG in words
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # names of files may not be valid text
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        keep_freed_memory()
        with _lines_of_warnings():
            code = app(
                _load_plugins([word for word in words if word != DEBUG]),
                prog_name="greenmachine",  # the name for which completion is installed
                standalone_mode=False,
            )
        return code if isinstance(code, int) else 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        message, code = _explained(error, words)
        if message:
            print(message, file=sys.stderr, flush=True)
        return code


def _explained(error: Exception, words: Sequence[str] = ()) -> tuple[str, int]:
    """Return the message of an error of the command ``words``, and the exit code."""
    if isinstance(error, ExpressionError):  # further lines point at the wrong character
        first, *pointing = str(error).splitlines()
        return "\n".join([f"greenmachine: {one_line(ValueError(first))}", *pointing]), 1
    if isinstance(error, GreenMachineError):
        return f"greenmachine: {one_line(error)}", 1
    # Usage errors of click, which typer contains or depends on, depending on its version.
    shown = getattr(error, "format_message", None)
    if shown is not None:
        if not shown():  # a group without a command: its help is printed
            return "", 2
        option = getattr(error, "option_name", None)
        if option and (proxy := _with_minus(option, words)) is not None:
            return f"greenmachine: {minus_error(proxy)}", 2
        command = getattr(getattr(error, "ctx", None), "command_path", "greenmachine")
        what = one_line(ValueError(shown()))
        return f"greenmachine: {what.rstrip('.')}; see `{command} --help`", 2
    if isinstance(error, OSError):  # full disk, no permission: the system's message is clear
        return f"greenmachine: {one_line(error)}", 1
    if isinstance(error, MemoryError):
        return "greenmachine: out of memory: use a smaller batch, fewer workers or networks", 1
    what = one_line(error)
    kind = type(error).__name__
    said = what if what == kind else f"{kind}: {what}"
    return f"greenmachine: {said} (unexpected: please report it with what {DEBUG} prints)", 1


def _with_minus(option: str, words: Sequence[str]) -> str | None:
    """Return the word ``-proxy`` that click read as the unknown option ``-p``; None without one."""
    known = {*names("proxies"), *names("rank_sums"), "flops", "accuracy"}
    for word in words:
        bare = word[1:].strip()
        if word.startswith(option) and word[1:2] != "-" and (bare in known or "(" in bare):
            return word
    return None


@contextmanager
def _lines_of_warnings() -> Iterator[None]:
    """Print one line whenever work is repeated or a callback fails."""
    own = (WorkerWarning, CallbackWarning)
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **at: Any) -> None:
            if issubclass(category, own):
                print(f"greenmachine: {message}", file=sys.stderr, flush=True)
            else:
                others(message, category, *where, **at)

        for category in own:
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield
