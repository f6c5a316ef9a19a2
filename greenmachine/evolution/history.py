"""Records of each generation: probes and primitives in use, one row each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Protocol

from greenmachine.evolution.individual import Individual, distinct
from greenmachine.language import Expression
from greenmachine.primitives.registry import NUMBER

__all__ = ["PROBES", "Observed", "primitive_counts", "row_of"]


class Observed(Protocol):
    """The state of a run that a probe can read."""

    generation: int
    population: list[Individual]
    individuals: int

    def best_validation(self) -> float:
        """Return the champion's fitness on validation."""


PROBES: dict[str, Callable[[Observed], float]] = {
    "generation": lambda s: s.generation,
    "individuals": lambda s: s.individuals,
    "best": lambda s: max(i.fitness.values[0] for i in s.population),
    "mean": lambda s: fmean(i.fitness.values[0] for i in s.population),
    "best_validation": lambda s: s.best_validation(),
    "diversity": lambda s: len(distinct(s.population)) / len(s.population),
    "mean_size": lambda s: fmean(len(i) for i in s.population),
    "largest_size": lambda s: max(len(i) for i in s.population),
    "failing": lambda s: sum(i.failures > 0 for i in s.population),
}
"""Columns of the history by name; each is asked once a generation."""


def row_of(search: Observed, extra: Mapping[str, float]) -> dict[str, float]:
    """Return the row of the current generation: every probe, then ``extra``."""
    return {name: probe(search) for name, probe in PROBES.items()} | dict(extra)


def primitive_counts(generation: int, population: Sequence[Expression]) -> dict[str, float]:
    """Return how many of ``population`` contain each primitive and signal, by name.

    Columns ``generation`` and ``population``, the number of individuals, come first.
    """
    counts: Counter[str] = Counter()
    for expression in population:
        counts.update({node.op for node in expression.walk() if node.kind != NUMBER})
    return {"generation": generation, "population": len(population), **dict(sorted(counts.items()))}
