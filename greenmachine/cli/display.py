"""What a person sees: progress bars, a live table or plain lines while work goes on; tables."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType

import pandas as pd
import typer
from pandas.api import types
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from greenmachine.api.lines import Lines
from greenmachine.cli.console import plain_console
from greenmachine.evolution import Search
from greenmachine.workers import Progress as Tasks

__all__ = ["Display", "bar", "print_frame", "print_ranking"]

_SHOWN = 12  # generations in the live table


class Display(Lines):
    """Listener of a run that draws on the terminal; plain lines where there is none.

    Args:
        console: where to draw; messages go to standard error, results to standard output.
        generations: of the whole run, for the time left.
        quiet: draw nothing.
    """

    def __init__(self, console: Console, generations: int, *, quiet: bool = False) -> None:
        super().__init__(generations, None if quiet else self._print)
        self._console = console
        self._rows: deque[list[str]] = deque(maxlen=_SHOWN)
        self._best = ""
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks = {"generations": self._bars.add_task("generations", total=generations + 1)}
        self._live: Live | None = None
        if console.is_terminal and not quiet:
            self._live = Live(self._view(), console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def progress(self, what: str, done: int, total: int) -> None:
        """Move a bar; without a terminal print a line at every tenth."""
        if self._live is None:
            super().progress(what, done, total)
            return
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, visible=done < total)
        self._live.update(self._view())

    def generation(self, row: dict[str, float], search: Search) -> None:
        """Show a finished generation."""
        if self._live is None:
            super().generation(row, search)
            return
        number = int(row["generation"])
        champion = search.hall[0]
        self._best = f"{'+' if champion.direction > 0 else '-'} {champion.expression}"
        self._rows.append(
            [
                str(number),
                f"{row['best']:.4f}",
                f"{row['best_validation']:.4f}",
                f"{row['mean']:.3f}",
                f"{row['diversity']:.0%}",
                f"{row['mean_size']:.1f}",
                self.hits(row),
                self.left(row),
            ]
        )
        self._bars.update(self._tasks["generations"], completed=number + 1)
        self._live.update(self._view())

    def _print(self, line: str) -> None:
        # Text: a message may hold square brackets, which are no markup.
        self._console.print(Text(line), soft_wrap=True)

    def _view(self) -> Group:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("gen", "best", "validation", "mean", "diversity", "size", "cache", "left"):
            table.add_column(name, justify="right")
        for row in self._rows:
            table.add_row(*row)
        return Group(table, Text(self._best, style="green"), self._bars)


@contextmanager
def bar(console: Console, what: str) -> Iterator[Tasks]:
    """Yield a progress callback that draws a bar with the time left; gone at the end.

    What is done at its first call was there before: it does not count for the pace. Without a
    terminal it prints a line at every tenth.
    """
    if not console.is_terminal:
        yield _tenths(console, what)
        return
    shown = TextColumn("{task.description}", markup=False)
    columns = (shown, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, speed_estimate_period=300) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _tenths(console: Console, what: str) -> Tasks:
    """Return a progress callback that prints a line with the time left at every tenth."""
    first: tuple[int, float] | None = None
    last = 0

    def told(done: int, total: int) -> None:
        nonlocal first, last
        now = time.monotonic()
        if first is None:
            first = done, now
        elif last * 10 // total < done * 10 // total < 10:
            left = (total - done) * (now - first[1]) / (done - first[0])
            console.print(f"{what}: {done}/{total}, {timedelta(seconds=round(left))} left")
        last = done

    return told


def print_frame(frame: pd.DataFrame, as_json: bool = False) -> None:
    """Print a table on standard output, for people or as JSON (a list of rows, NaN is null)."""
    if as_json:
        typer.echo(json.dumps(json.loads(frame.to_json(orient="records", double_precision=15))))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in frame.columns:
        right = types.is_numeric_dtype(frame[column].dtype)
        table.add_column(str(column), justify="right" if right else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(f"{v:.6g}" if isinstance(v, float) else str(v)) for v in row))
    plain_console().print(table)


def print_ranking(table: pd.DataFrame) -> None:
    """Print what ``greenmachine.evaluation.tau_table`` returns, errors beside their values."""
    typer.echo(f"{table['networks'][0]} networks; ± is the standard error, (…) a baseline\n")
    shown = {
        "proxy": table["proxy"],
        "better": table["direction"].map({1: "high", -1: "low"}),
        "tau": _spread(table["tau"], table["standard_error"]),
        "Spearman": ["–" if math.isnan(v) else f"{v:6.3f}" for v in table["spearman"]],
        "nDCG": table["ndcg"].map("{:.3f}".format),
        "tau of best 10 %": _spread(table["tau_best"], table["standard_error_best"]),
        "failed": table["failed"],
    }
    print_frame(pd.DataFrame(shown))


def _spread(values: pd.Series[float], errors: pd.Series[float]) -> list[str]:
    return [
        "–"
        if math.isnan(value)
        else f"{value:6.3f} ± {'–' if math.isnan(error) else f'{error:.3f}'}"
        for value, error in zip(values, errors, strict=True)
    ]
