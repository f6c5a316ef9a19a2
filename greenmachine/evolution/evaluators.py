"""The samples of a run at work: captured, judged, and the champion scored on the test sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from greenmachine.callbacks import Callbacks
from greenmachine.config import RunConfig
from greenmachine.engine import Evaluator
from greenmachine.errors import RunError
from greenmachine.evolution.judge import Judge
from greenmachine.evolution.racing import Heat
from greenmachine.evolution.tasks import Entry
from greenmachine.fitness import Task
from greenmachine.language import Expression
from greenmachine.signals import CaptureSpec, Store

__all__ = ["Judges"]


class Judges:
    """Makes the judges of one run.

    Args:
        config: resolved settings.
        entries: the benchmarks that they name.
        terminals: signals that the language reads.
        folder: for the signals.
        callbacks: told sizes, progress and failures.
        check: called before a folder is made; raises where that must not be.
    """

    def __init__(
        self,
        config: RunConfig,
        entries: Sequence[Entry],
        terminals: Sequence[str],
        folder: Path,
        callbacks: Callbacks,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self.entries = list(entries)
        self.terminals = terminals
        self.folder = folder
        self.callbacks = callbacks
        self.check = check

    def judge(self, sample: str) -> Judge:
        """Capture sample "train" or "validation" of every benchmark and return its judge.

        What was captured before is taken as it is.

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
                store, workers=self.config.workers, device=self.config.capture.device
            )
        return Judge(evaluators, self._tasks(sample), self.config.objective)

    def heat(self) -> Heat:
        """Return the heat on some of the training networks, whose signals are captured by now."""
        config, evaluators, places = self.config, {}, {}
        for task, store in self._stores("train").items():
            shards, places[task] = store.spread(config.evolution.racing)
            evaluators[task] = Evaluator.of_store(
                store, workers=config.workers, device=config.capture.device, shards=shards
            )
        return Heat(Judge(evaluators, self._tasks("train", places), config.objective))

    def forget(self) -> None:
        """Let workers that do not see the run's folder remove what they have captured."""
        for sample in ("train", "validation"):
            for store in self._stores(sample).values():
                store.forget()

    def test_scores(
        self, expression: Expression, entry: Entry, dataset: str
    ) -> NDArray[np.float64]:
        """Return the scores on the test sample, (networks,), whose signals are not kept."""
        task, spec = entry.tasks[dataset], self._spec(entry, dataset, sorted(expression.terminals))
        evaluator = Evaluator.of_networks(
            spec, entry.indices("test").tolist(), workers=self.config.workers
        )
        progress = partial(self.callbacks.on_capture, f"test {task}")
        (scores,) = evaluator.scores([expression], progress)
        self._tell_failures(f"{task} test", evaluator.failures, evaluator.size)
        return np.asarray(scores, dtype=np.float64)

    def _stores(self, sample: str) -> dict[str, Store]:
        """Return a store for every network that is judged by, by the task whose own it is."""
        stores = {}
        for entry in self.entries:
            for dataset in dict.fromkeys(entry.sources.values()):
                task, spec = entry.tasks[dataset], self._spec(entry, dataset, self.terminals)
                folder = self.folder / f"{task}-{sample}"
                stores[task] = Store(folder, spec, entry.indices(sample).tolist())
        return stores

    def _spec(self, entry: Entry, dataset: str, terminals: Sequence[str]) -> CaptureSpec:
        capture = self.config.capture
        # An option that no benchmark has stays, and the first one refuses it.
        known = {name for each in self.entries for name in each.benchmark.space.options}
        own = entry.benchmark.space.options
        return CaptureSpec(
            benchmark=entry.benchmark.name,
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
        for entry in self.entries:
            indices = entry.indices(sample)
            for dataset, name in entry.tasks.items():
                scores = entry.tasks[entry.sources[dataset]]
                index = np.array(places[scores] if places else range(len(indices)), dtype=np.int64)
                truth = entry.benchmark.accuracy(dataset)[indices][index]
                tasks.append(Task(name, scores, index, truth))
        return tasks

    def _tell_failures(self, what: str, failures: Mapping[int, str], networks: int) -> None:
        if failures:
            self.callbacks.on_message(
                f"{len(failures)} of {networks} {what} networks failed and rank below all others; "
                f"the first: {next(iter(failures.values()))}"
            )
