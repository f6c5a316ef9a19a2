"""Something that changes while work goes on, where a person watches: a terminal or a notebook.

Rich draws on a terminal. In a notebook Rich would need ipywidgets; here the output of the cell is
replaced by what Rich makes of it as HTML, and notebooks that nobody watches keep the last picture.
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

__all__ = ["NotebookLive", "TimeLeft", "bar", "open_live", "watched"]

_PAUSE = 0.25  # seconds between two pictures in a notebook
_COLUMNS = 100  # characters in a notebook
_CODE = '<pre style="white-space:pre;overflow-x:auto;line-height:normal;margin:0">{code}</pre>'


class TimeLeft(TimeRemainingColumn):
    """The time left, and nothing where it is not known."""

    def render(self, task: Task) -> Text:
        """Return the text of the column."""
        return super().render(task) if task.time_remaining is not None else Text("")


class NotebookLive:
    """What Rich's ``Live`` is on a terminal, in the output of a notebook's cell.

    Args:
        console: prints lines that stay.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._shown: RenderableType = ""
        self._handle: Any = None
        self._last = 0.0

    def update(self, renderable: RenderableType) -> None:
        """Show ``renderable`` in place of what was shown before."""
        self._shown = renderable
        self.refresh()

    def refresh(self) -> None:
        """Draw what is shown again, four times a second at most."""
        if time.monotonic() - self._last > _PAUSE:
            self._draw()
            self._last = time.monotonic()

    def stop(self) -> None:
        """Draw the last picture, which stays."""
        self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        picture = HTML(_html(self._shown))
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)


def open_live(console: Console) -> Live | NotebookLive | None:
    """Return what shows things on ``console`` until it is stopped; None where nobody watches."""
    if console.is_jupyter:
        return NotebookLive(console)
    if not console.is_terminal:
        return None
    live = Live(console=console, refresh_per_second=4, transient=True)
    live.start()
    return live


def watched() -> bool:
    """Whether a person watches: standard error is a terminal, or this is a notebook."""
    console = Console(stderr=True)
    return console.is_terminal or console.is_jupyter


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a progress callback, of (done, in all), that draws a bar where a person watches.

    Args:
        what: is counted, before the bar.
    """
    console = Console(stderr=True, markup=False, emoji=False)
    live = open_live(console)
    if live is None:
        yield lambda done, total: None
        return
    shown = TextColumn("{task.description}", markup=False)
    columns = (shown, BarColumn(), MofNCompleteColumn(), TimeLeft())
    bars = Progress(*columns, console=console, speed_estimate_period=300)
    task = bars.add_task(what, total=None)

    def told(done: int, total: int) -> None:
        bars.update(task, completed=done, total=total)
        live.refresh()

    live.update(bars)
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
