"""What is told about a generation: one row, one column a probe, written as it happens."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Protocol

from greenmachine.evolution.individual import Individual, distinct
from greenmachine.files import replace_file

__all__ = ["PROBES", "Observed", "row_of", "write_history"]


class Observed(Protocol):
    """What a probe may look at."""

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


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Write all rows so far, atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    if rows:
        replace_file(path, write)
