"""Start the local workers while this process still imports its own packages.

The imports of a worker take as long as those of the command, about three seconds. This module
imports only joblib, so that a command can call it before its other imports.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import joblib

from greenmachine.workers.local import begin_local, check_workers

__all__ = ["early_workers"]


@contextmanager
def early_workers(workers: int) -> Iterator[None]:
    """Start worker processes and their imports, and enter the block at once.

    At the end of the block, an exception included, the workers are killed: a command that fails or
    is interrupted does not wait for their imports.

    Args:
        workers: number of processes; -1 means one for each core. For 1 nothing is started.

    Raises:
        ConfigError: it is no number of processes.
    """
    check_workers(workers)
    count = joblib.effective_n_jobs(workers)
    if count == 1:
        yield
        return
    results = begin_local(workers, [joblib.delayed(_import)()] * count)
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unused results
            results.close()


def _import() -> None:
    import_module("greenmachine.engine.evaluator")
