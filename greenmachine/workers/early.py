"""Start the local workers while this process still imports its own packages.

The imports of a worker take as long as those of the command, about three seconds. This module
imports only joblib, so that a command can call it before its other imports.
"""

from __future__ import annotations

import threading
from importlib import import_module

import joblib

from greenmachine.workers.local import begin_local

__all__ = ["start_workers"]


def start_workers(workers: int) -> None:
    """Start worker processes and their imports, and return at once.

    Args:
        workers: number of processes; -1 means one for each core. For 1 nothing is started.
    """
    count = joblib.effective_n_jobs(workers)
    if count > 1:
        results = begin_local(workers, [joblib.delayed(_import)()] * count)
        # Results that nobody reads would end the workers.
        threading.Thread(target=list, args=(results,), daemon=True).start()


def _import() -> None:
    import_module("greenmachine.engine.evaluator")
