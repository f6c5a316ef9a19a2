"""The samples of a run at work: captured, judged, and the champion scored on the test sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from greenmachine.benchmarks import Benchmark
from greenmachine.config import RunConfig
from greenmachine.engine import Evaluator
from greenmachine.errors import RunError
from greenmachine.evolution.judge import Judge
from greenmachine.evolution.listener import Listener
from greenmachine.evolution.racing import Heat
from greenmachine.fitness.sampling import Split
from greenmachine.language import Expression
from greenmachine.signals import CaptureSpec, Store

__all__ = ["Judges"]


class Judges:
    """Makes the judges of one run.

    Args:
        config: resolved settings.
        benchmark: the one that they name.
        split: its three samples.
        terminals: signals that the language reads.
        folder: for the signals.
        listener: told sizes, progress and failures.
    """

    def __init__(
        self,
        config: RunConfig,
        benchmark: Benchmark,
        split: Split,
        terminals: Sequence[str],
        folder: Path,
        listener: Listener,
    ) -> None:
        self.config = config
        self.benchmark = benchmark
        self.split = split
        self.terminals = terminals
        self.folder = folder
        self.listener = listener

    def judge(self, sample: str) -> Judge:
        """Capture sample "train" or "validation" and return its judge.

        What was captured before is taken as it is.

        Raises:
            RunError: every network failed, the disk is too small, or workers died.
        """
        indices: NDArray[np.int64] = getattr(self.split, sample)
        evaluators = {}
        for dataset in self.config.datasets:
            store = self._store(dataset, sample, indices)
            store.build(
                self.config.workers,
                announce=self.listener.say,
                progress=partial(self.listener.progress, f"capture {dataset} {sample}"),
            )
            failures = store.failures
            if len(failures) == len(indices):
                raise RunError(
                    f"all {len(indices)} {dataset} {sample} networks failed; "
                    f"the first: {next(iter(failures.values()))}"
                )
            self._tell_failures(f"{dataset} {sample}", failures, len(indices))
            evaluators[dataset] = Evaluator.of_store(
                store, workers=self.config.workers, device=self.config.capture.device
            )
        return Judge(evaluators, self._accuracies(indices), self.config.objective)

    def heat(self) -> Heat:
        """Return the heat on some of the training networks, whose signals are captured by now."""
        config, evaluators, places = self.config, {}, list[int]()
        for dataset in config.datasets:
            store = self._store(dataset, "train", self.split.train)
            shards, places = store.spread(config.evolution.racing)
            evaluators[dataset] = Evaluator.of_store(
                store, workers=config.workers, device=config.capture.device, shards=shards
            )
        return Heat(Judge(evaluators, self._accuracies(self.split.train), config.objective, places))

    def test_scores(self, expression: Expression, dataset: str) -> NDArray[np.float64]:
        """Return the scores on the test sample, (networks,), whose signals are not kept."""
        spec = self._spec(dataset, sorted(expression.terminals))
        evaluator = Evaluator.of_networks(
            spec, self.split.test.tolist(), workers=self.config.workers
        )
        progress = partial(self.listener.progress, f"test {dataset}")
        (scores,) = evaluator.scores([expression], progress)
        self._tell_failures(f"{dataset} test", evaluator.failures, evaluator.size)
        return np.asarray(scores, dtype=np.float64)

    def _store(self, dataset: str, sample: str, indices: NDArray[np.int64]) -> Store:
        spec = self._spec(dataset, self.terminals)
        return Store(self.folder / f"{dataset}-{sample}", spec, indices.tolist())

    def _spec(self, dataset: str, terminals: Sequence[str]) -> CaptureSpec:
        capture = self.config.capture
        return CaptureSpec(
            benchmark=self.config.benchmark,
            dataset=dataset,
            terminals=tuple(sorted(terminals)),
            batch=capture.batch,
            seed=self.config.seed,
            options=dict(capture.options),
            device=capture.device,
            precision=capture.precision,
        )

    def _accuracies(self, indices: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        return {name: self.benchmark.accuracy(name)[indices] for name in self.config.datasets}

    def _tell_failures(self, what: str, failures: Mapping[int, str], networks: int) -> None:
        if failures:
            self.listener.say(
                f"{len(failures)} of {networks} {what} networks failed and rank below all others; "
                f"the first: {next(iter(failures.values()))}"
            )
