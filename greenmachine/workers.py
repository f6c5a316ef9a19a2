"""Tasks in parallel through joblib, one thread each, with progress and clean interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from greenmachine.errors import RunError

__all__ = ["Progress", "count_workers", "one_thread", "run_tasks"]

Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Called with (tasks done, tasks in all)."""


def count_workers(workers: int) -> int:
    """Return the number of processes that ``workers`` means: -1 is one for every core."""
    return int(joblib.effective_n_jobs(workers))


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread inside.

    Sums and products split over threads round differently: with one thread the result does
    not depend on the machine's cores, nor on whether a task ran here or in a worker.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_tasks(
    function: Callable[..., Result],
    tasks: Sequence[tuple[Any, ...]],
    workers: int,
    progress: Progress | None = None,
) -> list[Result]:
    """Return ``[function(*task) for task in tasks]``, computed by ``workers`` processes.

    Args:
        function: importable by a worker process.
        tasks: arguments; small ones, because they are pickled (pass paths, not tensors).
        workers: processes; 1 runs in this process, -1 takes every core.
        progress: told after every task.

    Raises:
        RunError: a worker was killed from outside.
    """
    if not tasks:
        return []
    results: list[Result] = []
    if count_workers(min(workers, len(tasks)) if workers > 0 else workers) == 1:
        for task in tasks:
            results.append(_single(function, task))
            if progress is not None:
                progress(len(results), len(tasks))
        return results
    # Ray's backend has no generators: there the progress comes at the end.
    backend, _ = joblib.parallel.get_active_backend()
    return_as = "generator" if backend.supports_return_generator else "list"
    parallel = joblib.Parallel(n_jobs=workers, return_as=return_as)
    try:  # on any exception, Ctrl-C too, joblib kills its workers
        for result in parallel(joblib.delayed(_single)(function, task) for task in tasks):
            results.append(result)
            if progress is not None:
                progress(len(results), len(tasks))
    except TerminatedWorkerError:
        raise RunError(
            "a worker process was killed, most likely for memory: "
            "use fewer workers or smaller samples, then --resume"
        ) from None
    return results


def _single(function: Callable[..., Result], task: tuple[Any, ...]) -> Result:
    with one_thread():
        return function(*task)
