"""GPUs: which ones a device name means, and tasks in threads of this process, one thread a GPU.

Threads, because what is on a GPU belongs to one process: signals are uploaded once and stay there
from call to call. A task always goes to the same GPU, by its number, so that it finds them again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch

from greenmachine.errors import ConfigError
from greenmachine.neutral import neutral

__all__ = ["deterministic_gpu", "is_gpu", "on_gpus", "resolve_device", "visible_gpus"]

Result = TypeVar("Result")
Progress = Callable[[int, int], None]


def is_gpu(device: str) -> bool:
    """Whether ``device`` is one GPU of this project's, or all of them."""
    return device.partition(":")[0] == "cuda"


def resolve_device(device: str, *, local: bool = True) -> str:
    """Return the device that ``device`` means: for ``auto`` GPUs where torch sees some, else cpu.

    Args:
        device: ``cpu``, ``cuda`` (all GPUs), ``cuda:1`` or ``auto``.
        local: the work is done on this machine, so that a missing GPU is a mistake.

    Raises:
        ConfigError: there is no such GPU.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if count else "cpu"
    if not is_gpu(device) or not local:
        return device
    if not count:
        raise ConfigError(
            f"device {device}: torch sees no GPU here; take --device cpu or auto, or install a "
            "torch that is built for the GPU of this machine"
        )
    number = device.partition(":")[2]
    if number and int(number) >= count:
        raise ConfigError(f"device {device}: torch sees {count} GPUs here, cuda:0 first")
    return device


def visible_gpus(device: str) -> list[str]:
    """Return the names of the GPUs that ``device`` stands for, in order."""
    if ":" in device:
        return [device]
    return [f"{device}:{number}" for number in range(torch.cuda.device_count())]


def on_gpus(
    function: Callable[..., Result],
    tasks: Sequence[tuple[Any, ...]],
    devices: Sequence[str],
    progress: Progress | None = None,
) -> list[Result]:
    """Return ``function(*task, device)`` for every task, in order, computed in threads.

    Args:
        function: takes a task's arguments and a device. It draws no random numbers and does not
            call ``neutral``: that is done here, once for all threads.
        tasks: arguments.
        devices: a thread each; task i has device i modulo their number.
        progress: told after every task, in this thread.
    """
    stopped = threading.Event()

    def work(number: int) -> list[Result]:
        torch.set_num_threads(1)
        device, results = devices[number], []
        with torch.cuda.device(device) if is_gpu(device) else nullcontext():
            for task in tasks[number :: len(devices)]:
                if stopped.is_set():
                    break
                results.append(function(*task, device))
                done.release()
        return results

    done = threading.Semaphore(0)
    with neutral(), deterministic_gpu(), ThreadPoolExecutor(len(devices)) as pool:
        futures = [pool.submit(work, number) for number in range(len(devices))]
        try:
            for count in range(1, len(tasks) + 1):
                while not done.acquire(timeout=0.2):
                    for future in futures:
                        if future.done():
                            future.result()  # raises what a task raised
                if progress is not None:
                    progress(count, len(tasks))
            lists = [future.result() for future in futures]
        finally:
            stopped.set()  # on Ctrl-C, and where another thread failed
    return [lists[place % len(devices)][place // len(devices)] for place in range(len(tasks))]


@contextmanager
def deterministic_gpu() -> Iterator[None]:
    """Let convolutions on a GPU take kernels that give the same at every call."""
    backend = torch.backends.cudnn
    before = backend.deterministic, backend.benchmark
    backend.deterministic, backend.benchmark = True, False
    try:
        yield
    finally:
        backend.deterministic, backend.benchmark = before
