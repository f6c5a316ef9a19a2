"""``greenmachine report``: write the report of one run, or of several side by side, as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greenmachine.errors import ConfigError

__all__ = ["report"]


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="folder of a run; with --compare, folders of several runs")
    ],
    compare: Annotated[
        bool, typer.Option("--compare", help="write one report of several runs side by side")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="HTML file [default: RUN/report.html; comparison.html with --compare]"),
    ] = None,
) -> None:
    """Write the report of a run: champion, formula, charts, cost, settings.

    The report is one HTML file that needs no network connection. The report of an unfinished run
    ends at its last complete generation.

    Examples:

      greenmachine report runs/tss

      greenmachine report --compare runs/tss runs/sss --out both.html
    """
    if out is not None and out.is_dir():
        raise ConfigError(f"--out {out} is a folder: give an HTML file")
    if not compare and len(runs) > 1:
        raise ConfigError(f"{len(runs)} runs: give one, or put --compare before them")

    from greenmachine.cli.console import plain_console
    from greenmachine.reports import write_comparison, write_report

    if compare:
        made = write_comparison(runs, out or Path("comparison.html"))
    else:
        made = write_report(runs[0], out)
    plain_console(stderr=True).print(f"{made}: open it in a browser", soft_wrap=True)
