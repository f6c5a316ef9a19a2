"""Individuals: DEAP trees with their fitness and further results of their evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from deap import base, gp
from numpy.typing import NDArray

from greenmachine.language import Expression, rank_canonical
from greenmachine.neutral import neutral

__all__ = ["Individual", "cleared", "distinct"]


class Individual(gp.PrimitiveTree):  # type: ignore[misc]  # DEAP has no types
    """A tree of one run.

    The tree of an individual does not change, so its expression is made once.

    Args:
        nodes: of the tree, in prefix order.
        fitness: class of the fitness.
        expression: of the tree, with the primitives that complete it to a score.

    Attributes:
        fitness: DEAP's, invalid until evaluated.
        expression: of the tree, with the primitives that complete it to a score.
        parts: the subtrees of the root's kind; empty until the breeder needs them.
        text: rank-canonical text; two individuals with the same text rank networks alike.
        direction: 1 if a high score is good, -1 if a low score is good.
        values: the objective on every task of the training sample, in that direction.
        tau: Kendall's tau-b there, whatever the objective.
        failures: number of training networks without a finite score.
    """

    def __init__(
        self, nodes: Iterable[Any], fitness: type[base.Fitness], expression: Expression
    ) -> None:
        super().__init__(nodes)
        self.fitness = fitness()
        self.expression = expression
        self.parts: list[Expression] = []
        self.text = rank_canonical(expression).text
        self.direction = 1
        self.values: tuple[float, ...] = ()
        self.tau: tuple[float, ...] = ()
        self.failures = 0


def cleared(
    individuals: list[Individual], behaviours: NDArray[np.float64], niche: float
) -> list[Individual]:
    """Return the best individual of every niche, the best first (clearing, Petrowski 1996).

    Without clearing, variants of one statistic take over the population within a few generations.
    Expressions that would improve a proxy in combination with others are then lost, because alone
    they are worse than the best.

    Args:
        individuals: in any order.
        behaviours: (individuals, n) rows of length 1; see ``SampleEvaluator.behaviours``.
        niche: two individuals share a niche if their behaviours correlate above this value.
    """
    keys = [(-i.fitness.values[0], len(i), i.text) for i in individuals]
    with neutral():  # NumPy's product would round differently on another number of threads
        rows = torch.from_numpy(behaviours)
        alike = (rows @ rows.T).numpy() > niche
    taken = np.zeros(len(individuals), dtype=bool)
    best = []
    for place in sorted(range(len(individuals)), key=lambda place: keys[place]):
        if not taken[place]:
            best.append(individuals[place])
            taken |= alike[place]
    return best


def distinct(individuals: Iterable[Individual]) -> list[Individual]:
    """Return the best first, and of those that rank the training networks alike the smallest.

    Different texts can compute the same ranking: ``abs`` of positive values changes nothing.
    """
    ordered = sorted(individuals, key=lambda i: (-i.fitness.values[0], len(i), i.text))
    seen: dict[tuple[float, ...], Individual] = {}
    for individual in sorted(ordered, key=len):
        seen.setdefault(individual.tau, individual)
    kept = {id(individual) for individual in seen.values()}
    return [individual for individual in ordered if id(individual) in kept]
