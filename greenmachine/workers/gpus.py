"""GPUs: the devices that a name refers to, and tasks in threads, one thread per GPU.

Tasks run in threads because data on a GPU belong to one process: signals are uploaded once and stay
there between calls. Task i always runs on the same GPU, so that it finds them again.
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
    """Return whether ``device`` is one GPU, or all of them."""
    return device.partition(":")[0] == "cuda"


def resolve_device(device: str, *, local: bool = True) -> str:
    """Return the device for ``device``: ``auto`` becomes the GPUs if torch sees any, else cpu.

    Args:
        device: ``cpu``, ``cuda`` (all GPUs), ``cuda:1`` or ``auto``.
        local: whether the work is done on this machine, so that a missing GPU is an error.

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
            f"device {device}: torch finds no GPU on this machine; use --device cpu or auto, or "
            "install a torch that is built for its GPU"
        )
    number = device.partition(":")[2]
    if number and int(number) >= count:
        raise ConfigError(f"device {device}: torch finds {count} GPUs on this machine, from cuda:0")
    return device


def visible_gpus(device: str) -> list[str]:
    """Return the names of the GPUs of ``device``, in order."""
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
        function: takes a task's arguments and a device. It must draw no random numbers, and must
            not call ``neutral``, which this function does once for all threads.
        tasks: the arguments of each call.
        devices: one thread is started for each; task i runs on device i modulo their number.
        progress: called after every task, in this thread.
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
            stopped.set()  # on Ctrl-C, and if another thread failed
    return [lists[place % len(devices)][place // len(devices)] for place in range(len(tasks))]


@contextmanager
def deterministic_gpu() -> Iterator[None]:
    """Make convolutions on a GPU use deterministic kernels inside the block."""
    backend = torch.backends.cudnn
    before = backend.deterministic, backend.benchmark
    backend.deterministic, backend.benchmark = True, False
    try:
        yield
    finally:
        backend.deterministic, backend.benchmark = before
