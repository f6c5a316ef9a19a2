"""Errors that a user can act on: one line that says what is wrong and what to do."""

from __future__ import annotations

__all__ = [
    "CallbackWarning",
    "ConfigError",
    "DamagedError",
    "DataError",
    "ExpressionError",
    "GreenMachineError",
    "NetworkError",
    "RunError",
    "WorkerWarning",
    "minus_error",
    "one_line",
    "printable",
    "with_type",
]

_LONGEST = 600  # characters of a message; one that quotes a damaged file may have megabytes


class GreenMachineError(Exception):
    """Base class of errors that the command line prints as one line (exit code 1)."""


class DataError(GreenMachineError):
    """A benchmark file is missing, unreadable, or violates its schema."""


class ConfigError(GreenMachineError):
    """A setting of a run is unknown or invalid."""


class RunError(GreenMachineError):
    """A run folder cannot be read, resumed or written."""


class NetworkError(GreenMachineError):
    """A user's network raised an error, or a proxy cannot read it."""


class DamagedError(RunError):
    """A file of a run or of a signal store differs from its checksum."""


class CallbackWarning(UserWarning):
    """A callback raised an exception and is no longer called."""


class WorkerWarning(UserWarning):
    """A worker died, and its work is done again."""


class ExpressionError(GreenMachineError):
    """An expression has a syntax or kind error.

    Attributes:
        text: the whole expression.
        position: index in ``text`` of the first wrong character.
    """

    def __init__(self, message: str, text: str, position: int) -> None:
        self.message = message
        self.text = text
        self.position = position
        # This part of the text keeps the marker under the error on an 80-column terminal.
        start = max(0, position - 50)
        line = text[start : start + 76]
        super().__init__(
            f"{message} (at character {position + 1})\n  {line}\n  {' ' * (position - start)}^"
        )

    def __reduce__(self) -> tuple[type[ExpressionError], tuple[str, str, int]]:
        # By default an exception is unpickled from its message, which fails for this one; a worker
        # that raised it would look as if it had died.
        return type(self), (self.message, self.text, self.position)


def minus_error(text: str) -> ConfigError:
    """Return the error for ``-proxy`` where no rank sum is around it."""
    return ConfigError(
        f"{text[:200]}: a minus reverses a proxy only inside rank_sum(a, -b) or "
        "log_rank_sum(a, -b); in a search, write min: or max: before the proxy"
    )


def one_line(error: BaseException, limit: int = _LONGEST) -> str:
    """Return the message of any exception as one line of at most ``limit`` characters.

    For an exception whose message is empty or not available (its ``__str__`` raises), it is the
    name of the type. Characters that are not printable are escaped.
    """
    try:
        text = str(error)
    except Exception:  # the exception may be a user's code
        text = ""
    # Truncated before and after, because splitting megabytes of text into words takes seconds.
    words = " ".join(text[: 4 * limit].split()) or type(error).__name__
    shown = printable(words)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def printable(text: str) -> str:
    """Return ``text`` with escapes for what is not printable, such as codes of a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def with_type(error: BaseException, limit: int = _LONGEST) -> str:
    """Return type and message of any exception in one line.

    The message of a :class:`GreenMachineError` stands alone, because it says what to do. An
    exception without a message has its type alone.
    """
    text, kind = one_line(error, limit), type(error).__name__
    return text if isinstance(error, GreenMachineError) or text == kind else f"{kind}: {text}"
