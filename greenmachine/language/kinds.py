"""The types of the languages: the kinds of ``primitives`` and the terminals that carry them."""

from __future__ import annotations

from zlib import crc32

from greenmachine.primitives.registry import (
    INPUT_TENSOR,
    KINDS,
    LAYER_SCALAR,
    OUTPUT_TENSOR,
    PAPER_TENSOR,
    WEIGHT_TENSOR,
)
from greenmachine.signals.modes import MODE_SIGNALS, MODES
from greenmachine.signals.passes import PASSES

__all__ = [
    "ALIASES",
    "KIND_TYPES",
    "LEAVES",
    "PAPER_TERMINALS",
    "SIGNALS",
    "TERMINALS",
    "terminals_of",
]

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
"""Every terminal of the typed language and its kind. ``depth`` is a layer's place, 1..L, in the
order of firing."""

ALIASES: dict[str, str] = {f"{mode}_wt": "random_wt" for mode in MODES}
"""Terminals that name what another one is: no mode changes the weights."""

PAPER_TERMINALS: dict[str, str] = dict.fromkeys([*MODE_SIGNALS, *ALIASES], PAPER_TENSOR)
"""The 20 terminals of the paper language and their kind."""

LEAVES: dict[str, str] = TERMINALS | PAPER_TERMINALS
"""The terminals of both languages."""


def terminals_of(passes: list[str]) -> dict[str, str]:
    """Return the terminals of a typed run with ``passes``: ``weight``, ``depth``, their signals."""
    names = ["weight", "depth", *(f"{name}_{signal}" for name in passes for signal in SIGNALS)]
    return {name: TERMINALS[name] for name in names}


class _Kind(type):
    """Class of the kinds as DEAP sees them.

    DEAP picks a kind from a ``set`` of classes; classes hash by address, so without a hash
    of the name the same seed would give another run in another process.
    """

    def __hash__(cls) -> int:
        return crc32(cls.__name__.encode())


KIND_TYPES: dict[str, type] = {kind: _Kind(kind, (), {}) for kind in (*KINDS, PAPER_TENSOR)}
"""The class that stands for each kind in a DEAP ``PrimitiveSetTyped``."""
