"""A run told in plain lines, or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable

from greenmachine.evolution import Search

__all__ = ["Lines", "to_stderr"]


def to_stderr(line: str) -> None:
    """Print ``line`` where it does not mix with results."""
    print(line, file=sys.stderr, flush=True)


class Lines:
    """Listener of a run that writes plain lines.

    Args:
        generations: of the whole run, for the time left.
        write: takes a line; None is silence.
    """

    def __init__(self, generations: int, write: Callable[[str], None] | None = to_stderr) -> None:
        self.generations = generations
        self.write = write
        self._seconds: list[float] = []

    def say(self, line: str) -> None:
        """Write a line that stays."""
        if self.write is not None:
            self.write(line)

    def progress(self, what: str, done: int, total: int) -> None:
        """Write a line at every tenth."""
        if done == total or done * 10 // total > (done - 1) * 10 // total:
            self.say(f"{what}: {done}/{total}")

    def generation(self, row: dict[str, float], search: Search) -> None:
        """Write the row of a finished generation."""
        self.say(
            f"generation {row['generation']:.0f}/{self.generations}  best {row['best']:.4f}  "
            f"validation {row['best_validation']:.4f}  diversity {row['diversity']:.0%}  "
            f"cache hits {self.hits(row)}  left {self.left(row)}"
        )

    def hits(self, row: dict[str, float]) -> str:
        """Return the share of cache hits so far."""
        looked = row["cache_hits"] + row["cache_misses"]
        return f"{row['cache_hits'] / looked:.0%}" if looked else "-"

    def left(self, row: dict[str, float]) -> str:
        """Return the time left, m:ss, at the pace of the last generations; once a generation."""
        self._seconds = [*self._seconds[-5:], row["seconds"]]
        if len(self._seconds) < 2:
            return "?"
        pace = (self._seconds[-1] - self._seconds[0]) / (len(self._seconds) - 1)
        seconds = round(pace * (self.generations - row["generation"]))
        return f"{seconds // 60}:{seconds % 60:02d}"
