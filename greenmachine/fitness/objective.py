"""The fitness of individuals: one direction for all tasks, failures last, minus parsimony.

fitness = aggregate over tasks of objective(direction * score, accuracy) - parsimony * size

The measured quantity is the objective (``objectives.py``), by default Kendall's tau-b. These rules
apply to all objectives:

- **Direction.** High or low scores of a proxy may be good, but the direction is the same on every
  task. Of 1 and -1 the one with the larger aggregate is used (1 if they are equal), unless the
  caller fixes it. Validation and test use the direction found in training.
- **Failures.** A network whose score is not finite ranks below all others, tied, in either
  direction. An individual that fails on more than half of the networks gets the worst value of the
  objective on every task, which is -1 for the objectives of GreenMachine.
- **Ties.** An individual that gives all networks of a task the same score gets the worst value
  there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from greenmachine.errors import ConfigError
from greenmachine.fitness.kendall import TauReference
from greenmachine.fitness.measures import tied
from greenmachine.fitness.objectives import Measure, Objective

__all__ = ["Evaluation", "Fitness", "Task"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Task:
    """A data set on a sample of networks, which proxies should rank well.

    Attributes:
        name: "cifar10", "cifar10/stratified-3", ...
        scores: key of the score matrix that contains the scores. Tasks may share a matrix: noise
            passes of equal shape give one score for several data sets.
        index: (n,) columns of that matrix, int64.
        truth: (n,) true accuracies of those networks, finite, not all equal.
    """

    name: str
    scores: str
    index: Ints
    truth: Floats

    def __post_init__(self) -> None:
        if self.index.shape != self.truth.shape:
            raise ValueError(f"task {self.name}: index and truth must have the same shape")
        if not np.isfinite(self.truth).all():
            raise ValueError(f"task {self.name}: truth must be finite")
        if len(np.unique(self.truth)) < 2:
            raise ConfigError(
                f"task {self.name}: all accuracies are equal: draw another or a larger sample"
            )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The values of an objective for P individuals on T tasks.

    Attributes:
        fitness: (P,) aggregate minus parsimony.
        aggregate: (P,) mean or minimum of ``values`` over the tasks.
        direction: (P,) 1 if a high score is good, -1 if a low score is good, int64.
        values: (P, T) the objective in that direction, always finite.
        tau: (P, T) Kendall's tau-b in that direction, whatever the objective; -1 where undefined.
        failures: (P,) number of scores that are not finite, over all networks in use, int64.
    """

    fitness: Floats
    aggregate: Floats
    direction: Ints
    values: Floats
    tau: Floats
    failures: Ints


class Fitness:
    """Computes the fitness of individuals from their scores.

    Args:
        tasks: at least one.
        objective: measures each task, and aggregates the values over the tasks.

    Raises:
        ConfigError: there is no task, two have the same name, or one is too small for the
            objective.
    """

    def __init__(self, tasks: Sequence[Task], objective: Objective) -> None:
        if not tasks:
            raise ConfigError("the objective has no task: name at least one data set")
        if len({task.name for task in tasks}) < len(tasks):
            raise ConfigError("two tasks of the objective have the same name: rename one")
        self.tasks = list(tasks)
        self.objective = objective
        self._measures: list[Measure] = []
        for task in tasks:
            try:
                self._measures.append(objective.measure(task.truth))
            except ConfigError as error:
                raise ConfigError(f"task {task.name}: {error}") from None
        self._worst = np.array([objective.worst(task.truth) for task in tasks])
        self._references = [
            measure if _is_tau(measure, task.truth) else TauReference(task.truth)
            for task, measure in zip(tasks, self._measures, strict=True)
        ]

    def evaluate(
        self,
        scores: Mapping[str, Floats],
        sizes: npt.ArrayLike,
        directions: npt.ArrayLike | None = None,
    ) -> Evaluation:
        """Evaluate P individuals.

        Args:
            scores: for each key that a task names, (P, networks) float64, NaN = failed.
            sizes: (P,) number of nodes of each individual.
            directions: (P,) of 1 or -1, to be used as given; None chooses the better.

        Raises:
            KeyError: if the scores that a task names are not given.
            ValueError: if a shape is wrong, or a direction is neither 1 nor -1.
        """
        size = np.asarray(sizes, dtype=np.float64)
        failures, unfit = self._failures(scores)
        shape = (len(failures), len(self.tasks))
        up, down, tau_up, tau_down = (np.empty(shape) for _ in range(4))
        for t, task in enumerate(self.tasks):
            taken = scores[task.scores][:, task.index]
            measure, reference = self._measures[t], self._references[t]
            tau_up[:, t], tau_down[:, t] = _both_ways(reference, True, -1.0, taken)
            if measure is reference:
                up[:, t], down[:, t] = tau_up[:, t], tau_down[:, t]
            else:
                up[:, t], down[:, t] = _both_ways(
                    measure, self.objective.odd, self._worst[t], taken
                )
        up[unfit] = down[unfit] = self._worst
        tau_up[unfit] = tau_down[unfit] = -1.0
        combine = self.objective.combine
        if directions is None:
            direction = np.where(combine(up) >= combine(down), 1, -1)
        else:
            direction = np.asarray(directions, dtype=np.int64)
            if not np.isin(direction, (1, -1)).all():
                raise ValueError("directions must be 1 or -1")
        if size.shape != failures.shape or direction.shape != failures.shape:
            raise ValueError(f"sizes and directions must have shape {failures.shape}")
        high = direction[:, None] == 1
        values, tau = np.where(high, up, down), np.where(high, tau_up, tau_down)
        combined = combine(values)
        fitness = combined - self.objective.parsimony * size
        return Evaluation(fitness, combined, direction.astype(np.int64), values, tau, failures)

    def _failures(self, scores: Mapping[str, Floats]) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Count scores that are not finite; flag individuals that fail on more than half."""
        failures = np.zeros(len(scores[self.tasks[0].scores]), dtype=np.int64)
        used = 0
        for key in dict.fromkeys(task.scores for task in self.tasks):
            columns = np.unique(np.concatenate([t.index for t in self.tasks if t.scores == key]))
            failures += np.count_nonzero(~np.isfinite(scores[key][:, columns]), axis=1)
            used += len(columns)
        return failures, np.asarray(failures * 2 > used)


def _is_tau(measure: Measure, truth: Floats) -> TypeGuard[TauReference]:
    return isinstance(measure, TauReference) and np.array_equal(measure.truth, truth)


def _both_ways(measure: Measure, odd: bool, worst: float, scores: Floats) -> tuple[Floats, Floats]:
    """Return the values in direction 1 and -1, ``worst`` where undefined.

    If the measure is odd and no network failed, one is minus the other.
    """
    up = _directed(measure, scores, 1)
    if odd:
        down = -up
        failing = ~np.isfinite(scores).all(axis=1)
        down[failing] = _directed(measure, scores[failing], -1)
    else:
        down = _directed(measure, scores, -1)
    return np.where(np.isfinite(up), up, worst), np.where(np.isfinite(down), down, worst)


def _directed(measure: Measure, scores: Floats, direction: int) -> Floats:
    """Return the values in one direction, (P,), NaN where all networks are tied."""
    directed = np.where(np.isfinite(scores), direction * scores, -np.inf)
    values = measure(directed)
    if isinstance(measure, TauReference):  # is NaN there
        return values
    return np.where(tied(directed), np.nan, values)
