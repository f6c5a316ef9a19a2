"""Parallel work: tasks run through joblib, in local processes, on Dask or on Ray."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenmachine.workers.backends import backend
    from greenmachine.workers.memory import keep_freed_memory
    from greenmachine.workers.tasks import (
        Progress,
        WorkerWarning,
        can_begin,
        check_workers,
        count_workers,
        on_every_worker,
        remote,
        run_tasks,
        stream_tasks,
    )

__all__ = [
    "Progress",
    "WorkerWarning",
    "backend",
    "can_begin",
    "check_workers",
    "count_workers",
    "keep_freed_memory",
    "on_every_worker",
    "remote",
    "run_tasks",
    "stream_tasks",
]

_ELSEWHERE = {"backend": "backends", "keep_freed_memory": "memory"}


def __getattr__(name: str) -> Any:
    # Imported at first use: the command line needs only `memory`; `tasks` imports joblib and torch.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_ELSEWHERE.get(name, 'tasks')}")
    return globals().setdefault(name, getattr(module, name))
