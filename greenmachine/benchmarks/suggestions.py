"""How a search chooses an architecture of each space: ``suggest(trial)`` returns its text.

``trial`` is a trial of Optuna, or any object with its method ``suggest_categorical(name,
choices)``. Every architecture of the published space can be suggested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from greenmachine.errors import DataError
from greenmachine.networks import OPERATIONS, parse_101, program_101
from greenmachine.networks.blocks import EDGES
from greenmachine.networks.macro import STAGES

__all__ = [
    "Suggest",
    "Suggests",
    "suggest_101",
    "suggest_channel_resnet",
    "suggest_macro",
    "suggest_size",
    "suggest_small_size",
    "suggest_topology",
]

WIDTHS_SSS = tuple(range(8, 65, 8))

_VERTICES, _MOST_EDGES = 7, 9  # of NAS-Bench-101


class Suggests(Protocol):
    """The part of a trial's interface that a space needs; Optuna's trials have it."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of ``choices``."""


Suggest = Callable[[Any], str | None]
"""Takes a trial and returns an architecture. The same choices give the same architecture.

It returns None, or raises ``optuna.TrialPruned``, if the choices are no architecture of the space.
"""


def suggest_topology(trial: Suggests) -> str:
    """Return a cell of the topology space: six operations, ``edge 0-1`` to ``edge 2-3``."""
    ops = {
        (source, target): trial.suggest_categorical(f"edge {source}-{target}", OPERATIONS)
        for source, target in EDGES
    }
    nodes = ("".join(f"{ops[source, to]}~{source}|" for source in range(to)) for to in (1, 2, 3))
    return "+".join(f"|{node}" for node in nodes)


def suggest_size(trial: Suggests) -> str:
    """Return a network of the size space: five widths from 8 to 64 in steps of 8."""
    return _widths(trial, WIDTHS_SSS)


def suggest_small_size(trial: Suggests) -> str:
    """Return a network of ``digits-sss``: five widths from 2 to 8."""
    return _widths(trial, tuple(range(2, 9)))


def _widths(trial: Suggests, widths: Sequence[int]) -> str:
    return ":".join(str(trial.suggest_categorical(f"width {n}", widths)) for n in range(1, 6))


def suggest_101(trial: Suggests) -> str | None:
    """Return a cell of NAS-Bench-101: 21 possible edges among 7 vertices, 5 operations.

    Vertices on no path from input to output are removed, as in the benchmark. The result is None if
    the output is not reached, or if more than 9 edges remain.
    """
    pairs = [(s, t) for s in range(_VERTICES) for t in range(s + 1, _VERTICES)]
    bits = "".join(str(trial.suggest_categorical(f"edge {s}-{t}", (0, 1))) for s, t in pairs)
    ops = "".join(trial.suggest_categorical(f"vertex {v}", ("3", "1", "m")) for v in range(1, 6))
    try:
        arch = program_101(f"{bits};{ops}")
    except DataError:
        return None
    return arch if len(parse_101(arch).edges) <= _MOST_EDGES else None


def suggest_macro(trial: Suggests) -> str:
    """Return a network of NAS-Bench-Macro: eight digits 0, 1 or 2."""
    places = range(1, sum(STAGES) + 1)
    return "".join(trial.suggest_categorical(f"layer {n}", ("0", "1", "2")) for n in places)


def suggest_channel_resnet(trial: Suggests) -> str:
    """Return a residual network: seven widths, 1 to 4 quarters each."""
    return "".join(
        trial.suggest_categorical(f"width {n}", ("1", "2", "3", "4")) for n in range(1, 8)
    )
