"""Begin work in processes on this machine, through joblib and loky."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import joblib

from greenmachine.interrupts import ENDING
from greenmachine.workers.orphans import end_with_parent

__all__ = ["begin_local"]


def begin_local(workers: int, calls: Iterable[Any]) -> Generator[Any, None, None]:
    """Begin calls in worker processes, and return an iterator over their results, in order.

    The workers start with the first call of this function, and stay for later ones. If the iterator
    is closed before its end, they are killed.

    Args:
        workers: number of processes; -1 means one for each core.
        calls: what ``joblib.delayed`` returned.
    """
    # Child processes inherit the blocked signals: workers end when this process ends them, and not
    # with their own traceback when a signal is sent to the whole group (Ctrl-C, a closed terminal,
    # a scheduler). The tracker of semaphores must outlive this process, to remove them.
    with _signals_blocked():
        parallel = joblib.Parallel(
            n_jobs=workers,
            return_as="generator",
            initializer=end_with_parent,
            initargs=(os.getpid(),),
        )
        return cast("Generator[Any, None, None]", parallel(calls))


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block the signals that end a command, also in processes started inside the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
