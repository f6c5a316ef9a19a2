"""What one of loky's workers does when the process that it works for is gone."""

from __future__ import annotations

import os
import threading
import time
from functools import cache

__all__ = ["end_with_parent"]

_LOOK_SECONDS = 1.0


@cache
def end_with_parent(parent: int) -> None:
    """Let this process, a worker of loky, end within about a second of its parent.

    A parent that is killed (``kill -9``, out of memory) cannot tell its workers: they would finish
    what they were sent and wait for more, with all their memory, for five minutes. Called when a
    worker starts, not with its first task: a parent may die before it has sent one. A worker of
    Dask or Ray outlives the shell that started it, and its cluster looks after it.

    Args:
        parent: its process id; one that died before this call is noticed too.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)  # nobody is left to read a result or a message
