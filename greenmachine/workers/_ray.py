"""joblib on Ray: on this machine, or on a running cluster.

Ray's own joblib backend is not used, because it starts its processes again for every call, which
takes seconds each time.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import joblib
import ray
from joblib.parallel import MultiprocessingBackend
from ray.util.multiprocessing import Pool
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from greenmachine.errors import RunError

__all__ = ["cluster"]

_PATIENCE = 5  # seconds for an answer; Ray itself would wait for minutes


class _Backend(MultiprocessingBackend):  # type: ignore[misc]  # joblib has no types
    """A pool of Ray actors that is kept between calls, until an actor dies."""

    supports_return_generator = True
    _pool: Any = None

    def __init__(self, processes: int) -> None:
        super().__init__(nesting_level=0)
        self._processes = processes

    def effective_n_jobs(self, n_jobs: int) -> int:
        return self._processes

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        self.parallel = parallel
        if self._pool is None:
            # One CPU each; otherwise Ray puts all actors on one machine.
            self._pool = Pool(self._processes, ray_remote_args={"num_cpus": 1})
        return max(2, self._processes)  # with 1, joblib would do the work in this process

    def run_everywhere(self, function: Callable[..., None], args: tuple[Any, ...]) -> None:
        with suppress(ray.exceptions.RayError, OSError):  # an actor is gone, or its machine
            nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
            once = ray.remote(num_cpus=0, max_retries=0)(function)
            ray.get([once.options(scheduling_strategy=_on(node)).remote(*args) for node in nodes])

    def terminate(self) -> None:
        self.reset_batch_stats()  # the end of a call

    def abort_everything(self, ensure_ready: bool = True) -> None:
        self.close()

    def close(self) -> None:
        super().terminate()


def _on(node: str) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node, soft=False)


@contextmanager
def cluster(address: str, workers: int) -> Iterator[None]:
    """Run joblib's tasks inside the block on the Ray cluster at ``address``, or a local one."""
    ours = not ray.is_initialized()
    if ours:
        _connect(address, workers)
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if workers > cpus:
            raise RunError(f"Ray has {cpus} CPUs for {workers} workers: use fewer workers")
        backend = _Backend(cpus if workers < 0 else workers)
        try:
            with joblib.parallel_config(backend=backend):
                yield
        finally:
            backend.close()
    finally:
        if ours:
            ray.shutdown()


def _connect(address: str, workers: int) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not address:
        cores = joblib.cpu_count() if workers < 0 else workers
        ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:
        raise RunError(
            f"no Ray answers at {address} ({type(error).__name__}): start it with: "
            "ray start --head --port 6379"
        ) from None
    try:
        ray.init(address=address, **quiet)
    except ConnectionError:
        raise RunError(
            f"Ray at {address} rejects the connection: if it needs a token, set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the token of the cluster"
        ) from None
