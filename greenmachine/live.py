"""Show progress that changes while work goes on, in a terminal or a notebook.

Rich draws on a terminal. In a notebook Rich would need ipywidgets, so here its HTML replaces the
output of the cell. A notebook that runs without a viewer keeps the last picture.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["NotebookLive", "bar", "bars", "open_live", "watched"]

_PAUSE = 0.25  # seconds between two pictures in a notebook
_COLUMNS = 100  # width in a notebook, in characters
_CODE = '<pre style="white-space:pre;overflow-x:auto;line-height:normal;margin:0">{code}</pre>'


class _TimeLeft(TimeRemainingColumn):
    """A column with the remaining time; empty if it is unknown."""

    def render(self, task: Task) -> Text:
        """Return the text of the column."""
        return super().render(task) if task.time_remaining is not None else Text("")


class NotebookLive:
    """Replacement for Rich's ``Live`` that draws into the output of a notebook cell.

    Args:
        console: console for lines that are not replaced.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._shown: RenderableType = ""
        self._handle: Any = None
        self._last = 0.0

    def update(self, renderable: RenderableType) -> None:
        """Show ``renderable`` instead of the previous one."""
        self._shown = renderable
        self.refresh()

    def refresh(self) -> None:
        """Draw the current picture again, at most four times per second."""
        if time.monotonic() - self._last > _PAUSE:
            self._draw()
            self._last = time.monotonic()

    def stop(self) -> None:
        """Draw the last picture, which remains visible."""
        self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        picture = HTML(_html(self._shown))
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)


def open_live(console: Console) -> Live | NotebookLive | None:
    """Return a live display on ``console``; None if it is neither a terminal nor a notebook."""
    if console.is_jupyter:
        return NotebookLive(console)
    if not console.is_terminal:
        return None
    live = Live(console=console, refresh_per_second=4, transient=True)
    live.start()
    return live


def watched() -> bool:
    """Whether a person can see progress: standard error is a terminal, or this is a notebook."""
    console = Console(stderr=True)
    return console.is_terminal or console.is_jupyter


def bars(console: Console, *, transient: bool = False) -> Progress:
    """Return progress bars with a description, the counts and the remaining time.

    Args:
        console: where they are drawn.
        transient: whether they are removed at the end.
    """
    shown = TextColumn("{task.description}", markup=False)
    columns = (shown, BarColumn(), MofNCompleteColumn(), _TimeLeft())
    return Progress(*columns, console=console, transient=transient, speed_estimate_period=300)


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a progress callback that draws a bar in a terminal or a notebook.

    The callback takes the number of finished items and the number of all items.

    Args:
        what: name of the counted items, shown before the bar.
    """
    console = Console(stderr=True, markup=False, emoji=False)
    live = open_live(console)
    if live is None:
        yield lambda done, total: None
        return
    drawn = bars(console)
    task = drawn.add_task(what, total=None)

    def told(done: int, total: int) -> None:
        drawn.update(task, completed=done, total=total)
        live.refresh()

    live.update(drawn)
    try:
        yield told
    finally:
        live.stop()


def _html(renderable: RenderableType) -> str:
    console = Console(
        file=StringIO(),
        record=True,
        width=_COLUMNS,
        force_jupyter=False,
        color_system="truecolor",
        markup=False,
        emoji=False,
    )
    console.print(renderable)
    return console.export_html(inline_styles=True, code_format=_CODE)
