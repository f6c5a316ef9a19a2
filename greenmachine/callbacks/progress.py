"""Show the progress of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import PrivateAttr
from rich.console import Console, Group
from rich.live import Live
from rich.progress import Progress as Bars
from rich.progress import TaskID
from rich.table import Table
from rich.text import Text

from greenmachine.callbacks.base import Callback, Generation, Row, RunInfo
from greenmachine.live import NotebookLive, bars, open_live

__all__ = ["Progress"]

_SHOWN = 12  # generations in the live table
_PACE = 6  # generations from which the remaining time is estimated


class Progress(Callback, scheme="progress"):
    """Show the run: a live table on a terminal and in a notebook, plain lines elsewhere."""

    _generations: int = 0
    _live: Live | NotebookLive | None = None
    _bars: Bars | None = None
    _tasks: dict[str, TaskID] = PrivateAttr(default_factory=dict)

    def on_start(self, run: RunInfo) -> None:
        """Start drawing, with the generations that a resumed run has."""
        self._generations = run.settings["evolution"]["generations"]
        console = _console()
        self._live = open_live(console)
        if self._live is not None:
            self._bars = bars(console)
            self._tasks = {}
            self._draw(run.history)

    def on_message(self, line: str) -> None:
        """Print the line."""
        console = _console() if self._live is None else self._live.console
        console.print(Text(line), soft_wrap=True)

    def on_capture(self, what: str, done: int, total: int) -> None:
        """Move a bar, or print a line at each tenth."""
        if self._bars is not None:
            self._move(what, done, total)
        elif done == total or done * 10 // total > (done - 1) * 10 // total:
            self.on_message(f"{what}: {done}/{total}")

    def on_generation(self, generation: Generation) -> None:
        """Add a row to the table, or print a line."""
        if self._live is None:
            cells = self._cells(generation.history)
            self.on_message("  ".join(f"{name} {cell}" for name, cell in cells.items()))
        else:
            champion = generation.champion
            sign = "+" if champion.direction > 0 else "-"
            self._draw(generation.history, f"{sign} {champion.expression}")

    def on_end(self, result: Mapping[str, Any]) -> None:
        """Remove the table."""
        if self._live is not None:
            self._live.stop()
        self._live = self._bars = None

    def on_stop(self, error: BaseException) -> None:
        """Remove the table."""
        self.on_end({})

    def _move(self, what: str, done: int, total: int) -> None:
        assert self._bars is not None
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, visible=done < total)
        if isinstance(self._live, NotebookLive):  # a terminal is drawn by a thread
            self._live.refresh()

    def _draw(self, history: Sequence[Row], champion: str = "") -> None:
        assert self._live is not None
        table = Table(box=None, header_style="bold", pad_edge=False)
        first = max(1, len(history) + 1 - _SHOWN)
        rows = [self._cells(history[:end]) for end in range(first, len(history) + 1)]
        for name in rows[0] if rows else ():
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(*row.values())
        self._move("generations", len(history), self._generations + 1)
        self._live.update(Group(table, Text(champion, style="green"), self._bars or ""))

    def _cells(self, history: Sequence[Row]) -> dict[str, str]:
        """Return the last row of ``history`` as text, by column."""
        row, recent = history[-1], history[-_PACE:]
        looked = row["cache_hits"] + row["cache_misses"]
        pace = (row["seconds"] - recent[0]["seconds"]) / max(1, len(recent) - 1)
        minutes, seconds = divmod(round(pace * (self._generations - row["generation"])), 60)
        return {
            "generation": f"{row['generation']:.0f}/{self._generations}",
            "best": f"{row['best']:.4f}",
            "validation": f"{row['best_validation']:.4f}",
            "mean": f"{row['mean']:.3f}",
            "diversity": f"{row['diversity']:.0%}",
            "size": f"{row['mean_size']:.1f}",
            "cache hits": f"{row['cache_hits'] / looked:.0%}" if looked else "-",
            "left": f"{minutes}:{seconds:02d}" if len(recent) > 1 else "?",
        }


def _console() -> Console:
    return Console(stderr=True, markup=False, emoji=False)  # messages may hold square brackets
