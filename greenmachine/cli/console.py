"""A console that prints texts unchanged."""

from __future__ import annotations

from rich.console import Console

__all__ = ["plain_console"]


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console that prints texts unchanged.

    Square brackets in names, paths and messages must not be read as markup.
    """
    return Console(stderr=stderr, markup=False, emoji=False)
