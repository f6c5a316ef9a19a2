"""The workload: random networks of a benchmark, and the individuals of a real search on them.

The search is the project's own (:class:`Search`), with its population, operators and evaluator.
Both its training and its validation sample are the networks of the workload, so the scores for
validation are in the cache. No other networks are needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.peak_memory import Watch
from experiments.performance.settings import Settings
from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.config import EvolutionConfig, LanguageConfig
from greenmachine.engine import Evaluator
from greenmachine.evolution.evaluators import SampleEvaluator
from greenmachine.evolution.individual import Individual
from greenmachine.evolution.search import Search
from greenmachine.fitness import Task
from greenmachine.fitness.objectives import KendallTau
from greenmachine.language import Expression, canonical
from greenmachine.language.grammar import Grammar
from greenmachine.primitives.registry import NETWORK_SCALAR
from greenmachine.selection import Tournament
from greenmachine.signals import CaptureSpec, Store
from greenmachine.workers import Progress, count_workers, run_tasks

__all__ = ["Evolution", "TimedSearch", "Workload", "evolve", "synchronised", "warm_workers"]


def synchronised(device: str) -> float:
    """Return the clock in seconds, after ``device`` has finished all its work."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def warm_workers(workers: int) -> None:
    """Start the worker processes and their imports, so that no measurement includes this time."""
    tasks: list[tuple[float]] = [(2.0,)] * count_workers(workers)
    if len(tasks) > 1:
        run_tasks(_wait, tasks, workers)


def _wait(seconds: float) -> None:
    time.sleep(seconds)  # unpickling this function has already imported its module and the engine


class TimedEvaluator(Evaluator):
    """An evaluator that records its time and the computed expressions.

    Attributes:
        call_seconds: time of all calls; ``seconds`` of the engine is that of its workers.
        worker_seconds: time until the workers had finished, over all calls.
        forms: distinct requested expressions in canonical form, by text, in order of appearance.
        computed: expressions that the workers computed in each call, without duplicates.
        notes: whether to record the last two.
    """

    notes = True
    call_seconds = 0.0
    worker_seconds = 0.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.forms: dict[str, Expression] = {}
        self.computed: list[list[Expression]] = []
        self._known: set[str] = set()

    def scores(
        self, expressions: Sequence[Expression], progress: Progress | None = None
    ) -> NDArray[np.float64]:
        """Return the scores of the engine."""
        started = worked = time.perf_counter()

        def told(done: int, total: int) -> None:
            nonlocal worked
            worked = time.perf_counter()
            if progress is not None:
                progress(done, total)

        found = super().scores(expressions, told)
        self.call_seconds += time.perf_counter() - started
        self.worker_seconds += worked - started
        if self.notes:
            self._note(canonical(expression) for expression in expressions)
        return found

    def _note(self, forms: Iterable[Expression]) -> None:
        """Record the expressions, and those parts of them that the engine computed."""
        kept = []
        stack = [form for form in forms if form.text not in self.forms]
        self.forms |= {form.text: form for form in stack}
        while stack:
            node = stack.pop()
            if node.text in self._known:
                continue
            if node.kind != NETWORK_SCALAR and self.cache.get(node.text) is not None:
                self._known.add(node.text)
                kept.append(node)
            else:
                stack.extend(node.args)
        self.computed.append(kept)


class TimedSearch(Search):
    """A search that measures the time of breeding.

    Attributes:
        candidates: number of candidates evaluated for broods.
        seconds: processor time of breeding.
        judging: part of this time for scores and tau.
    """

    candidates = 0
    seconds = 0.0
    judging = 0.0

    def ask(self, seeds: Sequence[Expression] = ()) -> list[Individual]:
        """Return the new individuals, and measure the time after the first generation."""
        started = time.process_time()
        new = super().ask(seeds)
        if self.population:
            self.seconds += time.process_time() - started
        return new

    def _fitness_of(self, expressions: list[Expression]) -> list[float]:
        started = time.process_time()
        try:
            return super()._fitness_of(expressions)
        finally:
            self.candidates += len(expressions)
            self.judging += time.process_time() - started


@dataclass(frozen=True)
class Evolution:
    """A finished search.

    Attributes:
        evaluator: evaluator of its sample, with a filled cache.
        seconds: time of the whole search: evaluation, tau, selection and variation.
        individuals: number of evaluated individuals, as the search counts them.
        search: the search at its end.
    """

    evaluator: TimedEvaluator
    seconds: float
    individuals: int
    search: Search

    @property
    def distinct(self) -> list[Expression]:
        """The distinct individuals in canonical form, in order of appearance."""
        return list(self.evaluator.forms.values())


def evolve(
    store: Store,
    accuracy: NDArray[np.float64],
    grammar: Grammar,
    settings: Settings,
    population: int,
    generations: int,
    say: Callable[[str], None],
    *,
    broods: bool = False,
    search_type: type[Search] = Search,
) -> Evolution:
    """Run a search on the networks of a built store.

    Args:
        store: store of the networks.
        accuracy: (networks,) true accuracies.
        grammar: grammar of the trees.
        settings: settings, for seed, workers and device.
        population: number of individuals in a generation.
        generations: number of generations after the first.
        say: callback that gets lines about the progress.
        broods: whether to use broods and tuned children, as a run does. They need no tensor
            computation, so a rate that includes them would not show the cost of an individual.
        search_type: class of the search, such as one that measures its time.
    """
    evaluator = TimedEvaluator.of_store(store, workers=settings.workers, device=settings.device)
    assert isinstance(evaluator, TimedEvaluator)
    evaluator.notes = not broods  # the time of broods must not include that of the notes
    task = Task(settings.dataset, settings.dataset, np.arange(len(accuracy)), accuracy)
    sample = SampleEvaluator({settings.dataset: evaluator}, [task], KendallTau())
    config = EvolutionConfig(
        population=population,
        generations=generations,
        elites=min(10, population // 2),
        **({} if broods else {"brood": 1, "tune": 0.0}),
    )
    limits = LanguageConfig()
    search = search_type(config, limits, grammar, Tournament(), sample, sample, settings.seed)
    started = time.perf_counter()
    while search.generation < generations:
        search.step()
        say(f"generation {search.generation} of {generations}: {search.individuals} individuals")
    return Evolution(evaluator, time.perf_counter() - started, search.individuals, search)


class Workload:
    """Data that several parts need, computed at first use.

    Attributes:
        settings: settings of the benchmarks.
        folder: folder of the stores.
        say: callback that gets lines about the progress.
        capture_seconds: wall time of the capture, after it is finished.
        peaks: peak memory in GB, by phase.
    """

    def __init__(self, settings: Settings, folder: Path, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.folder = folder
        self.say = say
        self.capture_seconds = 0.0
        self.peaks: dict[str, float] = {}

    @cached_property
    def benchmark(self) -> Benchmark:
        """The benchmark; raises DataError if its table is missing."""
        return load_benchmark(self.settings.benchmark)

    @cached_property
    def grammar(self) -> Grammar:
        """The grammar, with the signals of the noise pass."""
        return Grammar(["noise"], self.settings.exclude)

    @cached_property
    def spec(self) -> CaptureSpec:
        """The capture specification: full networks, and every signal of the grammar."""
        s = self.settings
        return CaptureSpec(
            s.benchmark,
            s.dataset,
            tuple(name for name in self.grammar.terminals if name != "depth"),
            batch=s.batch,
            seed=s.seed,
            device=s.device,
        )

    def draw(self, networks: int) -> list[int]:
        """Return random networks of the benchmark; a larger sample begins with the smaller ones."""
        order = np.random.default_rng(self.settings.seed).permutation(len(self.benchmark))
        return [int(index) for index in order[:networks]]

    def accuracy(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Return the true accuracies of the networks."""
        return self.benchmark.accuracy(self.settings.dataset)[list(indices)]

    @cached_property
    def store(self) -> Store:
        """The captured networks."""
        indices = self.draw(self.settings.networks)
        warm_workers(self.settings.workers)
        store = Store(self.folder / "workload", self.spec, indices)
        with Watch() as watch:
            started = time.perf_counter()
            store.build(self.settings.workers, announce=self.say)
            self.capture_seconds = time.perf_counter() - started
        self.peaks["capture"] = watch.peak_gb
        return store

    @cached_property
    def evolution(self) -> Evolution:
        """The search on the captured networks."""
        s, store = self.settings, self.store
        with Watch() as watch:
            found = evolve(
                store,
                self.accuracy(store.indices),
                self.grammar,
                s,
                s.population,
                s.generations,
                self.say,
            )
        self.peaks["evolution"] = watch.peak_gb
        return found
