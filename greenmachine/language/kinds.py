"""The types of the language: the kinds of ``primitives`` and the terminals that carry them."""

from __future__ import annotations

from zlib import crc32

from greenmachine.signals.passes import PASSES
from primitives.registry import (
    INPUT_TENSOR,
    KINDS,
    LAYER_SCALAR,
    OUTPUT_TENSOR,
    WEIGHT_TENSOR,
)

__all__ = ["KIND_TYPES", "SIGNALS", "TERMINALS", "terminals_of"]

SIGNALS: dict[str, str] = {
    "input": INPUT_TENSOR,
    "output": OUTPUT_TENSOR,
    "norm_output": OUTPUT_TENSOR,
    "weight_grad": WEIGHT_TENSOR,
    "input_grad": INPUT_TENSOR,
    "output_grad": OUTPUT_TENSOR,
}
"""What every pass leaves at a layer, and its kind."""

TERMINALS: dict[str, str] = {
    "weight": WEIGHT_TENSOR,
    "depth": LAYER_SCALAR,
    **{f"{name}_{signal}": kind for name in PASSES for signal, kind in SIGNALS.items()},
}
"""Every terminal and its kind. ``depth`` is a layer's place, 1..L, in the order of firing."""


def terminals_of(passes: list[str]) -> dict[str, str]:
    """Return the terminals of a run that uses ``passes``: ``weight``, ``depth``, their signals."""
    names = ["weight", "depth", *(f"{name}_{signal}" for name in passes for signal in SIGNALS)]
    return {name: TERMINALS[name] for name in names}


class _Kind(type):
    """Class of the kinds as DEAP sees them.

    DEAP picks a kind from a ``set`` of classes; classes hash by address, so without a hash
    of the name the same seed would give another run in another process.
    """

    def __hash__(cls) -> int:
        return crc32(cls.__name__.encode())


KIND_TYPES: dict[str, type] = {kind: _Kind(kind, (), {}) for kind in KINDS}
"""The class that stands for each kind in a DEAP ``PrimitiveSetTyped``."""
