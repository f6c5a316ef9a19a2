"""``greenmachine reproduce``: make the tables of the papers from stored scores."""

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
            autocompletion=completed("tables", more=("all",)),
        ),
    ],
    scores: Annotated[Path, typer.Option(help="folder of the stored scores")] = Path(
        "results/scores/zoo"
    ),
    out: Annotated[Path, typer.Option(help="folder of the tables")] = Path("results/tables"),
    recompute: Annotated[
        bool,
        typer.Option(
            "--recompute", help="first compute the scores that are missing (hours; resumable)"
        ),
    ] = False,
    workers: Annotated[
        int, typer.Option(help="number of processes; -1 means one for each core")
    ] = -1,
) -> None:
    """Reproduce a table of the papers: CSV, Markdown and a figure, with the published values.

    The command reads stored scores, which takes seconds, and the accuracies of NATS-Bench
    (`greenmachine data list` shows their place). Table `nas` runs searches among these networks,
    which takes half a minute and needs Optuna. With `--recompute` it first scores networks, fits
    forests and measures costs, as far as the table needs them; after Ctrl-C the same command
    continues. Scores in `--scores` that were computed with the same formulas are kept. To compute
    all scores again, give an empty folder.

    Examples:

      greenmachine reproduce all

      greenmachine reproduce meco --scores runs/zoo --out tables

      greenmachine reproduce greenmachine --recompute --scores runs/zoo
    """
    if table != "all" and table not in names("tables"):
        raise ConfigError(f"no table {table!r}: choose from {', '.join(names('tables'))}, all")

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
        with say_when_stopped("stopped; the same command continues"):
            for work in works:
                work(stored, partial(bar, console), workers)
    if table == "all":
        _ = stored.scored  # without scores the command ends here, not after half of the tables
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
