"""The console that prints texts as they are."""

from __future__ import annotations

from rich.console import Console

__all__ = ["plain_console"]


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console that prints texts as they are.

    Names, paths and messages are anybody's: square brackets in them are no markup.
    """
    return Console(stderr=stderr, markup=False, emoji=False)
