"""What one of loky's workers does when the process that it works for is gone."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from functools import cache

__all__ = ["end_with_parent"]

_LOOK_SECONDS = 1.0


@cache
def end_with_parent() -> None:
    """Let this process, if it is a worker of loky, end within about a second of its parent.

    A parent that is killed (``kill -9``, out of memory) cannot tell its workers: they would finish
    what they were sent and wait for more, with all their memory, for five minutes. A worker of
    Dask or Ray outlives the shell that started it, and its cluster looks after it.
    """
    if not multiprocessing.current_process().name.startswith("LokyProcess"):
        return
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)  # nobody is left to read a result or a message
