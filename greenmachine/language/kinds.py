"""The types of the languages: the kinds of ``primitives``, and the terminals of each kind."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from zlib import crc32

from greenmachine.primitives.registry import KINDS, PAPER_TENSOR
from greenmachine.signals.paper_passes import MODE_SIGNALS, MODES
from greenmachine.signals.registry import PASSES, SIGNALS, TERMINALS

__all__ = [
    "ALIASES",
    "KIND_TYPES",
    "LEAVES",
    "PAPER_TERMINALS",
    "SIGNALS",
    "TERMINALS",
    "terminals_of",
]

ALIASES: dict[str, str] = {f"{mode}_wt": "random_wt" for mode in MODES}
"""Terminals that are equal to another one, because no mode changes the weights."""

PAPER_TERMINALS: dict[str, str] = dict.fromkeys([*MODE_SIGNALS, *ALIASES], PAPER_TENSOR)
"""The 20 terminals of the paper language and their kind."""

LEAVES: Mapping[str, str] = ChainMap(TERMINALS, PAPER_TERMINALS)
"""The terminals of both languages, including those of passes that are registered later."""


def terminals_of(passes: Iterable[str]) -> dict[str, str]:
    """Return the terminals of a typed run with ``passes``: ``weight``, ``depth``, signals."""
    found = {name: TERMINALS[name] for name in ("weight", "depth")}
    for name in passes:
        found |= PASSES[name].terminals
    return found


class _Kind(type):
    """Metaclass of the kinds in DEAP.

    DEAP draws a kind from a ``set`` of classes. Classes hash by address by default, so the same
    seed would give another run in another process. This class hashes by name.
    """

    def __hash__(cls) -> int:
        return crc32(cls.__name__.encode())


KIND_TYPES: dict[str, type] = {kind: _Kind(kind, (), {}) for kind in (*KINDS, PAPER_TENSOR)}
"""The class that represents each kind in a DEAP ``PrimitiveSetTyped``."""
