"""Keep what surrounds a call from changing what a network computes.

Torch has settings that hold for a whole process or a ``with`` block: threads, default device and
dtype, autocast, compilation, the random generator. A score has to be the same whatever they are.

This file needs torch alone, because exported proxies inline its source.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["neutral"]

DEVICE_TYPES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def neutral() -> Iterator[None]:
    """Run torch with its own default settings, on one thread, one caller at a time.

    Sums and products split over threads round differently: with one thread a result does not
    depend on the number of cores. Threads that call at the same time wait for each other, because
    networks draw from one random generator of the process.
    """
    # Kept in torch, so that exported files and GreenMachine in one process share the lock.
    lock = vars(torch.random).setdefault("_untrained_network_lock", threading.RLock())
    with lock, torch.inference_mode(False), ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)
        if torch.get_default_dtype() != torch.float32:
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(torch.float32)
        if torch.get_float32_matmul_precision() != "highest":
            stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("highest")
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in DEVICE_TYPES:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if "torch._dynamo" in sys.modules:  # else nothing can be compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        # One kernel of attention for all, and one that can be differentiated twice.
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield
