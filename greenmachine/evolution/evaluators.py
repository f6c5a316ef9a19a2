"""Fitness on the samples of a run: capture networks, score expressions, rank the networks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from greenmachine.callbacks import Callbacks
from greenmachine.config import RunConfig
from greenmachine.engine import Evaluator
from greenmachine.errors import RunError
from greenmachine.evolution.individual import Individual
from greenmachine.evolution.tasks import TaskSet
from greenmachine.fitness import Evaluation, Fitness, Objective, Task
from greenmachine.language import Expression
from greenmachine.signals import CaptureSpec, Store
from greenmachine.workers import Progress

__all__ = ["Racing", "SampleEvaluator", "SampleEvaluators"]

_UNDEFINED = -1.0  # the tau of an individual that is constant, or fails on most networks


class SampleEvaluator:
    """Fitness of expressions on one sample.

    Args:
        evaluators: of the networks, by the key of their scores in the tasks.
        tasks: the rankings that the fitness measures.
        objective: what is maximised.
    """

    def __init__(
        self, evaluators: Mapping[str, Evaluator], tasks: Sequence[Task], objective: Objective
    ) -> None:
        self.evaluators = dict(evaluators)
        self.objective = objective
        self.fitness = Fitness(tasks, objective)

    def __call__(
        self,
        expressions: Sequence[Expression],
        directions: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Evaluate ``expressions``; if ``directions`` is None, the better direction is chosen."""
        scores = {
            name: evaluator.scores(expressions, progress)
            for name, evaluator in self.evaluators.items()
        }
        return self.fitness.evaluate(scores, [e.size for e in expressions], directions)

    def begin(self, expressions: Sequence[Expression]) -> None:
        """Begin the tensor computation of ``expressions``: see :meth:`Evaluator.begin`."""
        for evaluator in self.evaluators.values():
            evaluator.begin(expressions)

    def cancel(self) -> None:
        """End what :meth:`begin` began."""
        for evaluator in self.evaluators.values():
            evaluator.cancel()

    def behaviours(
        self, expressions: Sequence[Expression], directions: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return how each expression ranks the networks, (expressions, networks of all stores).

        Rows have length 1, so that the product of two is Spearman's correlation (the mean over
        the stores of it); all zeros where all scores are tied. Failed networks rank last.
        Costs little for expressions just judged: their scores are in the cache.
        """
        blocks = []
        for evaluator in self.evaluators.values():
            scores = evaluator.scores(expressions)
            directed = np.asarray(directions)[:, None] * scores
            ranks = rankdata(np.where(np.isfinite(scores), directed, -np.inf), axis=1)
            ranks -= ranks.mean(axis=1, keepdims=True)
            length = np.linalg.norm(ranks, axis=1, keepdims=True)
            blocks.append(ranks / np.where(length > 0, length, 1.0))
        return np.asarray(np.concatenate(blocks, axis=1) / np.sqrt(len(blocks)))

    @property
    def seconds(self) -> float:
        """Seconds that boundary expressions took."""
        return sum(evaluator.seconds for evaluator in self.evaluators.values())

    @property
    def cached_bytes(self) -> int:
        """Size of the cached values in bytes."""
        return sum(e.cache.nbytes + e.parts.nbytes for e in self.evaluators.values())

    def counts(self) -> dict[str, int]:
        """Return boundary nodes evaluated, cache hits and misses so far."""
        evaluators = self.evaluators.values()
        return {
            "evaluated": sum(e.evaluated for e in evaluators),
            "cache_hits": sum(e.cache.hits for e in evaluators),
            "cache_misses": sum(e.cache.misses for e in evaluators),
        }


class Racing:
    """Early stopping: poor new individuals are evaluated on a few networks only.

    It is off by default (``evolution.racing``) because it changes results: a stopped individual
    never enters the population, where it might have become a parent. The same seed still gives the
    same run.

    Args:
        evaluator: of some networks of every training sample.
    """

    def __init__(self, evaluator: SampleEvaluator) -> None:
        self.evaluator = evaluator
        # The standard deviation of the objective between unrelated rankings.
        self.deviation = max(
            evaluator.objective.chance(task.truth) for task in evaluator.fitness.tasks
        )

    def passed(
        self, expressions: Sequence[Expression], population: Sequence[Individual]
    ) -> list[bool]:
        """Return which of ``expressions`` are evaluated on all networks.

        The others are those that are constant here or fail on more than half of the networks, and
        those whose fitness is more than two standard deviations below the median of the last
        generation. They would hardly win a tournament.
        """
        judged = self.evaluator(expressions)
        threshold = -math.inf
        if population:
            middle = median(individual.fitness.values[0] for individual in population)
            threshold = middle - 2 * self.deviation
        return [
            bool(tau > _UNDEFINED and fitness >= threshold)
            for tau, fitness in zip(
                self.evaluator.objective.combine(judged.tau), judged.fitness, strict=True
            )
        ]


class SampleEvaluators:
    """Makes the evaluators of one run.

    Args:
        config: resolved settings.
        task_sets: the benchmarks that they name.
        terminals: signals that the language reads.
        folder: for the signals.
        callbacks: notified of sizes, progress and failures.
        check: called before a folder is made; raises an error if the folder must not be made.
        clock: measures the seconds of the evaluators.
    """

    def __init__(
        self,
        config: RunConfig,
        task_sets: Sequence[TaskSet],
        terminals: Sequence[str],
        folder: Path,
        callbacks: Callbacks,
        check: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.config = config
        self.task_sets = list(task_sets)
        self.terminals = terminals
        self.folder = folder
        self.callbacks = callbacks
        self.check = check

    def evaluator(self, sample: str) -> SampleEvaluator:
        """Capture sample "train" or "validation" of every benchmark and return its evaluator.

        Networks that are captured already are not captured again.

        Raises:
            RunError: every network failed, the disk is too small, or workers died.
        """
        evaluators = {}
        for task, store in self._stores(sample).items():
            store.build(
                self.config.workers,
                announce=self.callbacks.on_message,
                progress=partial(self.callbacks.on_capture, f"capture {task} {sample}"),
                check=self.check,
            )
            failures, networks = store.failures, len(store.indices)
            if len(failures) == networks:
                raise RunError(
                    f"all {networks} {task} {sample} networks failed; "
                    f"the first: {next(iter(failures.values()))}"
                )
            self._tell_failures(f"{task} {sample}", failures, networks)
            evaluators[task] = Evaluator.of_store(
                store,
                workers=self.config.workers,
                device=self.config.capture.device,
                clock=self.clock,
            )
        return SampleEvaluator(evaluators, self._tasks(sample), self.config.objective)

    def racing(self) -> Racing:
        """Return the racing on some of the training networks, which must be captured."""
        config, evaluators, places = self.config, {}, {}
        for task, store in self._stores("train").items():
            shards, places[task] = store.spread(config.evolution.racing)
            evaluators[task] = Evaluator.of_store(
                store, workers=config.workers, device=config.capture.device, shards=shards
            )
        return Racing(SampleEvaluator(evaluators, self._tasks("train", places), config.objective))

    def forget(self) -> None:
        """Remove the captured networks of workers that do not see the run's folder."""
        for sample in ("train", "validation"):
            for store in self._stores(sample).values():
                store.forget()

    def test_scores(
        self, expression: Expression, task_set: TaskSet, dataset: str
    ) -> NDArray[np.float64]:
        """Return the scores on the test sample, (networks,), whose signals are not kept."""
        task, spec = (
            task_set.tasks[dataset],
            self._spec(task_set, dataset, sorted(expression.terminals)),
        )
        evaluator = Evaluator.of_networks(
            spec, task_set.indices("test").tolist(), workers=self.config.workers
        )
        progress = partial(self.callbacks.on_capture, f"test {task}")
        (scores,) = evaluator.scores([expression], progress)
        self._tell_failures(f"{task} test", evaluator.failures, evaluator.size)
        return np.asarray(scores, dtype=np.float64)

    def _stores(self, sample: str) -> dict[str, Store]:
        """Return the signal stores, by the task whose own networks they contain."""
        stores = {}
        for task_set in self.task_sets:
            for dataset in dict.fromkeys(task_set.sources.values()):
                task, spec = task_set.tasks[dataset], self._spec(task_set, dataset, self.terminals)
                folder = self.folder / f"{task}-{sample}"
                stores[task] = Store(folder, spec, task_set.indices(sample).tolist())
        return stores

    def _spec(self, task_set: TaskSet, dataset: str, terminals: Sequence[str]) -> CaptureSpec:
        capture = self.config.capture
        # An option that no benchmark has stays, and the first one refuses it.
        known = {name for each in self.task_sets for name in each.benchmark.space.options}
        own = task_set.benchmark.space.options
        return CaptureSpec(
            benchmark=task_set.benchmark.name,
            dataset=dataset,
            terminals=tuple(sorted(terminals)),
            batch=capture.batch,
            seed=self.config.seed,
            options={k: v for k, v in capture.options.items() if k in own or k not in known},
            device=capture.device,
            precision=capture.precision,
        )

    def _tasks(self, sample: str, places: Mapping[str, Sequence[int]] | None = None) -> list[Task]:
        """Return the tasks of a sample; ``places`` are the networks that count, default all."""
        tasks = []
        for task_set in self.task_sets:
            indices = task_set.indices(sample)
            for dataset, name in task_set.tasks.items():
                scores = task_set.tasks[task_set.sources[dataset]]
                index = np.array(places[scores] if places else range(len(indices)), dtype=np.int64)
                truth = task_set.benchmark.accuracy(dataset)[indices][index]
                tasks.append(Task(name, scores, index, truth))
        return tasks

    def _tell_failures(self, what: str, failures: Mapping[int, str], networks: int) -> None:
        if failures:
            self.callbacks.on_message(
                f"{len(failures)} of {networks} {what} networks failed and rank below all others; "
                f"the first: {next(iter(failures.values()))}"
            )
