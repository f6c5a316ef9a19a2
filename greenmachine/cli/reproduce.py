"""``greenmachine reproduce``: the tables of the papers from stored scores."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from greenmachine.cli.names import completed, names
from greenmachine.cli.stopping import say_when_stopped
from greenmachine.errors import ConfigError, DataError

__all__ = ["reproduce"]


def reproduce(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help=f"{', '.join(names('tables'))}, or all",
            autocompletion=completed("tables", "all"),
        ),
    ],
    scores: Annotated[Path, typer.Option(help="folder of the stored scores")] = Path(
        "results/scores/zoo"
    ),
    out: Annotated[Path, typer.Option(help="folder of the tables")] = Path("results/tables"),
    recompute: Annotated[
        bool,
        typer.Option("--recompute", help="first make what the scores lack (hours; resumable)"),
    ] = False,
    workers: Annotated[int, typer.Option(help="processes; -1 takes every core")] = -1,
) -> None:
    """Make a table of the papers again: CSV, Markdown and a figure, published figures beside ours.

    It reads stored scores, which takes seconds, and the accuracies of NATS-Bench
    (`greenmachine data list` says where they are looked for). Table `nas` runs searches among
    these networks, which takes two minutes and needs Optuna. With `--recompute` networks are
    scored, forests fitted and costs measured first, as far as the table needs them; the same
    command goes on after Ctrl-C. Scores that `--scores` has by the same formulas stay: name an
    empty folder to make all anew.

    Examples:

      greenmachine reproduce all

      greenmachine reproduce meco --scores runs/zoo --out tables

      greenmachine reproduce greenmachine --recompute --scores runs/zoo
    """
    if table != "all" and table not in names("tables"):
        raise ConfigError(f"no table {table!r}; there is {', '.join(names('tables'))}, and all")

    from greenmachine.cli.console import plain_console
    from greenmachine.cli.display import bar
    from greenmachine.tables import TABLES, Stored
    from greenmachine.tables import reproduce as make

    console = plain_console(stderr=True)
    say = partial(console.print, soft_wrap=True, highlight=False)
    chosen = list(TABLES.values()) if table == "all" else [TABLES[table]]
    stored = Stored(scores, say)
    if recompute:
        works = dict.fromkeys(one.recompute for one in chosen if one.recompute is not None)
        with say_when_stopped("stopped; the same command goes on from here"):
            for work in works:
                work(stored, partial(bar, console), workers)
    if table == "all":
        _ = stored.scored  # where there are none it ends here, not after half of the tables
    for number, one in enumerate(chosen, start=1):
        say(f"table {one.name} ({number} of {len(chosen)}) ...")
        try:
            made = make(one, stored, out)
        except (DataError, ConfigError) as error:  # data are missing, or the extra of a table
            if table != "all":
                raise
            say(f"{one.name} is left out: {error}")
        else:
            say(f"{one.name}: {', '.join(str(path) for path in made[:3])}")
