"""Primitives: pure torch functions over stacks of layers, and the registry that lists them."""

from __future__ import annotations

from primitives import aggregations, elementwise, matrices, reductions, scalars, spectra
from primitives.registry import (
    BATCH_MATRIX,
    CHANNEL_MATRIX,
    INPUT_TENSOR,
    KINDS,
    LAYER_SCALAR,
    NETWORK_MATRIX,
    NETWORK_SCALAR,
    NUMBER,
    OUTPUT_TENSOR,
    WEIGHT_TENSOR,
    Primitive,
    Registry,
    Signature,
    primitive,
    registry,
)
from primitives.spectra import eigenvalues

__all__ = [
    "BATCH_MATRIX",
    "CHANNEL_MATRIX",
    "INPUT_TENSOR",
    "KINDS",
    "LAYER_SCALAR",
    "NETWORK_MATRIX",
    "NETWORK_SCALAR",
    "NUMBER",
    "OUTPUT_TENSOR",
    "WEIGHT_TENSOR",
    "Primitive",
    "Registry",
    "Signature",
    "aggregations",
    "eigenvalues",
    "elementwise",
    "matrices",
    "primitive",
    "reductions",
    "registry",
    "scalars",
    "spectra",
]
