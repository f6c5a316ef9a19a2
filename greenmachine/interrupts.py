"""Ctrl-C held back while code runs that would lose it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interrupts_held"]


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let an interrupt (SIGINT) that comes inside take effect after the block, whatever it raises.

    For short calls into compiled code that calls Python back: some clear any exception of the
    callback, ``KeyboardInterrupt`` too, and raise their own. The interrupt would be lost, and
    what it hit be reported as damaged. Python runs handlers in the main thread alone, so in
    others this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        # None: a program that embeds Python has a handler of its own, which cannot be put back.
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if came:
            signal.raise_signal(signal.SIGINT)
