"""New individuals: random trees, seeds, and children of parents, all within the limits.

Whole scores joined to a new one cost next to nothing to judge: the engine has their values. It also
has those of single layers, from which another aggregator makes another score. So a child by
``combine`` or ``tune`` is the best of a *brood*, where other children take what chance gives. Brood
recombination is W. A. Tackett's ("Recombination, selection, and the genetic construction of
computer programs", PhD thesis, University of Southern California, 1994).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from deap import gp

from greenmachine.config import EvolutionConfig, LanguageConfig
from greenmachine.evolution.individual import Individual
from greenmachine.evolution.operators import (
    Nodes,
    combine,
    crossover,
    half_and_half,
    mutate,
    part,
    tune,
)
from greenmachine.language import Expression, rank_canonical
from greenmachine.language.grammar import Grammar
from greenmachine.selection import Selection

__all__ = ["Breeder"]

_ATTEMPTS = 50  # to make an acceptable child, before a random tree takes its place


class Breeder:
    """Makes the individuals of one run; draws from the global ``random`` module.

    Args:
        evolution: rates.
        language: limits of the trees.
        grammar: the vocabulary.
        selection: draws the parents.
        parsimony: what a node costs, in units of the objective.
        fitness_of: training fitness of expressions, asked for broods alone.

    Attributes:
        fitness: class of the individuals' fitness.
    """

    def __init__(
        self,
        evolution: EvolutionConfig,
        language: LanguageConfig,
        grammar: Grammar,
        selection: Selection,
        parsimony: float,
        fitness_of: Callable[[list[Expression]], Sequence[float]],
    ) -> None:
        self.evolution = evolution
        self.language = language
        self.grammar = grammar
        self.parsimony = parsimony
        self.fitness_of = fitness_of
        self.selection = selection
        self.fitness = selection.fitness

    def individual(self, nodes: Sequence[Any]) -> Individual:
        """Return the individual of a tree, not yet judged."""
        individual = Individual(nodes, self.fitness)
        individual.text = rank_canonical(self.grammar.expression(individual)).text
        return individual

    def first(self, seeds: Sequence[Expression]) -> list[Individual]:
        """Return a first population: ``seeds``, then random trees."""
        taken: set[str] = set()
        new = []
        for seed in seeds[: self.evolution.population]:
            individual = self.individual(self.grammar.tree(seed))
            if individual.text not in taken:
                taken.add(individual.text)
                new.append(individual)
        while len(new) < self.evolution.population:
            new.append(self._immigrant(taken))
        return new

    def next(self, pool: list[Individual], count: int, taken: set[str]) -> list[Individual]:
        """Return ``count`` new individuals: immigrants, then children of ``pool``.

        Args:
            pool: who may be a parent.
            count: of new ones.
            taken: texts that no new one may have; theirs are added.
        """
        new = [self._immigrant(taken) for _ in range(round(self.evolution.immigrants * count))]
        while len(new) < count:
            children = self._children(pool, taken)
            new += children[: count - len(new)]
        return new

    def _children(self, pool: list[Individual], taken: set[str]) -> list[Individual]:
        config = self.evolution
        for _ in range(_ATTEMPTS):
            drawn = random.random() if len(pool) > 1 else 1.0
            if drawn < config.crossover:
                trees = [gp.PrimitiveTree(parent) for parent in self._parents(pool, 2)]
                crossover(trees[0], trees[1], config.leaf_bias)
            elif drawn < config.crossover + config.combine:
                trees = self._combined(pool, taken)
            elif drawn < config.crossover + config.combine + config.tune:
                trees = self._tuned(pool, taken)
            else:
                trees = [gp.PrimitiveTree(parent) for parent in self._parents(pool, 1)]
                mutate(trees[0], self.grammar, config.mutations)
            children = []
            for tree in trees:
                child = self.individual(tree)
                if self._fits(child) and child.text not in taken:
                    taken.add(child.text)
                    children.append(child)
            if children:
                return children
        return [self._immigrant(taken)]

    def _combined(self, pool: list[Individual], taken: set[str]) -> list[gp.PrimitiveTree]:
        """Return two parents joined, or the best of a brood; none where all of it is taken."""
        if self.evolution.brood == 1:
            first, second = self._parents(pool, 2)
            return [gp.PrimitiveTree(combine(first, second, self.grammar))]
        (first,) = self._parents(pool, 1)

        def joined() -> Nodes:
            # Partners are drawn evenly: what helps a good score is seldom good alone.
            one, other = (part(tree, self.grammar) for tree in (first, random.choice(pool)))
            return combine(one, other, self.grammar)

        return self._best(joined, taken)

    def _tuned(self, pool: list[Individual], taken: set[str]) -> list[gp.PrimitiveTree]:
        """Return a parent with its upper part changed, the best of a brood; or none."""
        (first,) = self._parents(pool, 1)
        return self._best(lambda: tune(first, self.grammar), taken)

    def _best(self, draw: Callable[[], Nodes], taken: set[str]) -> list[gp.PrimitiveTree]:
        """Return the best of a brood on the training sample; none where all of it is taken."""
        brood: dict[str, Individual] = {}
        for _ in range(self.evolution.brood):
            child = self.individual(draw())
            if self._fits(child) and child.text not in taken:
                brood.setdefault(child.text, child)
        children = list(brood.values())
        if len(children) < 2:
            return [*children]
        fitness = self.fitness_of([self.grammar.expression(child) for child in children])
        return [children[max(range(len(children)), key=lambda place: fitness[place])]]

    def _parents(self, pool: list[Individual], count: int) -> list[Individual]:
        return self.selection.parents(pool, count, self.parsimony)

    def _immigrant(self, taken: set[str]) -> Individual:
        for _ in range(_ATTEMPTS):
            individual = self.individual(half_and_half(self.grammar, self.language.start_height))
            if self._fits(individual) and individual.text not in taken:
                break
        taken.add(individual.text)
        return individual

    def _fits(self, individual: Individual) -> bool:
        small = len(individual) <= self.language.max_size
        return small and individual.height <= self.language.max_height
