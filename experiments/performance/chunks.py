"""Real signals in chunks of the engine's size, for what is timed outside the engine."""

from __future__ import annotations

from dataclasses import replace

import torch

from greenmachine.engine.lower import CHUNK_ELEMENTS
from greenmachine.signals.stack import Shard, Stack

__all__ = ["chunks_of", "in_memory"]


def chunks_of(stack: Stack, device: str) -> list[slice]:
    """Return the layers of every chunk of ``stack``, as many as the engine takes at once."""
    layers = len(stack.rows)
    widest = max((tensor[0].numel() for tensor in stack.tensors.values()), default=1)
    step = max(1, CHUNK_ELEMENTS[torch.device(device).type] // widest)
    return [slice(start, min(start + step, layers)) for start in range(0, layers, step)]


def in_memory(shard: Shard) -> Shard:
    """Return a shard whose tensors are read from disk."""
    stacks = [
        Stack(stack.rows, {name: tensor.clone() for name, tensor in stack.tensors.items()})
        for stack in shard.stacks
    ]
    return replace(shard, stacks=stacks)
