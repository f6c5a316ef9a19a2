"""End a loky worker when the process that it works for is gone."""

from __future__ import annotations

import os
import threading
import time
from functools import cache

__all__ = ["end_with_parent"]

_LOOK_SECONDS = 1.0


@cache
def end_with_parent(parent: int) -> None:
    """Make this process, a loky worker, end within about a second of its parent.

    A parent that is killed (``kill -9``, out of memory) cannot stop its workers: they would finish
    their tasks and wait for more, with all their memory, for five minutes. This is called when a
    worker starts and not with its first task, because a parent may die before it has sent one.
    Workers of Dask and Ray are managed by their cluster.

    Args:
        parent: process id of the parent; one that died before this call is detected too.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)  # no process is left to read a result or a message
