"""Racing: new individuals that show nothing on a few networks do not see the others.

Opt-in (``evolution.racing``), because it changes results: a stopped individual never enters the
population, where it might have become a parent. The same seed still gives the same run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from greenmachine.evolution.individual import Individual
from greenmachine.evolution.judge import Judge
from greenmachine.language import Expression

__all__ = ["Heat"]

_UNDEFINED = -1.0  # the tau of an individual that is constant, or fails on most networks


class Heat:
    """The first leg of a race.

    Args:
        judge: on some networks of every training sample.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        # The standard deviation of the objective between unrelated rankings.
        self.deviation = max(judge.objective.chance(task.truth) for task in judge.fitness.tasks)

    def passed(
        self, expressions: Sequence[Expression], population: Sequence[Individual]
    ) -> list[bool]:
        """Return which of ``expressions`` go on to all networks.

        Stopped are those that are constant here or fail on more than half of the networks, and
        those whose fitness is more than two deviations below the median of the last
        generation: they would hardly win a tournament.
        """
        judged = self.judge(expressions)
        threshold = -math.inf
        if population:
            middle = median(individual.fitness.values[0] for individual in population)
            threshold = middle - 2 * self.deviation
        return [
            bool(tau > _UNDEFINED and fitness >= threshold)
            for tau, fitness in zip(
                self.judge.objective.combine(judged.tau), judged.fitness, strict=True
            )
        ]
