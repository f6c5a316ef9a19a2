"""Shards on a GPU: uploaded once, and kept there as long as there is memory.

A shard that does not fit stays on disk, memory-mapped, and is copied to the GPU chunk by chunk.
Shards of another sample are removed first. A quarter of the GPU's memory is reserved for
computations.
"""

from __future__ import annotations

import threading
from pathlib import Path

import torch

from greenmachine.signals.shard import Shard, Stack
from greenmachine.signals.shard_io import open_shard
from greenmachine.workers.gpus import is_gpu

__all__ = ["forget_resident", "resident_shard"]

_COMPUTED = 0.25  # share of a GPU's memory that is reserved for computations

_lock = threading.Lock()
_held: dict[tuple[Path, int, str], Shard] = {}


def resident_shard(path: Path, device: str) -> Shard:
    """Return a stored shard, with its tensors on ``device`` if they fit.

    Args:
        path: its layout file.
        device: a GPU, such as ``cuda:0``; on another device the shard stays memory-mapped.

    Raises:
        RunError: a file is missing or damaged.
    """
    if not is_gpu(device):
        return open_shard(path)
    key = (path, path.stat().st_mtime_ns if path.exists() else 0, device)
    with _lock:
        if key in _held:
            return _held[key]
    shard = open_shard(path)
    size = sum(t.nbytes for stack in shard.stacks for t in stack.tensors.values())
    with _lock:
        if size > _room(device):
            others = [k for k in _held if k[2] == device and k[0].parent != path.parent]
            for other in others:
                del _held[other]
        if size > _room(device):
            return shard
        stacks = [
            Stack(stack.rows, {name: t.to(device) for name, t in stack.tensors.items()})
            for stack in shard.stacks
        ]
        _held[key] = Shard(shard.networks, shard.layer_counts, shard.batch, stacks, shard.failures)
        return _held[key]


def forget_resident(device: str | None = None) -> None:
    """Remove shards from a GPU; if none is given, from all GPUs."""
    with _lock:
        for key in [key for key in _held if device in (None, key[2])]:
            del _held[key]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _room(device: str) -> int:
    """Return how many more bytes of shards fit on a GPU."""
    free, total = torch.cuda.mem_get_info(device)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + cached - _COMPUTED * total)
