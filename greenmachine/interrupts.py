"""Delay Ctrl-C while code runs that would lose it; treat requests to end like Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["ENDING", "Ended", "ended_by", "interrupts_held"]

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a command: Ctrl-C, that of a scheduler or ``timeout``, a closed terminal."""


class Ended(KeyboardInterrupt):
    """A signal of ``ENDING`` was received; code that handles Ctrl-C handles it too.

    Attributes:
        number: number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def ended_by(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code of a command that ``interrupt`` ended: 128 + the signal's number."""
    return 128 + (interrupt.number if isinstance(interrupt, Ended) else signal.SIGINT)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Delay signals of ``ENDING`` inside the block, and raise them after it.

    Use it for short calls into compiled code that calls Python back. Some of it replaces any
    exception of the callback, ``KeyboardInterrupt`` too, by its own. The interrupt would be lost,
    and a file reported as damaged. Python runs handlers only in the main thread, so in other
    threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    before: dict[signal.Signals, Any] = {}
    for number in ENDING:
        handler = signal.getsignal(number)
        # The system's default (to end, or to ignore) needs no Python. None means that a program
        # that embeds Python has its own handler, which could not be restored.
        if callable(handler):
            before[number] = handler
            signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(signal.Signals(came[0]))
