"""New individuals: random trees, seeds, and children of parents, all within the limits.

Joining two whole scores to a new one is cheap, because the engine has their values in its cache.
The same holds for values of single layers, from which another aggregator makes another score.
A child by ``combine`` or ``tune`` is therefore the best of a *brood* of candidates; other operators
make one candidate. Brood recombination is by W. A. Tackett ("Recombination, selection, and the
genetic construction of computer programs", PhD thesis, University of Southern California, 1994).

A generation is drawn first, with all candidates of its broods. Then all candidates are evaluated in
one call, because the engine evaluates many of them with one operation. The best candidate of every
brood becomes the child. Meanwhile the workers begin to evaluate the individuals without a brood.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deap import gp

from greenmachine.config import EvolutionConfig, LanguageConfig
from greenmachine.evolution.individual import Individual
from greenmachine.evolution.operators import (
    Tuner,
    combine,
    crossover,
    half_and_half,
    mutate,
    parts,
)
from greenmachine.language import Expression, rank_canonical
from greenmachine.language.grammar import Grammar
from greenmachine.selection import Selection

__all__ = ["Breeder"]

_ATTEMPTS = 50  # to make an acceptable child, before a random tree takes its place


@dataclass(slots=True)
class _Candidate:
    """A child that is not an individual yet.

    Attributes:
        expression: of its tree, with the primitives that complete it to a score.
        text: rank-canonical text.
        nodes: of its tree; None if the candidate was made as an expression.
    """

    expression: Expression
    text: str
    nodes: Sequence[Any] | None


_Brood = list[_Candidate]
"""Candidates of different texts, of which one becomes a child."""


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the search for reference cycles inside the block.

    Candidates are in no cycle. There are so many of them that the search would take a sixth of the
    time of the main process (measured: 1.1 of 7.2 s in 12 generations on digits-tss).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Breeder:
    """Makes the individuals of one run; draws from the global ``random`` module.

    Args:
        evolution: rates.
        language: limits of the trees.
        grammar: the grammar.
        selection: draws the parents.
        parsimony: penalty for a node, in units of the objective.
        fitness_of: training fitness of expressions; used only for broods.
        begin: called with expressions that will be evaluated, before ``fitness_of`` is.

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
        begin: Callable[[list[Expression]], None],
    ) -> None:
        self.evolution = evolution
        self.language = language
        self.grammar = grammar
        self.parsimony = parsimony
        self.fitness_of = fitness_of
        self.begin = begin
        self.selection = selection
        self.fitness = selection.fitness

    def individual(self, nodes: Sequence[Any]) -> Individual:
        """Return the individual of a tree, not yet evaluated."""
        return Individual(nodes, self.fitness, self.grammar.expression(nodes))

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
            new.append(self._born(self._immigrant(taken)))
        return new

    def next(self, pool: list[Individual], count: int, taken: set[str]) -> list[Individual]:
        """Return ``count`` new individuals: immigrants, then children of ``pool``.

        Args:
            pool: the possible parents.
            count: number of new individuals.
            taken: texts that no new individual may have; those of the new ones are added.
        """
        immigrants = round(self.evolution.immigrants * count)
        with _collector_paused():
            new = [self._immigrant(taken) for _ in range(immigrants)]
            while len(new) < count:  # a second time only if a brood gave none
                broods: list[_Brood] = []
                while len(new) + len(broods) < count:
                    broods += self._children(pool, taken)
                if any(len(brood) > 1 for brood in broods):
                    # The last crossover may make one child too many.
                    lone = [brood[0] for brood in broods[: count - len(new)] if len(brood) == 1]
                    self.begin([candidate.expression for candidate in (*new, *lone)])
                new += self._best(broods, taken)
            return [self._born(candidate) for candidate in new[:count]]

    def _born(self, candidate: _Candidate) -> Individual:
        nodes = candidate.nodes or self.grammar.tree(candidate.expression)
        return Individual(nodes, self.fitness, candidate.expression)

    def _children(self, pool: list[Individual], taken: set[str]) -> list[_Brood]:
        """Return a brood for each child of one variation; the text of a lone child is taken."""
        config = self.evolution
        for _ in range(_ATTEMPTS):
            drawn = random.random() if len(pool) > 1 else 1.0
            if drawn < config.crossover:
                trees = [gp.PrimitiveTree(parent) for parent in self._parents(pool, 2)]
                crossover(trees[0], trees[1], config.leaf_bias)
                broods = [[self._of_tree(tree)] for tree in trees]
            elif drawn < config.crossover + config.combine:
                broods = [self._combined(pool)]
            elif drawn < config.crossover + config.combine + config.tune:
                broods = [self._tuned(pool)]
            else:
                (parent,) = self._parents(pool, 1)
                tree = gp.PrimitiveTree(parent)
                mutate(tree, self.grammar, config.mutations)
                broods = [[self._of_tree(tree)]]
            found = []
            for brood in broods:
                texts: dict[str, _Candidate] = {}
                for candidate in brood:
                    if self._fits(candidate) and candidate.text not in taken:
                        texts.setdefault(candidate.text, candidate)
                if len(texts) == 1:
                    taken.update(texts)
                if texts:
                    found.append(list(texts.values()))
            if found:
                return found
        return [[self._immigrant(taken)]]

    def _combined(self, pool: list[Individual]) -> _Brood:
        """Return two parents joined, or parts of one with parts of others."""
        if self.evolution.brood == 1:
            one, other = (self._parts_of(parent)[0] for parent in self._parents(pool, 2))
            return [self._candidate(combine(one, other, self.grammar))]
        (first,) = self._parents(pool, 1)
        brood = []
        for _ in range(self.evolution.brood):
            # Partners are drawn evenly: what helps a good score is seldom good alone.
            one, other = (random.choice(self._parts_of(i)) for i in (first, random.choice(pool)))
            brood.append(self._candidate(combine(one, other, self.grammar)))
        return brood

    def _parts_of(self, individual: Individual) -> list[Expression]:
        if not individual.parts:
            individual.parts = parts(individual, self.grammar)
        return individual.parts

    def _tuned(self, pool: list[Individual]) -> _Brood:
        """Return trees that differ from a parent only in scalar operations, not in tensors."""
        (first,) = self._parents(pool, 1)
        tuner = Tuner(first, self.grammar)
        return [self._candidate(tuner()) for _ in range(self.evolution.brood)]

    def _best(self, broods: Sequence[_Brood], taken: set[str]) -> list[_Candidate]:
        """Return the best candidate of every brood on the training sample.

        A candidate whose text an earlier brood took is left out, so that a brood may give none.
        """
        asked = [c.expression for brood in broods if len(brood) > 1 for c in brood]
        fitness = iter(self.fitness_of(asked) if asked else [])
        best = []
        for brood in broods:
            if len(brood) == 1:
                best += brood
                continue
            judged = [(next(fitness), candidate) for candidate in brood]
            free = [pair for pair in judged if pair[1].text not in taken]
            if free:
                _, chosen = max(free, key=lambda pair: pair[0])
                taken.add(chosen.text)
                best.append(chosen)
        return best

    def _parents(self, pool: list[Individual], count: int) -> list[Individual]:
        return self.selection.parents(pool, count, self.parsimony)

    def _immigrant(self, taken: set[str]) -> _Candidate:
        for _ in range(_ATTEMPTS):
            candidate = self._of_tree(half_and_half(self.grammar, self.language.start_height))
            if self._fits(candidate) and candidate.text not in taken:
                break
        taken.add(candidate.text)
        return candidate

    def _candidate(self, whole: Expression, nodes: Sequence[Any] | None = None) -> _Candidate:
        """Return the candidate of the tree ``whole``, which is not completed yet."""
        expression = self.grammar.closed(whole)
        return _Candidate(expression, rank_canonical(expression).text, nodes)

    def _of_tree(self, nodes: Sequence[Any]) -> _Candidate:
        return self._candidate(self.grammar.subtrees(nodes)[0], nodes)

    def _fits(self, candidate: _Candidate) -> bool:
        closing, expression = self.grammar.closing, candidate.expression
        return (
            expression.size - closing <= self.language.max_size
            and expression.height - closing <= self.language.max_height
        )
