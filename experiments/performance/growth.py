"""Part d: how the cost of an individual grows with networks, population, size and workers.

The networks have fewer cells and a smaller batch than the workload, so that many of them fit into
memory.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from experiments.performance.report import Report
from experiments.performance.workload import Workload, evolve, warm_workers
from greenmachine.engine import Evaluator
from greenmachine.evolution.operators import half_and_half, owned_random
from greenmachine.language import Expression
from greenmachine.language.grammar import Grammar
from greenmachine.signals import Store
from greenmachine.workers import count_workers

__all__ = ["measure_growth"]

_HEIGHTS = (2, 10)  # heights of random trees, which are drawn until one has the wanted size
_GENERATIONS = 2
_USUAL = 25  # largest number of nodes while another size grows


def measure_growth(workload: Workload, report: Report) -> None:
    """Report the seconds per individual while one size grows and the others are constant."""
    settings, grammar = workload.settings, workload.grammar
    warm_workers(settings.workers)
    options = ", ".join(f"{name} {value}" for name, value in settings.growth_options.items())
    setting = f"{options}, batch {settings.growth_batch}"
    usual = f"{settings.growth_individuals} random trees of up to {_USUAL} nodes, {setting}"
    trees = random_trees(grammar, settings.growth_individuals, _USUAL, settings.seed)
    counts = settings.growth_networks
    seconds = []
    for count in counts:
        store = _store(workload, count)
        spent = _seconds(store, trees, settings.workers, settings.device) / len(trees)
        seconds.append(spent)
        report.add("d", f"{count} networks", 1e3 * spent, "ms", f"an individual; {usual}")
        report.say(f"growth: {count} networks")
        if count != counts[-1]:
            shutil.rmtree(store.folder)
    report.add(
        "d",
        "exponent of networks",
        _exponent(counts, seconds),
        "",
        "of seconds, fitted in logarithms: 1 is linear",
    )
    alone = _seconds(store, trees, 1, settings.device)
    together = seconds[-1] * len(trees)
    workers = count_workers(settings.workers)
    note = f"{len(store.paths)} shards, {counts[-1]} networks"
    report.add("d", "1 worker", 1e3 * alone / len(trees), "ms", f"an individual; {note}")
    report.add("d", f"{workers} workers", 1e3 * together / len(trees), "ms", "an individual")
    report.add("d", f"speedup of {workers} workers", alone / together, "x", note)
    shutil.rmtree(store.folder)
    store = _store(workload, counts[0])
    for size in settings.growth_sizes:
        trees = random_trees(grammar, settings.growth_individuals, size, settings.seed)
        spent = _seconds(store, trees, settings.workers, settings.device) / len(trees)
        nodes = float(np.mean([tree.size for tree in trees]))
        report.add(
            "d",
            f"trees of up to {size} nodes",
            1e3 * spent,
            "ms",
            f"an individual; mean {nodes:.1f} nodes, {1e3 * spent / nodes:.3f} ms a node; "
            f"{len(trees)} random trees, {counts[0]} networks, {setting}",
        )
        report.say(f"growth: trees of up to {size} nodes")
    for population in settings.growth_populations:
        accuracy = workload.accuracy(store.indices)
        found = evolve(
            store, accuracy, grammar, settings, population, _GENERATIONS, lambda line: None
        )
        report.add(
            "d",
            f"population {population}",
            1e3 * found.evaluator.call_seconds / found.individuals,
            "ms",
            f"an individual; {found.individuals} bred in {_GENERATIONS + 1} generations, "
            f"{counts[0]} networks, {setting}",
        )
        report.say(f"growth: population {population}")
    shutil.rmtree(store.folder)


def random_trees(grammar: Grammar, count: int, largest: int, seed: int) -> list[Expression]:
    """Return random trees, each with more than ``largest`` / 2 and at most ``largest`` nodes."""
    found: list[Expression] = []
    with owned_random(random.Random(seed).getstate()):
        while len(found) < count:
            nodes = half_and_half(grammar, _HEIGHTS)
            if largest // 2 < len(nodes) <= largest:
                found.append(grammar.expression(nodes))
    return found


def _store(workload: Workload, networks: int) -> Store:
    """Return the signals of some small networks."""
    settings = workload.settings
    spec = replace(
        workload.spec, options=dict(settings.growth_options), batch=settings.growth_batch
    )
    store = Store(workload.folder / f"growth-{networks}", spec, workload.draw(networks))
    store.build(settings.workers)
    return store


def _seconds(store: Store, trees: list[Expression], workers: int, device: str) -> float:
    """Return the wall time of scoring with a new evaluator, whose cache is empty."""
    evaluator = Evaluator.of_store(store, workers=workers, device=device)
    started = time.perf_counter()
    evaluator.scores(trees)
    return time.perf_counter() - started


def _exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    slope, _ = np.polyfit(np.log(sizes), np.log(seconds), 1)
    return float(slope)
