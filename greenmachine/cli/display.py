"""Display progress bars and tables."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pandas as pd
import typer
from pandas.api import types
from rich.console import Console
from rich.table import Table
from rich.text import Text

from greenmachine.cli.console import plain_console
from greenmachine.errors import printable
from greenmachine.live import bars
from greenmachine.workers import Progress as Tasks

__all__ = ["bar", "print_cost", "print_frame", "print_ranking", "print_seed_runs"]


@contextmanager
def bar(console: Console, what: str) -> Iterator[Tasks]:
    """Yield a progress callback that draws a bar with the remaining time, removed at the end.

    Work that is finished at the first call does not count for the speed. Without a terminal it
    prints a line at every tenth.
    """
    if not console.is_terminal:
        yield _tenths(console, what)
        return
    with bars(console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _tenths(console: Console, what: str) -> Tasks:
    """Return a progress callback that prints a line with the remaining time at every tenth."""
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


_PHASES = {
    "start": "workers start",
    "capture": "capture of train and validation",
    "tensors": "tensors",
    "communication": "communication",
    "above": "aggregation, ranking, breeding (main process)",
    "test": "test networks",
    "score": "scores",
}


def print_cost(facts: Mapping[str, Any], as_json: bool = False) -> None:
    """Print a cost estimate (``Forecast.facts``), as text or as JSON."""
    if as_json:
        typer.echo(json.dumps(facts))
        return
    plan, console = facts["plan"], plain_console()
    sizes = [f"{plan[name]} {name}" for name in ("train", "validation", "test") if plan[name]]
    rows = {"networks": ", ".join(sizes)}
    if plan["individuals"]:
        rows["individuals"] = f"{plan['individuals']} in {plan['generations']} generations"
    rows |= {
        "workers": str(plan["workers"]),
        "disk": f"{facts['disk_bytes'] / 1e9:.2f} GB",
        "memory": f"{facts['memory_bytes'] / 1e9:.1f} GB",
        "time": str(timedelta(seconds=round(facts["total_seconds"]))),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in rows.items():
        table.add_row(name, text)
    for name, seconds in facts["seconds"].items():
        table.add_row(f"  {_PHASES[name]}", f"{seconds:.1f} s")
    console.print(table)
    spent = f"estimated from a calibration of {facts['calibration_seconds']:.0f} s; nothing was run"
    console.print(spent, soft_wrap=True, highlight=False)
    if "runs" in facts:
        total = timedelta(seconds=round(facts["runs"] * facts["total_seconds"]))
        console.print(f"this is one run; {facts['runs']} runs, one after the other, take {total}")


def print_frame(frame: pd.DataFrame, as_json: bool = False) -> None:
    """Print a table on standard output, as text or as JSON (a list of rows).

    A value that is missing, such as the accuracy of a network that is not in the benchmark's table,
    is ``–`` in the text and null in JSON.
    """
    if as_json:
        typer.echo(json.dumps(json.loads(frame.to_json(orient="records", double_precision=15))))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in frame.columns:
        right = types.is_numeric_dtype(frame[column].dtype)
        header = Text(printable(str(column)))
        table.add_column(header, justify="right" if right else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(_cell(value)) for value in row))
    plain_console().print(table)


def _cell(value: Any) -> str:
    if value is None or value is pd.NA or value != value:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))


def print_seed_runs(facts: Mapping[str, Any]) -> None:
    """Print the summary of runs that differ in their seed (``SeedRuns.facts``)."""
    from greenmachine.api.seed_runs import spread_text, tau_text

    console = plain_console()
    samples = list(facts["tau"])
    for task in facts["tasks"]:
        console.print(
            f"\nKendall's tau on {task}, mean ± standard deviation over {facts['finished']} runs:",
            soft_wrap=True,
        )
        table = Table(box=None, header_style="", pad_edge=False)
        table.add_column("")
        for sample in samples:
            table.add_column(sample, justify="right")
        for name in facts["tau"]["test"][task]:
            cells = [spread_text(facts["tau"][sample][task][name]) for sample in samples]
            table.add_row(f"  {name}", *cells, style="bold" if name == "champion" else "")
        console.print(table)
        if (scheme := facts["objective"]["scheme"]) != "kendall":
            values = facts["objective_values"]
            shown = ", ".join(
                f"{spread_text(values[sample][task]['champion'])} on {sample}" for sample in samples
            )
            console.print(f"{scheme} of the champion: {shown}", soft_wrap=True, highlight=False)
    rows = [
        {
            "seed": run["seed"],
            "size": run["size"],
            "better": "high" if run["direction"] > 0 else "low",
            "tau on test": ", ".join(map(tau_text, run["tau"]["test"].values())),
            "seconds": f"{run['seconds']:.0f}",
            "champion": run["expression"],
        }
        for run in facts["runs"]
    ]
    console.print("")
    print_frame(pd.DataFrame(rows))
    seconds = facts["seconds"]
    console.print(
        f"\na run took {spread_text(seconds, 0)} s, all together {seconds['total']:.0f} s"
    )


def print_ranking(table: pd.DataFrame) -> None:
    """Print the result of ``greenmachine.evaluation.tau_table``, with standard errors."""
    typer.echo(f"{table['networks'][0]} networks; ± is the standard error, (…) a baseline\n")
    shown = {
        "proxy": table["proxy"],
        "better": table["direction"].map({1: "high", -1: "low"}),
        "tau": _spread(table["tau"], table["standard_error"]),
        "Spearman": _numbers(table["spearman"]),
        "nDCG": [text.strip() for text in _numbers(table["ndcg"])],
        "tau of best 10 %": _spread(table["tau_best"], table["standard_error_best"]),
        "failed": table["failed"],
    }
    print_frame(pd.DataFrame(shown))
    if "seeds" in table:
        _print_seeds(table[table["seeds"].notna()])


def _print_seeds(table: pd.DataFrame) -> None:
    """Print what the noise of one seed costs, the columns of ``seed_table``."""
    typer.echo(
        "\ntau above is of the mean score over the seeds. One seed alone (± is the standard "
        "deviation over the seeds):\n"
    )
    shown = {
        "proxy": table["proxy"],
        "seeds": table["seeds"].astype(int),
        "tau of one seed": _spread(table["tau_one_seed"], table["deviation_one_seed"]),
        "the mean gains": _signed(table["gain_of_mean"]),
        "tau between two seeds": _numbers(table["tau_between_seeds"]),
    }
    print_frame(pd.DataFrame(shown))


def _numbers(values: pd.Series[float]) -> list[str]:
    return ["–" if math.isnan(value) else f"{value:6.3f}" for value in values]


def _signed(values: pd.Series[float]) -> list[str]:
    return ["–" if math.isnan(value) else f"{value:+.3f}" for value in values]


def _spread(values: pd.Series[float], errors: pd.Series[float]) -> list[str]:
    return [
        "–"
        if math.isnan(value)
        else f"{value:6.3f} ± {'–' if math.isnan(error) else f'{error:.3f}'}"
        for value, error in zip(values, errors, strict=True)
    ]
