"""Capture the signals of a sample of a benchmark's networks."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from greenmachine.benchmarks import Benchmark, absolute_name, data_folder, load_benchmark
from greenmachine.benchmarks.packed import PackedBenchmark, pack_benchmark
from greenmachine.errors import GreenMachineError, RunError, with_type
from greenmachine.networks.layers import coverage
from greenmachine.networks.untouched import MARK, float_like, new_parameter
from greenmachine.neutral import neutral
from greenmachine.signals.capture import KEEPS_VALUES, Layer
from greenmachine.signals.passes import noise_images
from greenmachine.signals.registry import wanted_of
from greenmachine.signals.run_passes import run_passes
from greenmachine.signals.shard import Shard, stack_layers

__all__ = [
    "CaptureSpec",
    "attempt",
    "build_network",
    "cached_benchmark",
    "capture_layers",
    "capture_network",
    "capture_shard",
    "packed_benchmark",
]

Result = TypeVar("Result")
_Stamp = tuple[int, int] | None


@dataclass(frozen=True)
class CaptureSpec:
    """The specification of a capture, the same for every network of a sample.

    Attributes:
        benchmark: name, for ``load_benchmark``; paths in it become absolute, because workers
            may have started in another folder.
        dataset: data set whose images and number of classes the networks get.
        terminals: signals to keep, sorted, such as ``noise_input``.
        batch: number of images in each pass.
        seed: seed of weights, noise and the choice of images.
        options: build options of the benchmark, such as ``{"cells": 2}``.
        device: torch device on which the passes run.
        precision: number format of signals in a store: float32 (unchanged), bfloat16 or float16.
    """

    benchmark: str
    dataset: str
    terminals: tuple[str, ...]
    batch: int = 8
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    precision: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "benchmark", absolute_name(self.benchmark))


def capture_network(benchmark: Benchmark, index: int, spec: CaptureSpec) -> list[Layer] | str:
    """Build network ``index`` and run its passes; return the error message if it fails.

    It warns if a user's network has weights outside of convolutions and linear layers.

    Raises:
        GreenMachineError: the cause is not the network, but data, a build option or memory.
    """
    terminals = set(spec.terminals) - {"depth"}
    images = labels = None
    if wanted_of("data", terminals):
        images, labels = benchmark.images(spec.dataset, spec.batch, seed=spec.seed)
    shape = (spec.batch, *benchmark.input_shape(spec.dataset))

    def layers() -> list[Layer]:
        model = build_network(benchmark, index, spec)
        with neutral():
            if benchmark.space.built_in:
                stay_untouched(model)
            found = run_passes(
                model, terminals, shape, images=images, labels=labels, seed=spec.seed
            )
        if not benchmark.space.built_in:  # built-in networks are fully covered
            batch = noise_images(shape, spec.seed) if images is None else images
            fired = {layer.module for layer in found}
            send = batch.to(float_like(model))
            coverage(model, fired, lambda: model(send), spec.seed).warn()
        return found

    return attempt(index, layers)


def build_network(benchmark: Benchmark, network: int | str, spec: CaptureSpec) -> nn.Module:
    """Return a network with the seed, options and device of ``spec``.

    Args:
        benchmark: the benchmark.
        network: an index, or an architecture, which need not be in the table of the benchmark.
        spec: the specification.
    """
    if isinstance(network, str):
        model = benchmark.build_arch(network, spec.dataset, seed=spec.seed, **spec.options)
    else:
        model = benchmark.build(network, spec.dataset, seed=spec.seed, **spec.options)
    if benchmark.space.built_in:  # blocks.py changes nothing in place, so no signal needs a copy
        vars(model)[KEEPS_VALUES] = True
    return model if spec.device == "cpu" else model.to(spec.device)


def stay_untouched(model: nn.Module) -> None:
    """Bring a new built-in network into the state of ``untouched`` for good.

    Nobody else has the network, so its original state need not be saved and restored, which takes
    as long as a quarter of building it.
    """
    for parameter in model.parameters():
        parameter.data = new_parameter(parameter).data
    vars(model)[MARK] = True


def attempt(index: int | str, work: Callable[[], Result]) -> Result | str:
    """Return ``work()``, or the message of the error that network ``index`` raised in it.

    Raises:
        GreenMachineError: the cause is not the network, but data, a build option or memory.
    """
    try:
        with _collector_paused():
            return work()
    except GreenMachineError:
        raise
    except (MemoryError, torch.OutOfMemoryError):
        raise RunError(
            f"network {index} does not fit into memory: use a smaller batch or fewer workers"
        ) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a network may raise anything or call sys.exit; it scores NaN
        return with_type(error)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause Python's garbage collector inside the block.

    A network consists of thousands of objects that are freed together. Building one after another
    makes the collector visit every object of the process, torch's too, which takes a tenth of the
    time.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def capture_shard(
    spec: CaptureSpec, places: Sequence[tuple[int, int]], packed: PackedBenchmark | None = None
) -> Shard:
    """Capture some networks and stack their layers; arguments as for :func:`capture_layers`."""
    return stack_layers(capture_layers(spec, places, packed), spec.batch)


def capture_layers(
    spec: CaptureSpec, places: Sequence[tuple[int, int]], packed: PackedBenchmark | None = None
) -> dict[int, list[Layer] | str]:
    """Capture some networks.

    Args:
        spec: what to capture.
        places: the networks, as (position in the sample, index in the benchmark).
        packed: the benchmark as sent with the task; by default that of this process.

    Returns:
        For each position in the sample, the layers of the network or its error message.
    """
    packed = packed or packed_benchmark(spec.benchmark)
    benchmark = packed.open(cached_benchmark)
    return {place: capture_network(benchmark, index, spec) for place, index in places}


def packed_benchmark(name: str) -> PackedBenchmark:
    """Return this process's benchmark in the form that is sent with tasks."""
    return pack_benchmark(cached_benchmark(name), data_folder())


def cached_benchmark(name: str, folder: Path | None = None) -> Benchmark:
    """Return the benchmark, read once per process, because a worker captures many shards.

    It is read again if one of its files has changed: workers may live longer than a call, and a
    user may edit the file of their networks between two calls.

    Args:
        name: as for ``load_benchmark``.
        folder: the data folder; by default ``data_folder()``.
    """
    key = absolute_name(name), (data_folder() if folder is None else folder).resolve()
    held = _held.get(key)
    if held is None or _stamps(held[0]) != held[1]:
        benchmark = load_benchmark(*key)
        _held.pop(key, None)
        if len(_held) == _HELD:
            _held.pop(next(iter(_held)))
        _held[key] = held = benchmark, _stamps(benchmark)
    return held[0]


_HELD = 4  # most tables in memory; the oldest is dropped first
_held: dict[tuple[str, Path], tuple[Benchmark, list[_Stamp]]] = {}


def _stamps(benchmark: Benchmark) -> list[_Stamp]:
    """Return modification time and size of every file of the benchmark; None for a missing file."""
    return [_stamp(path) for path in (benchmark.source, *benchmark.code)]


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
