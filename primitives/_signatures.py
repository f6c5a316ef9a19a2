"""Shorthand for the ``@primitive`` decorator: groups of kinds, signatures, common domains."""

from __future__ import annotations

from greenmachine.primitives.registry import (
    BATCH_MATRIX,
    CHANNEL_MATRIX,
    INPUT_TENSOR,
    LAYER_SCALAR,
    NETWORK_MATRIX,
    NETWORK_SCALAR,
    OUTPUT_TENSOR,
    WEIGHT_TENSOR,
)

__all__ = [
    "ACTIVATIONS",
    "FITS",
    "MATRICES",
    "SCALARS",
    "TENSORS",
    "TOTAL",
    "Pair",
    "same",
    "same_pair",
    "to_scalar",
    "to_scalar_pair",
]

Pair = tuple[tuple[str, ...], str]

ACTIVATIONS = (INPUT_TENSOR, OUTPUT_TENSOR)
TENSORS = (WEIGHT_TENSOR, *ACTIVATIONS)
MATRICES = (CHANNEL_MATRIX, BATCH_MATRIX, NETWORK_MATRIX)
SCALARS = (LAYER_SCALAR, NETWORK_SCALAR)

TOTAL = "total: finite for every finite argument"
FITS = "finite for every finite argument, unless an intermediate result overflows the dtype"


def same(kinds: tuple[str, ...]) -> list[Pair]:
    """Return the signatures ``(kind) -> kind``."""
    return [((kind,), kind) for kind in kinds]


def same_pair(kinds: tuple[str, ...]) -> list[Pair]:
    """Return the signatures ``(kind, kind) -> kind``."""
    return [((kind, kind), kind) for kind in kinds]


def to_scalar(kinds: tuple[str, ...]) -> list[Pair]:
    """Return the signatures ``(kind) -> LayerScalar``; a NetworkMatrix gives a NetworkScalar."""
    return [((k,), NETWORK_SCALAR if k == NETWORK_MATRIX else LAYER_SCALAR) for k in kinds]


def to_scalar_pair(kinds: tuple[str, ...]) -> list[Pair]:
    """Return the signatures ``(kind, kind) -> LayerScalar``, or NetworkScalar as above."""
    return [((k, k), result) for (k,), result in to_scalar(kinds)]
