"""Tasks in parallel through joblib, one thread each, with progress and clean interruption.

They run on joblib's active backend: loky's processes on this machine, or the backend chosen with
:func:`greenmachine.workers.backend` or ``joblib.parallel_config``. Results are the same on all.

If a worker dies, no results are lost: the missing tasks run again. On loky and Ray this module
repeats them once per call; Dask repeats a task three times. After that the call ends with a
``RunError``, and a run can be resumed from its last checkpoint.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import joblib
import torch
from joblib.externals.loky import process_executor
from joblib.parallel import (
    LokyBackend,
    MultiprocessingBackend,
    SequentialBackend,
    ThreadingBackend,
    get_active_backend,
)

from greenmachine.errors import RunError, WorkerWarning
from greenmachine.neutral import neutral
from greenmachine.plugins import Plugin, loaded_plugins, receive_plugins
from greenmachine.workers.gpus import deterministic_gpu
from greenmachine.workers.local import begin_local, check_workers
from greenmachine.workers.memory import keep_freed_memory

__all__ = [
    "Progress",
    "WorkerWarning",
    "can_begin",
    "check_workers",
    "count_workers",
    "on_every_worker",
    "remote",
    "run_tasks",
    "stream_tasks",
]

Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Called with (tasks done, total tasks)."""

_GROWTH = 2**32  # bytes by which a worker may grow

# The error that a dead worker causes, and whether this module repeats the work. By name, because
# Dask and Ray are optional.
_DEATHS = {
    "TerminatedWorkerError": True,
    "RayActorError": True,
    "KilledWorker": False,
    "NoWorkerError": False,  # Dask: all workers are gone, and none came back
}


def count_workers(workers: int) -> int:
    """Return the number of processes for ``workers``.

    -1 means one for each core, or all workers of a cluster.
    """
    return int(joblib.effective_n_jobs(workers))


def remote() -> bool:
    """Return whether workers of the active backend may run on other machines (Dask and Ray)."""
    local = (LokyBackend, MultiprocessingBackend, ThreadingBackend, SequentialBackend)
    active = get_active_backend()[0]
    return hasattr(active, "run_everywhere") or not isinstance(active, local)


def on_every_worker(function: Callable[..., None], *args: Any) -> None:
    """Call ``function(*args)`` once in every worker process on other machines.

    It is for work that may be left undone, such as removing files: workers that are gone are
    skipped, and so are joblib backends that are not those of :func:`greenmachine.workers.backend`.
    """
    active = get_active_backend()[0]
    if hasattr(active, "run_everywhere"):
        active.run_everywhere(function, args)


def run_tasks(
    function: Callable[..., Result],
    tasks: Sequence[tuple[Any, ...]],
    workers: int,
    progress: Progress | None = None,
    *,
    device: str = "cpu",
) -> list[Result]:
    """Return all results of :func:`stream_tasks`.

    Args:
        function: as for :func:`stream_tasks`.
        tasks: as for :func:`stream_tasks`.
        workers: as for :func:`stream_tasks`.
        progress: called after every task.
        device: as for :func:`stream_tasks`.

    Raises:
        RunError: a worker was killed twice.
    """
    results: list[Result] = []
    for result in stream_tasks(function, tasks, workers, device=device):
        results.append(result)
        if progress is not None:
            progress(len(results), len(tasks))
    return results


def stream_tasks(
    function: Callable[..., Result],
    tasks: Sequence[tuple[Any, ...]],
    workers: int,
    *,
    device: str = "cpu",
) -> Generator[Result, None, None]:
    """Return an iterator over ``function(*task)`` of every task, in order.

    With several workers, the work begins at once, and goes on while the caller does other things.
    Closing the iterator, or an exception, ends it.

    Args:
        function: a function that a worker process can import.
        tasks: the arguments of each call; small ones, because they are pickled (pass paths, not
            tensors).
        workers: number of processes; -1 means one for each core. 1 runs in this process, except on
            a cluster, where all its workers are used.
        device: device of the tasks; with "cuda" they take turns on the GPUs that their worker sees.

    Returns:
        The results. A ``WorkerWarning`` is given if a worker died and its tasks run again.

    Raises:
        RunError: a worker was killed twice.
    """
    check_workers(workers)
    plugins = loaded_plugins()
    jobs = [(function, task, number, device, plugins) for number, task in enumerate(tasks)]
    if not jobs or _alone(workers, len(jobs)):
        return (_single(*job) for job in jobs)
    results = _repeated(jobs, workers)
    next(results)  # begins the work
    return results


def can_begin(workers: int, tasks: int) -> bool:
    """Return whether :func:`stream_tasks` may begin work while another stream is still read.

    It may in processes that joblib starts by default. Inside ``joblib.parallel_config``, on Dask
    and on Ray, all streams share one object, and the end of one stream stops the others.
    """
    active, again = get_active_backend()[0], get_active_backend()[0]
    default = isinstance(active, LokyBackend) and active is not again
    return default and not _alone(workers, tasks)


def _alone(workers: int, tasks: int) -> bool:
    """Return whether this process does the work itself, which it never does on a cluster."""
    local = isinstance(get_active_backend()[0], LokyBackend)
    return local and 1 in (workers, tasks, count_workers(workers))


def _repeated(jobs: Sequence[tuple[Any, ...]], workers: int) -> Generator[Any, None, None]:
    """Begin the jobs, yield None, then yield the results; repeat the jobs of a killed worker."""
    done, begun = 0, False
    for last in (False, True):
        try:
            results = _parallel(jobs[done:], workers)
            next(results)
            if not begun:
                begun = True
                yield None
            for result in results:
                done += 1
                yield result
            return
        except Exception as error:
            again = _again(error)
            if again is None:
                raise
            if last or not again:
                raise RunError(
                    "a worker process was killed, and killed again when its work was repeated, "
                    "probably because memory ran out: use fewer workers or a smaller batch, and "
                    "continue with `evolve --resume` or the same `score` command"
                ) from None
        warnings.warn(
            f"a worker process was killed: repeating the last {len(jobs) - done} of "
            f"{len(jobs)} tasks",
            WorkerWarning,
            stacklevel=2,
        )


def _parallel(jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[Any]:
    """Begin the jobs, yield None, then yield the results in order.

    On any exception, including Ctrl-C, joblib ends its workers.
    """
    # Ray's own backend has no generators, so its progress is reported at the end.
    active = get_active_backend()[0]
    generator = active.supports_return_generator
    calls = [joblib.delayed(_in_worker)(*job) for job in jobs]
    if isinstance(active, LokyBackend):
        found = begin_local(workers, calls)
    else:
        returned = "generator" if generator else "list"
        found = joblib.Parallel(n_jobs=workers, return_as=returned)(calls)
    try:
        yield None
        for result in found:  # noqa: UP028 (`yield from` would close it before we do)
            yield result
    finally:
        if generator:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about unused results, if the caller stopped
                found.close()


def _again(error: Exception) -> bool | None:
    """Return whether to repeat work that failed with ``error``; None if no worker died."""
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((_DEATHS[name] for name in names if name in _DEATHS), None)


def _in_worker(*job: Any) -> Any:
    keep_freed_memory()
    # If psutil is installed, loky treats 300 MB of growth as a leak and starts another worker,
    # which imports torch again. These workers grow by mapped signals and by memory that they keep.
    process_executor._MAX_MEMORY_LEAK_SIZE = _GROWTH
    return _single(*job)


def _single(
    function: Callable[..., Result],
    task: tuple[Any, ...],
    number: int,
    device: str,
    plugins: tuple[Plugin, ...],
) -> Result:
    receive_plugins(plugins)
    with neutral(), _gpu(number, device), deterministic_gpu():
        return function(*task)


@contextmanager
def _gpu(number: int, device: str) -> Iterator[None]:
    """Make "cuda" the GPU of this task inside the block: task i has GPU i modulo their number.

    The GPU is chosen in the worker, because machines may have different numbers of GPUs.
    """
    count = torch.cuda.device_count() if device == "cuda" else 0
    if count == 0:  # no GPU is wanted; or there is none, and torch raises the error
        yield
        return
    with torch.cuda.device(number % count):
        yield
