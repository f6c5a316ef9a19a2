"""The samples of a run on a bank: scores are computed from the stored values of the bank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from greenmachine.bank import Bank, BankEvaluator
from greenmachine.callbacks import Callbacks
from greenmachine.config import RunConfig
from greenmachine.errors import RunError
from greenmachine.evolution.bank_tasks import bank_family, bank_places
from greenmachine.evolution.evaluators import SampleEvaluator, SampleEvaluators
from greenmachine.evolution.tasks import TaskSet
from greenmachine.language import Expression

__all__ = ["BankSampleEvaluators"]

_CACHE_BYTES = 2**31  # of the values that all evaluators hold, half as much again for parts
_LEAST_BYTES = 2**26


class BankSampleEvaluators(SampleEvaluators):
    """Makes the evaluators of one run on a bank; nothing is captured.

    Args:
        bank: the bank.
        config: resolved settings.
        task_sets: the benchmarks that they name.
        callbacks: notified of failures.
    """

    def __init__(
        self, bank: Bank, config: RunConfig, task_sets: list[TaskSet], callbacks: Callbacks
    ) -> None:
        super().__init__(config, task_sets, (), Path(), callbacks)
        self.bank = bank

    def evaluator(self, sample: str) -> SampleEvaluator:
        """Return the evaluator of a sample.

        Raises:
            RunError: every network failed.
            DamagedError: a file of the bank is missing or damaged.
        """
        evaluators = {}
        for task_set in self.task_sets:
            for dataset in dict.fromkeys(task_set.sources.values()):
                task = task_set.tasks[dataset]
                made = self._evaluator(task_set, dataset, sample)
                if len(made.failures) == made.size:
                    raise RunError(
                        f"all {made.size} {task} {sample} networks failed; "
                        f"the first: {next(iter(made.failures.values()))}"
                    )
                self._tell_failures(f"{task} {sample}", made.failures, made.size)
                evaluators[task] = made
        return SampleEvaluator(evaluators, self._tasks(sample), self.config.objective)

    def test_scores(
        self, expression: Expression, task_set: TaskSet, dataset: str
    ) -> NDArray[np.float64]:
        """Return the scores on the test sample, (networks,).

        A data set's own networks are used if the bank has them, else the networks of its stand-in.
        """
        own = self.bank.family(task_set.benchmark.name, dataset) is not None
        made = self._evaluator(task_set, dataset if own else task_set.sources[dataset], "test")
        (scores,) = made.scores([expression])
        self._tell_failures(f"{task_set.tasks[dataset]} test", made.failures, made.size)
        return np.asarray(scores, dtype=np.float64)

    def _evaluator(self, task_set: TaskSet, dataset: str, sample: str) -> BankEvaluator:
        family = bank_family(self.bank, task_set.benchmark, dataset)
        stores = 2 * sum(len({*each.sources.values()}) for each in self.task_sets)
        return BankEvaluator(
            self.bank.vectors(family),
            bank_places(family, task_set.benchmark, task_set.indices(sample).tolist()),
            cache_bytes=max(_LEAST_BYTES, _CACHE_BYTES // stores),
        )
