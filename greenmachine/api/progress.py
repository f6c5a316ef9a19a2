"""A progress bar around an iterable, shown only in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from greenmachine.live import bar

__all__ = ["counted"]

Item = TypeVar("Item")


def counted(
    items: Iterable[Item], what: str, *, total: Iterable[object], show: bool
) -> Iterator[Item]:
    """Yield ``items``, and show how many are done.

    Args:
        items: the items; one is counted as done when the next is requested.
        what: name of the items, shown before the bar.
        total: collection of the same length as ``items``. If it has no length, no bar is shown.
        show: whether to show the bar.
    """
    if not (show and isinstance(total, Sized)):
        yield from items
        return
    with bar(what) as progress:
        for done, item in enumerate(items, start=1):
            yield item
            progress(done, len(total))
