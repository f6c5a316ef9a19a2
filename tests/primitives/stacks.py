"""Example arguments of every kind, for tests of primitives and of what runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from greenmachine.primitives import (
    BATCH_MATRIX,
    CHANNEL_MATRIX,
    LAYER_SCALAR,
    NETWORK_MATRIX,
    NETWORK_SCALAR,
    NUMBER,
    WEIGHT_TENSOR,
    Primitive,
    Signature,
    eigenvalues,
)

Fill = Callable[[tuple[int, ...], torch.Generator], Tensor]
Argument = Tensor | float


def ordinary(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal."""
    return torch.randn(shape, generator=generator)


@dataclass(frozen=True)
class Case:
    """How the arguments look: their sizes, and what fills them."""

    name: str = "ordinary"
    fill: Fill = ordinary
    stack: int = 3
    layers: int = 5
    batch: int = 4
    channels: int = 6
    size: int = 5
    channels_last: bool = True
    dtype: torch.dtype = torch.float32


CASES = (
    Case(),
    Case("float64", dtype=torch.float64),
    Case("zeros", lambda shape, g: torch.zeros(shape)),
    Case("negative", lambda shape, g: -ordinary(shape, g).abs() - 0.5),
    Case("relu", lambda shape, g: ordinary(shape, g).relu()),
    Case("huge", lambda shape, g: 1e30 * ordinary(shape, g)),
    Case("tiny", lambda shape, g: 1e-30 * ordinary(shape, g)),
    Case("constant", lambda shape, g: torch.full(shape, 0.1)),
    Case("contiguous", channels_last=False),
    Case("one image", batch=1),
    Case("one channel", channels=1),
    Case("one position", size=1),
    Case("one layer", layers=1),
    Case("one of all", stack=1, layers=1, batch=1, channels=1, size=1),
)


def example(kind: str, case: Case = CASES[0], *, seed: int = 0, across: bool = False) -> Argument:
    """Return an argument of ``kind``; with ``across``, with its layers in dimension 1."""
    if kind == NUMBER:
        return 2.0
    generator = torch.Generator().manual_seed(seed)
    k, b, c, s = case.stack, case.batch, case.channels, case.size
    lead = (k, case.layers) if across else (k,)
    if kind in (LAYER_SCALAR, NETWORK_SCALAR):
        return case.fill(lead, generator).double()
    if kind in (CHANNEL_MATRIX, BATCH_MATRIX, NETWORK_MATRIX):
        n = c if kind == CHANNEL_MATRIX else b
        matrix = case.fill((*lead, n, n), generator).to(case.dtype)
        return (matrix + matrix.mT) / 2
    if kind == WEIGHT_TENSOR:
        return case.fill((k, c, c + 1, 3, 3), generator).to(case.dtype)
    if not case.channels_last:
        return case.fill((k, b, c, s, s), generator).to(case.dtype)
    return case.fill((k, b, s, s, c), generator).to(case.dtype).permute(0, 1, 4, 2, 3)


def arguments(item: Primitive, signature: Signature, case: Case = CASES[0]) -> list[Argument]:
    """Return example arguments of ``item``, each filled from a seed of its own."""
    return [
        example(kind, case, seed=seed, across=item.across_layers)
        for seed, kind in enumerate(signature.arguments)
    ]


def call(item: Primitive, values: list[Argument]) -> Tensor:
    """Apply ``item`` as the engine does: a spectral one gets the eigenvalues of its matrix."""
    if item.spectral:
        assert isinstance(values[0], Tensor)
        return item.function(eigenvalues(values[0]), *values[1:])
    return item.function(*values)
