"""A judge knows one sample: it scores expressions there and says how well they rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from greenmachine.engine import Evaluator
from greenmachine.fitness import Evaluation, Fitness, Objective, Task
from greenmachine.language import Expression
from greenmachine.workers import Progress

__all__ = ["Judge"]


class Judge:
    """Fitness of expressions on one sample.

    Args:
        evaluators: of the networks, by the key that the tasks know their scores by.
        tasks: the rankings to get right.
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
        """Judge ``expressions``; ``directions`` None chooses the better one of each."""
        scores = {
            name: evaluator.scores(expressions, progress)
            for name, evaluator in self.evaluators.items()
        }
        return self.fitness.evaluate(scores, [e.size for e in expressions], directions)

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

    def counts(self) -> dict[str, int]:
        """Return boundary nodes evaluated, cache hits and misses so far."""
        evaluators = self.evaluators.values()
        return {
            "evaluated": sum(e.evaluated for e in evaluators),
            "cache_hits": sum(e.cache.hits for e in evaluators),
            "cache_misses": sum(e.cache.misses for e in evaluators),
        }
