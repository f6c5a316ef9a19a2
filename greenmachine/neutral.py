"""Make the result of a network independent of global settings of torch.

Torch has settings that apply to a process or a ``with`` block: threads, default device and dtype,
autocast, compilation, the random generator. A score must not depend on them.

This file imports only torch, because exported proxies inline its source.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["neutral", "seeded"]

DEVICE_TYPES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def neutral() -> Iterator[None]:
    """Run torch with its default settings, on one thread, one caller at a time.

    Sums and products that are split over threads round differently; on one thread a result does not
    depend on the number of cores. Threads that call this at the same time wait for each other,
    because networks draw from one random generator of the process.
    """
    # Stored in torch, so that exported files and GreenMachine in one process share the lock.
    lock = vars(torch.random).setdefault("_untrained_network_lock", threading.RLock())
    with lock, torch.inference_mode(False), ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)
        if torch.get_default_dtype() != torch.float32:
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(torch.float32)
        stack.enter_context(full_precision())
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in DEVICE_TYPES:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if "torch._dynamo" in sys.modules:  # otherwise nothing can be compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        # The same attention kernel everywhere, which can be differentiated twice.
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 products in float32, on every device, inside the block."""
    backends = torch.backends
    places: list[Any] = [
        part
        for backend, names in (
            (backends.mkldnn, ("conv", "matmul", "rnn")),
            (backends.cudnn, ("conv", "rnn")),
            (backends.cuda, ("matmul",)),
        )
        for name in names
        if hasattr(part := getattr(backend, name, None), "fp32_precision")
    ]
    if places:
        before = [place.fp32_precision for place in places]
        try:
            for place in places:
                place.fp32_precision = "ieee"
            yield
        finally:
            for place, precision in zip(places, before, strict=True):
                place.fp32_precision = precision
    else:  # torch before 2.9
        legacy = torch.get_float32_matmul_precision()
        try:
            torch.set_float32_matmul_precision("highest")
            yield
        finally:
            torch.set_float32_matmul_precision(legacy)


def seed_torch(seed: int) -> None:
    """Seed torch's generators: that of the CPU, and those of an accelerator in use.

    For each kind of accelerator that is not in use, ``torch.manual_seed`` formats and stores the
    call stack, which takes longer than all the rest, and more memory at every call.
    """
    accelerator = torch.accelerator.current_accelerator()
    module = None if accelerator is None else torch.get_device_module(accelerator)
    if module is None or not getattr(module, "is_initialized", lambda: True)():
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


@contextmanager
def seeded(seed: int, devices: Sequence[int] = ()) -> Iterator[None]:
    """Seed every generator that a network may use, and restore them after the block.

    Args:
        seed: seed of torch, and of Python's and numpy's global generators.
        devices: GPUs whose generators are restored too.
    """
    numpy = sys.modules.get("numpy")  # a process that has not imported it does not draw from it
    python_state, numpy_state = random.getstate(), numpy and numpy.random.get_state()
    with torch.random.fork_rng(devices):
        seed_torch(seed)
        random.seed(seed)
        if numpy:
            numpy.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python_state)
            if numpy:
                numpy.random.set_state(numpy_state)
