"""Part c, first half: compare the memory traffic of each primitive with a plain copy of memory.

The bytes of a primitive are those of its arguments and of its result, each counted once. A copy
reads and writes, so its bytes count twice. Both run on one thread of this process. Primitives run
on real signals of the workload's layers, one chunk at a time, as in the engine. All chunks together
are larger than the cache; otherwise the first chunk would still be cached in the next round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.performance.report import Report
from experiments.performance.settings import Settings
from experiments.performance.workload import Workload, synchronised
from greenmachine.engine import layer_stage
from greenmachine.language import TERMINALS
from greenmachine.neutral import neutral
from greenmachine.primitives import eigenvalues, registry
from greenmachine.primitives.registry import (
    BATCH_MATRIX,
    CHANNEL_MATRIX,
    INPUT_TENSOR,
    OUTPUT_TENSOR,
    WEIGHT_TENSOR,
)
from greenmachine.signals.shard_io import open_shard

__all__ = ["copy_rate", "measure_throughput"]

_TENSORS = (WEIGHT_TENSOR, INPUT_TENSOR, OUTPUT_TENSOR)
_MATRICES = {CHANNEL_MATRIX: ("filter_gram", "channel_gram"), BATCH_MATRIX: ("batch_gram",)}
_COPIES = 9
_SHAPE_ONLY = {"numel", "channel_count", "position_count"}  # they read no element

Chunk = tuple[Tensor, Tensor]
"""Two arguments of one kind."""


def measure_throughput(workload: Workload, report: Report) -> float:
    """Report the copy, and every primitive on every kind except vectors; return the copy's rate."""
    settings = workload.settings
    with neutral(), torch.no_grad():
        copy = copy_rate(settings.copy_bytes, settings.device)
        in_cache = copy_rate(2**20, settings.device)
        report.add(
            "c",
            "copy of a large array",
            copy / 1e9,
            "GB/s",
            f"{settings.copy_bytes >> 20} MiB, one thread, read + written: the yardstick",
        )
        report.add("c", "copy of 1 MiB", in_cache / 1e9, "GB/s", "in the cache")
        table: list[dict[str, Any]] = []
        for kind, chunks in _arguments(workload).items():
            report.say(f"throughput on {kind}: {_bytes(chunks) / 1e6:.0f} MB")
            for name, function, chosen in _functions(kind, chunks):
                rate = _rate(function, chosen, settings)
                table.append(
                    {
                        "primitive": name,
                        "family": registry[name].family if name in registry else "spectra",
                        "kind": kind,
                        "gb_per_second": round(rate / 1e9, 4),
                        "of_copy": round(rate / copy, 4),
                    }
                )
    report.details["c_primitives"] = table
    _summarise(table, report)
    return copy


def _summarise(table: list[dict[str, Any]], report: Report) -> None:
    """Report the median of every family on tensors and on matrices.

    Matrices are small, so the time of calls dominates there.
    """
    for group, kinds in (("tensors", _TENSORS), ("matrices", tuple(_MATRICES))):
        for family in dict.fromkeys(row["family"] for row in table):
            rows = [row for row in table if row["family"] == family and row["kind"] in kinds]
            if rows:
                rates = [row["gb_per_second"] for row in rows]
                slowest = min(rows, key=lambda row: row["gb_per_second"])["primitive"]
                note = f"{min(rates):.3g} ({slowest}) to {max(rates):.3g}; {len(rows)} signatures"
                what = f"{family} on {group}: median"
                report.add("c", what, float(np.median(rates)), "GB/s", note)


def copy_rate(size: int, device: str) -> float:
    """Return the bytes read and written per second while copying an array of ``size`` bytes."""
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source).copy_(source)
    calls = max(1, 2**28 // size)
    seconds = []
    for _ in range(_COPIES):
        started = synchronised(device)
        for _ in range(calls):
            target.copy_(source)
        seconds.append((synchronised(device) - started) / calls)
    return 2 * source.nbytes / float(np.median(seconds))


def _arguments(workload: Workload) -> dict[str, list[Chunk]]:
    """Return chunks of real signals of every kind, and of matrices computed from them."""
    names = {k: [n for n in workload.spec.terminals if TERMINALS[n] == k] for k in _TENSORS}
    found: dict[str, list[Chunk]] = {k: [] for k in _TENSORS if names[k]}
    device, limit = workload.settings.device, workload.settings.data_bytes
    for path in workload.store.paths:
        shard = open_shard(path)
        short = [kind for kind, chunks in found.items() if _bytes(chunks) < limit]
        for stack in shard.stacks:
            for part in layer_stage.chunks(stack, device):
                for kind in short:
                    first, second = (
                        stack.signal(name, part, shard.batch).clone().to(device)
                        for name in (names[kind][0], names[kind][-1])
                    )
                    found[kind].append((first, second))
    for kind, chunks in found.items():
        found[kind] = chunks[:: max(1, _bytes(chunks) // limit)]  # still contains every shape
    for kind, makers in _MATRICES.items():
        found[kind] = [
            (made, made.flip(-1, -2))
            for maker in makers
            for signature in registry[maker].signatures
            for first, _ in found.get(signature.arguments[0], [])
            for made in (registry[maker].function(first),)
        ]
    return found


def _bytes(chunks: Sequence[tuple[Tensor, ...]]) -> int:
    return sum(chunk[0].nbytes for chunk in chunks)


def _functions(
    kind: str, chunks: list[Chunk]
) -> list[tuple[str, Callable[..., Tensor], Sequence[tuple[Tensor, ...]]]]:
    """Return name, function and arguments of the primitives of one or two values of ``kind``."""
    ones = [(first,) for first, _ in chunks]
    found: list[tuple[str, Callable[..., Tensor], Sequence[tuple[Tensor, ...]]]] = []
    spectra: list[tuple[Tensor, ...]] = []
    if kind in _MATRICES:
        found.append(("eigenvalues", eigenvalues, ones))
        spectra = [(eigenvalues(first),) for first, _ in chunks]
    for primitive in registry:
        if primitive.across_layers or primitive.name in _SHAPE_ONLY:
            continue
        for signature in primitive.signatures:
            if set(signature.arguments) == {kind}:
                arguments = spectra if primitive.spectral else ones
                chosen = chunks if len(signature.arguments) == 2 else arguments
                found.append((primitive.name, primitive.function, chosen))
    return found


def _rate(
    function: Callable[..., Tensor], chunks: Sequence[tuple[Tensor, ...]], settings: Settings
) -> float:
    """Return bytes per second over whole rounds of all chunks, or a part of a slow round."""
    moved = 0
    clock = partial(synchronised, settings.device)
    function(*chunks[0])
    started = clock()
    while True:
        for arguments in chunks:
            result = function(*arguments)
            moved += sum(argument.nbytes for argument in arguments) + result.nbytes
            if clock() - started > settings.most_seconds:
                return moved / (clock() - started)
        if clock() - started > settings.least_seconds:
            return moved / (clock() - started)
