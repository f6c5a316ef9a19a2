"""Work in parallel: tasks through joblib, on processes here, on Dask or on Ray."""

from greenmachine.workers.backends import backend
from greenmachine.workers.memory import keep_freed_memory
from greenmachine.workers.tasks import (
    Progress,
    WorkerWarning,
    check_workers,
    count_workers,
    run_tasks,
    stream_tasks,
)

__all__ = [
    "Progress",
    "WorkerWarning",
    "backend",
    "check_workers",
    "count_workers",
    "keep_freed_memory",
    "run_tasks",
    "stream_tasks",
]
