"""A progress bar on standard error, in a terminal or a notebook and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from importlib.util import find_spec
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["counted"]

Item = TypeVar("Item")


def counted(
    items: Iterable[Item], what: str, *, total: Iterable[object], show: bool
) -> Iterator[Item]:
    """Yield ``items``, and show how many are done; the bar is gone at the end.

    Args:
        items: are counted when the next one is asked for.
        what: they are, before the bar.
        total: has as many as ``items``, if its length is known; a generator has none.
        show: False shows nothing.
    """
    console = Console(stderr=True, markup=False, emoji=False)
    # In a notebook rich draws with ipywidgets, and warns at every refresh where there are none.
    drawn = find_spec("ipywidgets") is not None if console.is_jupyter else console.is_terminal
    if not (show and drawn):
        yield from items
        return
    shown = TextColumn("{task.description}", markup=False)
    columns = (shown, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=len(total) if isinstance(total, Sized) else None)
        for item in items:
            yield item
            progress.advance(task)
