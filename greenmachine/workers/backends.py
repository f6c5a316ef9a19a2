"""Choose by name where tasks run: in processes on this machine, on Dask, or on Ray."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from greenmachine.errors import ConfigError
from greenmachine.workers.tasks import check_workers

__all__ = ["backend"]


@contextmanager
def backend(name: str, workers: int = -1) -> Iterator[None]:
    """Run the tasks inside the block on a backend, which is opened before and closed after.

    - ``loky``: processes on this machine; inside your own ``joblib.parallel_config``, its backend.
    - ``dask``: a new Dask cluster on this machine. A script that uses it must do its work under
      ``if __name__ == "__main__"``, because the workers import it.
    - ``dask:tcp://HOST:PORT``: all workers of a running Dask scheduler.
    - ``ray``: Ray on this machine, or the cluster that this process has joined.
    - ``ray:HOST:PORT``: a running Ray cluster. (There is no ``ray:auto``: after a crash, Ray
      searches for minutes for the cluster that is gone.)

    The machines of a cluster need not share folders. A worker that cannot see the run's folder
    captures its networks itself, into its own cache (``signals/shard_recipe.py``). Benchmark tables
    and images must be in its own data folder, or at the same path as on the sender's machine.

    Args:
        name: one of the above.
        workers: number of processes of a local backend, or of Ray; -1 means one for each core.

    Raises:
        ConfigError: there is no such backend or number of workers, or a package is not installed.
        RunError: no cluster answers at the address, or its workers are not suitable.
    """
    check_workers(workers)
    kind, colon, address = name.partition(":")
    if name == "loky":
        yield
        return
    if kind not in ("dask", "ray") or (colon and not address):
        raise ConfigError(
            f"unknown backend {name!r}: choose loky, dask, dask:tcp://HOST:PORT, ray or "
            "ray:HOST:PORT"
        )
    try:
        module = importlib.import_module(f"greenmachine.workers._{kind}")
    except ImportError:
        raise ConfigError(
            f"backend {name} needs a package: pip install 'greenmachine[{kind}]'"
        ) from None
    with module.cluster(address, workers):
        yield
