"""What a display is told while a run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from greenmachine.evolution.search import Search

__all__ = ["Listener"]


class Listener(Protocol):
    """What a display is told while a run goes on."""

    def say(self, line: str) -> None:
        """Take a line that should stay."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Take the progress of capture or scoring."""

    def generation(self, row: dict[str, float], search: Search) -> None:
        """Take the row of a finished generation."""
