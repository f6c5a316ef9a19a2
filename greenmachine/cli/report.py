"""``greenmachine report``: write the report of one run, or of several side by side, as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greenmachine.errors import ConfigError

__all__ = ["report"]


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="folder of a run; with --compare, folders of several runs or of `evolve --seeds`"
        ),
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
    ends at its last complete generation. A comparison shows in which settings the runs differ.

    Examples:

      greenmachine report runs/tss

      greenmachine report --compare runs/tss runs/sss --out both.html

      greenmachine report --compare runs/tss-seeds
    """
    if out is not None and out.is_dir():
        raise ConfigError(f"--out {out} is a folder: give an HTML file")
    if not compare and len(runs) > 1:
        raise ConfigError(
            f"a report shows one run, not {len(runs)}: give one, or put --compare before them"
        )

    from greenmachine.cli.console import plain_console
    from greenmachine.reports import write_comparison, write_report

    if compare:
        folders = [folder for run in runs for folder in _runs_in(run)]
        made = write_comparison(folders, out or Path("comparison.html"))
        _print_settings(folders)
    else:
        made = write_report(runs[0], out)
    plain_console(stderr=True).print(f"{made}: open it in a browser", soft_wrap=True)


def _runs_in(folder: Path) -> list[Path]:
    """Return the folders of the runs of `evolve --seeds` in ``folder``, or ``folder`` itself."""
    from greenmachine.evolution import RunFolder

    if RunFolder(folder).holds_run or not folder.is_dir():
        return [folder]
    inside = [path for path in folder.glob("seed-*") if path.name.removeprefix("seed-").isdecimal()]
    begun = [path for path in inside if RunFolder(path).holds_run]
    return sorted(begun, key=lambda path: int(path.name.removeprefix("seed-"))) or [folder]


def _print_settings(folders: list[Path]) -> None:
    """Print the settings in which the runs differ."""
    import pandas as pd

    from greenmachine.cli.display import print_frame
    from greenmachine.evolution import RunFolder
    from greenmachine.reports.comparison import differing_settings, labels

    configs = [RunFolder(f).description().config.model_dump(mode="json") for f in folders]
    differing = differing_settings(configs)
    if not differing:
        typer.echo("the runs have the same settings")
        return
    print_frame(pd.DataFrame(differing, index=labels(folders)).T.reset_index(names="setting"))
