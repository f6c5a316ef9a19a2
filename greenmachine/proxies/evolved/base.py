"""What is known of a proxy that evolution found: where from, and on which networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from greenmachine.files import read_json
from greenmachine.proxies.base import ExpressionProxy

__all__ = ["SAMPLES", "EvolvedProxy"]

SAMPLES = Path(__file__).with_name("samples.json")


@dataclass(frozen=True, kw_only=True)
class EvolvedProxy(ExpressionProxy):
    """An expression that a run of this project found.

    Attributes:
        maths: its formula as one writes it on paper.
        reason: why it may work; a guess, where nothing else is said.
        evolved_on: spaces and data sets whose accuracies chose it, ``"nats-tss cifar10"``.
    """

    maths: str
    reason: str
    evolved_on: str

    def seen(self, space: str) -> tuple[int, ...]:
        """Return the networks of ``space`` whose accuracies chose it, ascending.

        They are the training and validation networks of its run, and of the runs that its first
        population came from.
        """
        return tuple(_samples()[self.name].get(space, ()))


@cache
def _samples() -> Mapping[str, Mapping[str, list[int]]]:
    """Return by proxy and space the networks that chose it."""
    found: Mapping[str, Mapping[str, list[int]]] = read_json(SAMPLES)
    return found
