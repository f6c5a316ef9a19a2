"""``greenmachine report``: what a run found, as one HTML file; several beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greenmachine.errors import ConfigError

__all__ = ["report"]


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="folder of the run; with --compare of several")
    ],
    compare: Annotated[bool, typer.Option("--compare", help="runs beside each other")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="HTML file [default: RUN/report.html; comparison.html with --compare]"),
    ] = None,
) -> None:
    """Write a run's report: champion, formula, charts, cost, settings.

    The report is one HTML file that needs no network connection. An unfinished run is reported up
    to its last whole generation.

    Examples:

      greenmachine report runs/tss

      greenmachine report --compare runs/tss runs/sss --out both.html
    """
    if out is not None and out.is_dir():
        raise ConfigError(f"--out {out} is a folder: name an HTML file")
    if not compare and len(runs) > 1:
        raise ConfigError(f"{len(runs)} runs: give one, or put --compare before them")

    from greenmachine.cli.console import plain_console
    from greenmachine.reports import write_comparison, write_report

    if compare:
        made = write_comparison(runs, out or Path("comparison.html"))
    else:
        made = write_report(runs[0], out)
    plain_console(stderr=True).print(f"{made}: open it in a browser", soft_wrap=True)
