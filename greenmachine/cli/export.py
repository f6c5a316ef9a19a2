"""``greenmachine export``: write a run's proxy as one Python file that needs only torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(help="folder of the run")],
    rank: Annotated[int, typer.Option(help="rank in the hall of fame; 1 is the champion")] = 1,
    out: Annotated[Path, typer.Option(help="Python file; a .json is written beside it")] = Path(
        "proxy.py"
    ),
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="write the exact form, whose scores equal the engine's bit for bit (about 1,450 "
            "lines instead of 150)",
        ),
    ] = False,
) -> None:
    """Export a proxy of a run as plain Python.

    The file needs only torch: `from proxy import score; score(model)`. Its scores agree with those
    of the run within 1e-5 of the score; those of --exact are equal bit for bit.

    Examples:

      greenmachine export runs/tss --out proxy.py

      greenmachine export runs/tss --rank 3 --out third.py

      greenmachine export runs/tss --exact
    """
    from greenmachine.cli.console import plain_console
    from greenmachine.export.run_export import export_run

    known = export_run(run, out, rank, exact=exact)
    better = "higher" if known["direction"] > 0 else "lower"
    console = plain_console(stderr=True)
    console.print(f"{out} and {out.with_suffix('.json')}: {better} is better", soft_wrap=True)
    console.print(f"  {known['expression']}", soft_wrap=True, highlight=False)
