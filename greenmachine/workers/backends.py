"""Where tasks run, by name: processes on this machine, Dask, or Ray."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from greenmachine.errors import ConfigError
from greenmachine.workers.tasks import check_workers

__all__ = ["backend"]


@contextmanager
def backend(name: str, workers: int = -1) -> Iterator[None]:
    """Run the tasks inside on a backend, which is opened for them and closed after them.

    - ``loky``: processes on this machine; inside a ``joblib.parallel_config`` of yours, what that
      says.
    - ``dask``: a Dask cluster on this machine. A script that asks for it does its work under
      ``if __name__ == "__main__"``, because the workers import it.
    - ``dask:tcp://HOST:PORT``: all workers of a Dask scheduler that runs already.
    - ``ray``: Ray on this machine, or the one that this process has joined.
    - ``ray:HOST:PORT``: a Ray cluster that runs already. (No ``ray:auto``: after a crash Ray looks
      for the cluster that is gone, for minutes.)

    The machines of a cluster need not share folders. A worker that does not see the run's folder
    captures its networks itself, into its own cache (``signals/shard_recipe.py``); benchmark tables
    and images are in its own data folder, or where the sender has them.

    Args:
        name: one of the above.
        workers: processes of a local backend, or of Ray; -1 takes every core.

    Raises:
        ConfigError: there is no such backend or number of workers, or a package is not installed.
        RunError: no cluster answers at the address, or its workers do not fit.
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
