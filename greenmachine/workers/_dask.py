"""joblib on Dask: a cluster on this machine, or a running scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import dask
import joblib
from distributed import Client, LocalCluster
from distributed.comm import CommClosedError
from joblib._dask import DaskDistributedBackend

from greenmachine.errors import RunError

__all__ = ["cluster"]

_LOCAL = {"distributed.scheduler.no-workers-timeout": "300s"}
"""If a local cluster can start no workers, on an overloaded machine, the run ends with a message of
one line; without this timeout, tasks would wait for ever."""

_PATIENCE = {"scheduler": 10, "worker": 30}  # seconds to wait for the scheduler and for a worker


class _Backend(DaskDistributedBackend):  # type: ignore[misc]  # joblib has no types
    """joblib's Dask backend, with two faults corrected."""

    def configure(self, *args: Any, **kwargs: Any) -> int:
        # joblib would not use a cluster with one worker, but do the work in this process.
        return max(2, int(super().configure(*args, **kwargs)))

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Future[Any]:
        # joblib does not notice when Dask gives up a task, and would wait for ever.
        future: Future[Any] = super().submit(func, callback)

        def failed(done: Future[Any]) -> None:
            if (error := done.exception()) is not None:
                callback(error)

        future.add_done_callback(failed)
        return future

    def run_everywhere(self, function: Callable[..., None], args: tuple[Any, ...]) -> None:
        with suppress(OSError, TimeoutError):  # the scheduler and its workers are gone
            self.client.run(function, *args, on_error="ignore")


@contextmanager
def cluster(address: str, workers: int) -> Iterator[None]:
    """Run joblib's tasks inside the block on the scheduler at ``address``, or on a new cluster."""
    with ExitStack() as opened:
        where: Any = address
        if not address:
            opened.enter_context(dask.config.set(_LOCAL))
            where = opened.enter_context(
                LocalCluster(
                    n_workers=joblib.cpu_count() if workers < 0 else workers,
                    threads_per_worker=1,
                    memory_limit=0,  # Dask would count mapped files, and pause workers for them
                    dashboard_address=None,
                )
            )
        try:
            client = Client(where, timeout=_PATIENCE["scheduler"], set_as_default=False)
        except (OSError, ValueError) as error:
            raise RunError(
                f"no Dask scheduler answers at {address} ({type(error).__name__}): "
                "start one with: dask scheduler"
            ) from None
        opened.enter_context(client)
        _check(client, address)
        # If all workers are gone for a moment, tasks wait until one is back.
        backend = _Backend(client=client, wait_for_workers_timeout=0)
        try:
            with joblib.parallel_config(backend=backend):
                yield
        except (CancelledError, CommClosedError):
            raise RunError(
                "the Dask scheduler is gone: start it again, or choose another --backend, and "
                "continue with `evolve --resume` or the same `score` command"
            ) from None


def _check(client: Client, address: str) -> None:
    """Reject a cluster without workers, and workers that run several tasks in one process."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE["worker"])
    except TimeoutError:
        raise RunError(
            f"the Dask scheduler at {address} has no workers: start some with: "
            f"dask worker {address} --nworkers -1 --nthreads 1"
        ) from None
    for worker, threads in client.nthreads().items():
        if threads > 1:
            raise RunError(
                f"the Dask worker at {worker} has {threads} threads, of which only one can be "
                f"used: start it with --nworkers {threads} --nthreads 1"
            )
