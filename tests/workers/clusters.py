"""Clusters as a user starts them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest


def closed() -> str:
    """An address at which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def listens(address: str) -> bool:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    with socket.socket() as caller:
        return caller.connect_ex((host, int(port))) == 0


@contextmanager
def dask_cluster(folder: Path, *options: str) -> Iterator[tuple[str, list[psutil.Process]]]:
    """A scheduler and, with ``options``, workers as a user starts them: their processes."""
    pytest.importorskip("distributed")
    address = f"tcp://{closed()}"
    program = str(Path(sys.executable).with_name("dask"))
    lines = [["scheduler", "--port", address.rpartition(":")[2], "--no-dashboard"]]
    lines += [["worker", address, *options, "--no-dashboard"]] if options else []
    daemons = []
    for words in lines:
        daemons.append(
            subprocess.Popen(
                [program, *words], cwd=folder, start_new_session=True, stderr=subprocess.DEVNULL
            )
        )
    try:
        deadline = time.monotonic() + 120
        while not listens(address) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield address, [psutil.Process(daemon.pid) for daemon in daemons]
    finally:
        for daemon in daemons:
            os.killpg(daemon.pid, signal.SIGTERM)
            daemon.wait()
