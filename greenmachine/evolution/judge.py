"""A judge knows one sample: it scores expressions there and says how well they rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from greenmachine.config import ObjectiveConfig
from greenmachine.engine import Evaluator
from greenmachine.fitness import Evaluation, Objective, Task
from greenmachine.language import Expression
from greenmachine.workers import Progress

__all__ = ["Judge"]


class Judge:
    """Fitness of expressions on one sample.

    Args:
        evaluators: by data set, all of the same networks.
        accuracies: by data set, (networks,) in percent.
        config: how the data sets are combined.
    """

    def __init__(
        self,
        evaluators: Mapping[str, Evaluator],
        accuracies: Mapping[str, NDArray[np.float64]],
        config: ObjectiveConfig,
    ) -> None:
        self.evaluators = dict(evaluators)
        tasks = [
            Task(name, name, np.arange(len(truth), dtype=np.int64), truth)
            for name, truth in accuracies.items()
        ]
        self.objective = Objective(tasks, config.aggregate, config.parsimony)

    def __call__(
        self,
        expressions: Sequence[Expression],
        directions: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Judge ``expressions``; ``directions`` None chooses the better one of each."""
        scores = {
            name: evaluator.scores(expressions, progress)
            for name, evaluator in self.evaluators.items()
        }
        return self.objective.evaluate(scores, [e.size for e in expressions], directions)

    def counts(self) -> dict[str, int]:
        """Return boundary nodes evaluated, cache hits and misses so far."""
        evaluators = self.evaluators.values()
        return {
            "evaluated": sum(e.evaluated for e in evaluators),
            "cache_hits": sum(e.cache.hits for e in evaluators),
            "cache_misses": sum(e.cache.misses for e in evaluators),
        }
