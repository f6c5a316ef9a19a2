"""A progress bar around an iterable, in a terminal or a notebook and nowhere else."""

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
        items: are counted when the next one is asked for.
        what: the name of the items, shown before the bar.
        total: has as many as ``items``. If its length is not known, nothing is shown.
        show: False shows nothing.
    """
    if not (show and isinstance(total, Sized)):
        yield from items
        return
    with bar(what) as progress:
        for done, item in enumerate(items, start=1):
            yield item
            progress(done, len(total))
