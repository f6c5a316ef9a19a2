"""What evolution maximises: Kendall's tau-b over tasks, in one direction, minus a parsimony.

fitness = aggregate over tasks of tau-b(direction * score, accuracy) - parsimony * size

- **Direction.** A proxy may rank by high or by low values; it must do the same on every task. Of 1
  and -1 the one with the greater aggregate counts (1 where equal), unless the caller fixes it, as
  validation and test do with the direction found in training.
- **Failures.** A network whose score is not finite ranks below all others, tied, in either
  direction. An individual that fails on more than half of the networks counts -1 on every task.
- **Ties.** tau-b corrects for them; an individual that ties all networks of a task counts -1 there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from greenmachine.errors import ConfigError
from greenmachine.fitness.kendall import TauReference

__all__ = ["Evaluation", "Objective", "Task"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Task:
    """One ranking to get right: a data set on a sample of networks.

    Attributes:
        name: "cifar10", "cifar10/stratified-3", ...
        scores: key of the score matrix that holds the scores. Tasks may share a matrix: noise
            passes of equal shape give one score for several data sets.
        index: (n,) columns of that matrix, int64.
        truth: (n,) true accuracies of those networks, finite, not all equal.
    """

    name: str
    scores: str
    index: Ints
    truth: Floats
    reference: TauReference = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.index.shape != self.truth.shape:
            raise ValueError(f"task {self.name}: index and truth must have one shape")
        object.__setattr__(self, "reference", TauReference(self.truth))
        if len(np.unique(self.truth)) < 2:
            raise ConfigError(
                f"task {self.name}: its accuracies are all equal: draw another or a larger sample"
            )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an objective says of P individuals on T tasks.

    Attributes:
        fitness: (P,) aggregate minus parsimony.
        aggregate: (P,) mean or minimum of ``tau`` over the tasks.
        direction: (P,) 1 where a high score is good, -1 where a low one is, int64.
        tau: (P, T) tau-b in that direction, never NaN.
        failures: (P,) number of scores that are not finite, over all networks in use, int64.
    """

    fitness: Floats
    aggregate: Floats
    direction: Ints
    tau: Floats
    failures: Ints


@dataclass(frozen=True)
class Objective:
    """The fitness of individuals, from their scores.

    Attributes:
        tasks: at least one.
        aggregate: "mean" or "min" over the tasks.
        parsimony: what a node of an expression costs, in units of tau; at least 0.
    """

    tasks: Sequence[Task]
    aggregate: Literal["mean", "min"] = "mean"
    parsimony: float = 0.0

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ConfigError("the objective has no task: name at least one data set")
        if len({task.name for task in self.tasks}) < len(self.tasks):
            raise ConfigError("two tasks of the objective have one name: rename one")
        if self.aggregate not in ("mean", "min"):
            raise ConfigError(f"unknown aggregate {self.aggregate!r}: use mean or min")
        if not 0.0 <= self.parsimony < np.inf:
            raise ConfigError(f"parsimony {self.parsimony} is out of range: use 0 or more")

    def evaluate(
        self,
        scores: Mapping[str, Floats],
        sizes: npt.ArrayLike,
        directions: npt.ArrayLike | None = None,
    ) -> Evaluation:
        """Judge P individuals.

        Args:
            scores: for each key that a task names, (P, networks) float64, NaN = failed.
            sizes: (P,) number of nodes of each individual.
            directions: (P,) of 1 or -1 to use as they are; None chooses the better.

        Raises:
            KeyError: if a task names scores that are not given.
            ValueError: if a shape is wrong, or a direction is neither 1 nor -1.
        """
        size = np.asarray(sizes, dtype=np.float64)
        failures, unfit = self._failures(scores)
        up = np.empty((len(failures), len(self.tasks)))
        down = np.empty_like(up)
        for t, task in enumerate(self.tasks):
            up[:, t], down[:, t] = _both_ways(task.reference, scores[task.scores][:, task.index])
        up[unfit] = down[unfit] = -1.0
        if directions is None:
            direction = np.where(self._combine(up) >= self._combine(down), 1, -1)
        else:
            direction = np.asarray(directions, dtype=np.int64)
            if not np.isin(direction, (1, -1)).all():
                raise ValueError("directions must be 1 or -1")
        if size.shape != failures.shape or direction.shape != failures.shape:
            raise ValueError(f"sizes and directions must have shape {failures.shape}")
        tau = np.where(direction[:, None] == 1, up, down)
        combined = self._combine(tau)
        fitness = combined - self.parsimony * size
        return Evaluation(fitness, combined, direction.astype(np.int64), tau, failures)

    def _combine(self, tau: Floats) -> Floats:
        """(P, T) -> (P,)."""
        return np.asarray(tau.mean(axis=1) if self.aggregate == "mean" else tau.min(axis=1))

    def _failures(self, scores: Mapping[str, Floats]) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Count scores that are not finite, a network once per matrix; flag more than half."""
        failures = np.zeros(len(scores[self.tasks[0].scores]), dtype=np.int64)
        used = 0
        for key in dict.fromkeys(task.scores for task in self.tasks):
            columns = np.unique(np.concatenate([t.index for t in self.tasks if t.scores == key]))
            failures += np.count_nonzero(~np.isfinite(scores[key][:, columns]), axis=1)
            used += len(columns)
        return failures, np.asarray(failures * 2 > used)


def _both_ways(reference: TauReference, scores: Floats) -> tuple[Floats, Floats]:
    """Tau in direction 1 and -1, -1 where undefined. Without failures one is minus the other."""
    up = reference.directed(scores, 1)
    down = -up
    failing = ~np.isfinite(scores).all(axis=1)
    down[failing] = reference.directed(scores[failing], -1)
    return np.nan_to_num(up, nan=-1.0), np.nan_to_num(down, nan=-1.0)
