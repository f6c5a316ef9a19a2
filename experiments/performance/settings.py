"""Settings of the benchmarks: the workload, and the sizes of each part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["QUICK", "Settings"]


@dataclass(frozen=True)
class Settings:
    """The settings of all benchmarks.

    Attributes:
        networks, population, generations, seed, workers: settings of the workload. The first
            generation is number 0, as in the settings of a run.
        exclude: signals and primitives that the language leaves out. Such a signal is not captured.
        plain_individuals, plain_networks: numbers drawn for the plain evaluation.
        passes_individuals, passes_networks: numbers drawn for the recomputed passes.
        data_bytes: bytes of each kind of tensor in the throughput of primitives.
        copy_bytes: bytes of the array whose copy is the reference for throughput.
        least_seconds, most_seconds: limits of the time for the measurement of one primitive.
        chains: number of chains of each length.
        chunks_step: one in this number of chunks is timed node by node.
        startup_repeats: number of starts of each timed command.
        above_networks, above_population, above_generations: sizes of the search whose candidates
            are counted; above_run: settings of the run whose processes are measured.
        bank_captured, bank_expressions: numbers of networks and random expressions of the bank;
            bank_networks, bank_population, bank_generations: sizes of the search above it.
        growth_*: numbers of networks, populations and sizes of trees; options and batch of these
            networks.
    """

    benchmark: str = "nats-tss"
    dataset: str = "cifar10"
    networks: int = 100
    population: int = 200
    generations: int = 10
    seed: int = 0
    workers: int = 2
    batch: int = 8
    device: str = "cpu"
    exclude: tuple[str, ...] = ()
    plain_individuals: int = 20
    plain_networks: int = 25
    passes_individuals: int = 5
    passes_networks: int = 10
    data_bytes: int = 96 * 2**20
    copy_bytes: int = 2**28
    least_seconds: float = 0.2
    most_seconds: float = 1.0
    chains: int = 6
    chunks_step: int = 4
    startup_repeats: int = 5
    above_networks: int = 128
    above_population: int = 400
    above_generations: int = 12
    above_run: tuple[str, ...] = ()
    bank_captured: int = 12
    bank_expressions: int = 500
    bank_networks: int = 2000
    bank_population: int = 400
    bank_generations: int = 6
    growth_networks: tuple[int, ...] = (50, 100, 200, 400, 800)
    growth_populations: tuple[int, ...] = (50, 200, 800)
    growth_sizes: tuple[int, ...] = (10, 25, 50)
    growth_individuals: int = 50
    growth_options: dict[str, int] = field(default_factory=lambda: {"cells": 1})
    growth_batch: int = 4


QUICK: dict[str, Any] = {
    "benchmark": "digits-tss",
    "dataset": "digits",
    "networks": 24,
    "population": 20,
    "generations": 2,
    "plain_individuals": 8,
    "plain_networks": 6,
    "passes_individuals": 3,
    "passes_networks": 3,
    "data_bytes": 2**21,
    "copy_bytes": 2**26,
    "least_seconds": 0.01,
    "most_seconds": 0.05,
    "chains": 2,
    "startup_repeats": 1,
    "above_networks": 24,
    "above_population": 30,
    "above_generations": 3,
    "above_run": (
        "evolution.generations=1",
        "evolution.population=12",
        "evolution.elites=2",
        "samples.train.size=12",
        "samples.validation.size=8",
        "samples.test.size=8",
    ),
    "bank_captured": 6,
    "bank_expressions": 12,
    "bank_networks": 60,
    "bank_population": 20,
    "bank_generations": 2,
    "growth_networks": (16, 32, 64),
    "growth_populations": (10, 40),
    "growth_individuals": 10,
}
"""Settings of ``--quick``: the embedded ``digits-tss``, a minute."""
