"""Ctrl-C held back while code runs that would lose it; a request to end treated like Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["ENDING", "Ended", "ended_by", "interrupts_held"]

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a command to end: Ctrl-C, a scheduler or ``timeout``, a closed terminal."""


class Ended(KeyboardInterrupt):
    """One of the signals of ``ENDING`` came; what handles Ctrl-C handles it too.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def ended_by(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code of a command that ``interrupt`` ended: 128 + number of the signal."""
    return 128 + (interrupt.number if isinstance(interrupt, Ended) else signal.SIGINT)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let a signal of ``ENDING`` that comes inside take effect after the block, whatever it raises.

    For short calls into compiled code that calls Python back: some clear any exception of the
    callback, ``KeyboardInterrupt`` too, and raise their own. The interrupt would be lost, and
    what it hit be reported as damaged. Python runs handlers in the main thread alone, so in
    others this does nothing.
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
        # The system's own way (to end, or to ignore) needs no Python; None: a program that embeds
        # Python has a handler of its own, which could not be put back.
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
