"""Errors that a user can act on: one line that says what is wrong and what to do."""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "DataError",
    "ExpressionError",
    "GreenMachineError",
    "NetworkError",
    "RunError",
    "first_line",
]


class GreenMachineError(Exception):
    """Base of every error that the command line prints as one line (exit code 1)."""


class DataError(GreenMachineError):
    """A benchmark file is missing, unreadable, or not what its schema says."""


class ConfigError(GreenMachineError):
    """A setting of a run is unknown or out of range."""


class RunError(GreenMachineError):
    """A run folder cannot be read, resumed or written."""


class NetworkError(GreenMachineError):
    """A network of the caller's raised, or cannot be read by the proxy."""


class ExpressionError(GreenMachineError):
    """An expression has a syntax or kind error.

    Attributes:
        text: the whole expression.
        position: index in ``text`` of the first character at fault.
    """

    def __init__(self, message: str, text: str, position: int) -> None:
        self.text = text
        self.position = position
        # The window keeps the marker under the fault on an 80-column terminal.
        start = max(0, position - 50)
        line = text[start : start + 76]
        super().__init__(
            f"{message} (at character {position + 1})\n  {line}\n  {' ' * (position - start)}^"
        )


def first_line(error: BaseException) -> str:
    """Return the kind of ``error`` and the first line of its text, cut to a readable length."""
    try:
        lines = str(error).strip().splitlines() or [""]
    except Exception:  # the text of somebody else's error may raise too
        lines = ["(its text cannot be shown)"]
    line = lines[0] if len(lines[0]) <= 300 else f"{lines[0][:297]}..."
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
