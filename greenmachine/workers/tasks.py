"""Tasks in parallel through joblib, one thread each, with progress and clean interruption.

Who runs them is joblib's active backend: loky's processes on this machine, or what
:func:`greenmachine.workers.backend` or ``joblib.parallel_config`` chose. Results are the same.

A worker that dies loses no results: what had not come back runs again. On loky and Ray that
happens here, once a call; Dask does it by itself, three times a task. After that the call stops
with a ``RunError``, and a run goes on from its last checkpoint.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
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

from greenmachine.errors import ConfigError, RunError, WorkerWarning
from greenmachine.interrupts import ENDING
from greenmachine.neutral import neutral
from greenmachine.plugins import Plugin, loaded_plugins, receive_plugins
from greenmachine.workers.gpus import deterministic_gpu
from greenmachine.workers.memory import keep_freed_memory
from greenmachine.workers.orphans import end_with_parent

__all__ = [
    "Progress",
    "WorkerWarning",
    "check_workers",
    "count_workers",
    "on_every_worker",
    "remote",
    "run_tasks",
    "stream_tasks",
]

Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Called with (tasks done, tasks in all)."""

_MOST = 1024  # processes; joblib makes a queue of as many
_GROWTH = 2**32  # bytes by which a worker may grow

# What a dead worker raises, and whether to try again is up to us. Names: Dask and Ray are optional.
_DEATHS = {
    "TerminatedWorkerError": True,
    "RayActorError": True,
    "KilledWorker": False,
    "NoWorkerError": False,  # Dask: all workers are gone, and none came back
}


def check_workers(workers: int) -> None:
    """Refuse what is no number of processes.

    Raises:
        ConfigError: it is neither 1 to 1024 nor -1.
    """
    if workers != -1 and not 1 <= workers <= _MOST:
        raise ConfigError(f"workers {workers}: give 1 to {_MOST} processes, or -1 for every core")


def count_workers(workers: int) -> int:
    """Return the number of processes that ``workers`` means.

    -1 is one for every core, or all workers of a cluster.
    """
    return int(joblib.effective_n_jobs(workers))


def remote() -> bool:
    """Whether workers of the active backend may run on other machines: on Dask and on Ray."""
    local = (LokyBackend, MultiprocessingBackend, ThreadingBackend, SequentialBackend)
    active = get_active_backend()[0]
    return hasattr(active, "run_everywhere") or not isinstance(active, local)


def on_every_worker(function: Callable[..., None], *args: Any) -> None:
    """Call ``function(*args)`` once in every worker process that there is on other machines.

    For what may be left undone, such as the removal of files: a worker that is gone is left out,
    and so is a backend of joblib's that is not one of :func:`greenmachine.workers.backend`.
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
    """Return what :func:`stream_tasks` yields, all of it.

    Args:
        function: see there, as for all but ``progress``.
        tasks: see there.
        workers: see there.
        progress: told after every task.
        device: see there.

    Raises:
        RunError: a worker was killed from outside, and again.
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
) -> Iterator[Result]:
    """Yield ``function(*task)`` for every task, in order, computed by ``workers`` processes.

    Args:
        function: importable by a worker process.
        tasks: arguments; small ones, because they are pickled (pass paths, not tensors).
        workers: processes; -1 takes every core. 1 runs in this process, but for a cluster: there
            all its workers run.
        device: what the tasks compute on: with "cuda" they take turns at the GPUs that their
            worker sees.

    Yields:
        The results. Warns (``WorkerWarning``) where a worker died and its tasks run again.

    Raises:
        RunError: a worker was killed from outside, and again.
    """
    check_workers(workers)
    plugins = loaded_plugins()
    jobs = [(function, task, number, device, plugins) for number, task in enumerate(tasks)]
    done = 0
    if not jobs or _alone(workers, len(jobs)):
        for job in jobs:
            yield _single(*job)
        return
    for last in (False, True):
        try:
            for result in _parallel(jobs[done:], workers):
                done += 1
                yield result
            return
        except Exception as error:
            again = _again(error)
            if again is None:
                raise
            if last or not again:
                raise RunError(
                    "a worker process was killed, and again when its work was repeated, most "
                    "likely for memory: use fewer workers or a smaller batch, and go on with "
                    "`evolve --resume` or the same `score` command"
                ) from None
        warnings.warn(
            f"a worker process was killed: repeating the last {len(jobs) - done} of "
            f"{len(jobs)} tasks",
            WorkerWarning,
            stacklevel=2,
        )


def _alone(workers: int, tasks: int) -> bool:
    """Whether this process may as well do the work: never that of a cluster."""
    local = isinstance(get_active_backend()[0], LokyBackend)
    return local and 1 in (workers, tasks, count_workers(workers))


def _parallel(jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[Any]:
    """Yield results in order; on any exception, Ctrl-C too, joblib ends its workers."""
    # Ray's own backend has no generators: there the progress comes at the end.
    generator = get_active_backend()[0].supports_return_generator
    # Processes inherit what is held back here: those who work for us end when we end them, and not
    # with a traceback of their own when a signal is sent to the whole group (Ctrl-C, a closed
    # terminal, a scheduler). What keeps track of semaphores must outlive us, to remove them.
    loky = isinstance(get_active_backend()[0], LokyBackend)
    start = {"initializer": end_with_parent, "initargs": (os.getpid(),)} if loky else {}
    returned = "generator" if generator else "list"
    parallel = joblib.Parallel(n_jobs=workers, return_as=returned, **start)
    with _signals_blocked() if loky else nullcontext():
        found = parallel(joblib.delayed(_in_worker)(*job) for job in jobs)
    try:
        for result in found:  # noqa: UP028 (`yield from` would close it before we do)
            yield result
    finally:
        if generator:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of results that nobody takes: we were stopped
                found.close()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Hold back the signals that end a command inside, in the processes started there for good."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _again(error: Exception) -> bool | None:
    """Return whether to try again what failed with ``error``; None if no worker died."""
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((_DEATHS[name] for name in names if name in _DEATHS), None)


def _in_worker(*job: Any) -> Any:
    keep_freed_memory()
    # Where psutil is installed loky takes 300 MB of growth for a leak and starts another worker,
    # which imports torch again; ours grow by the signals that they map and the memory they keep.
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
    """Inside, "cuda" is the GPU whose turn it is: task i has GPU i modulo their number.

    Chosen in the worker, because another machine may have another number of them.
    """
    count = torch.cuda.device_count() if device == "cuda" else 0
    if count == 0:  # no GPU is wanted; or none is there, and torch will say so
        yield
        return
    with torch.cuda.device(number % count):
        yield
