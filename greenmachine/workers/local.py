"""Begin work in processes on this machine, through joblib and loky."""

from __future__ import annotations

import multiprocessing.resource_tracker
import os
import signal
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import joblib
from joblib.externals.loky.backend import resource_tracker

from greenmachine.errors import ConfigError
from greenmachine.interrupts import ENDING
from greenmachine.workers.orphans import end_with_parent

__all__ = ["begin_local", "check_workers"]

_MOST = 1024  # most processes; joblib makes a queue of that length


def check_workers(workers: int) -> None:
    """Check that ``workers`` is a number of processes.

    Raises:
        ConfigError: it is neither 1 to 1024 nor -1.
    """
    if workers != -1 and not 1 <= workers <= _MOST:
        raise ConfigError(f"workers {workers}: give 1 to {_MOST}, or -1 for one for each core")


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
    # a scheduler). The trackers of semaphores must outlive this process, to remove them. They start
    # in a block of their own, because their start ends the block.
    with _signals_blocked():
        for tracker in (resource_tracker, multiprocessing.resource_tracker):
            tracker.ensure_running()
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
