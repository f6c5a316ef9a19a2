"""The generation loop on DEAP operators; one seed gives one result.

In each generation the selection scheme draws parents from the best individual of every niche. They
are varied, and children are checked (height, size, no text twice). Elites survive, and immigrants
are added. All new individuals are evaluated on the training sample, and the best of them on
validation, which determines the hall of fame.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from greenmachine.config import EvolutionConfig, LanguageConfig
from greenmachine.evolution.breeding import Breeder
from greenmachine.evolution.evaluators import Racing, SampleEvaluator
from greenmachine.evolution.individual import Individual, cleared, distinct
from greenmachine.evolution.operators import owned_random, random_kept
from greenmachine.evolution.run_files import Famous, SavedIndividual, SearchState
from greenmachine.fitness import Evaluation
from greenmachine.language import Expression, canonical, parse
from greenmachine.language.grammar import Grammar
from greenmachine.selection import CostFitness, Selection

__all__ = ["Search"]


class _Asked(NamedTuple):
    """A generation that waits for its evaluation: survivors, number of new ones, generator."""

    kept: list[Individual]
    bred: int
    state: Any


class Search:
    """A population and the state of its search.

    Args:
        evolution: settings of the loop.
        language: limits of the trees.
        grammar: the grammar.
        selection: draws parents and survivors.
        train: evaluator of the training sample.
        validation: evaluator of the validation sample, on which the champion is selected.
        seed: of every random choice.
        racing: stops new individuals early; None evaluates all of them on all networks.

    Attributes:
        generation: number of the current one; the first is 0.
        population: evaluated individuals.
        hall: best on validation, the best first.
        individuals: evaluated so far.
    """

    def __init__(
        self,
        evolution: EvolutionConfig,
        language: LanguageConfig,
        grammar: Grammar,
        selection: Selection,
        train: SampleEvaluator,
        validation: SampleEvaluator,
        seed: int,
        racing: Racing | None = None,
    ) -> None:
        self.evolution = evolution
        self.grammar = grammar
        self.selection = selection
        self.breeder = Breeder(
            evolution,
            language,
            grammar,
            selection,
            train.objective.parsimony,
            self._fitness_of,
            self._begin,
        )
        self.train = train
        self.validation = validation
        self.racing = racing
        self.generation = -1
        self.population: list[Individual] = []
        self.hall: list[Famous] = []
        self.individuals = 0
        self._random = random.Random(seed).getstate()
        self._asked: _Asked | None = None

    def best_validation(self) -> float:
        """Return the champion's fitness on validation."""
        return self.hall[0].validation

    def step(self, seeds: Sequence[Expression] = ()) -> None:
        """Make, evaluate and validate the next generation; the first one includes ``seeds``.

        An interruption changes nothing: the new generation replaces the old one at the end.
        """
        try:
            new = self.ask(seeds)
            if self.racing is not None:
                passed = self.racing.passed(self._forms(new), self.population)
                if any(passed):
                    new = [individual for individual, on in zip(new, passed, strict=True) if on]
            judged = self.train(self._forms(new))
        except BaseException:
            self.train.cancel()
            raise
        self.tell(new, judged)

    def ask(self, seeds: Sequence[Expression] = ()) -> list[Individual]:
        """Return the new individuals of the next generation, not yet evaluated.

        The search does not advance until :meth:`tell`; until then a second call returns the same.

        Args:
            seeds: for the first generation.
        """
        with owned_random(self._random):
            kept, new = self._next() if self.population else ([], self.breeder.first(seeds))
            self._asked = _Asked(kept, len(new), random.getstate())
        return new

    def tell(self, new: Sequence[Individual], judged: Evaluation) -> None:
        """Advance to the next generation.

        Args:
            new: the evaluated ones of those that :meth:`ask` returned last.
            judged: their fitness on the training sample, in the same order.

        Raises:
            RuntimeError: :meth:`ask` was not called.
        """
        if self._asked is None:
            raise RuntimeError("tell what was judged after asking for it")
        kept, bred, state = self._asked
        self._judge(new, judged)
        population = [*kept, *new]
        if self.selection.plus:
            with owned_random(state):
                population = self.selection.survivors(population, self.evolution.population)
                state = random.getstate()
        hall = self._validated(population)
        self._random, self.population, self.hall = state, population, hall
        self.generation += 1
        self.individuals += bred
        self._asked = None

    def state(self) -> SearchState:
        """Return the state that determines the next generation."""
        version, words, gauss = self._random
        return SearchState(
            generation=self.generation,
            individuals=self.individuals,
            random=(version, list(words), gauss),
            population=[
                SavedIndividual(
                    tree=individual.expression.text,
                    fitness=list(individual.fitness.values),
                    direction=individual.direction,
                    values=list(individual.values),
                    tau=list(individual.tau),
                    failures=individual.failures,
                )
                for individual in self.population
            ],
            hall=self.hall,
        )

    def restore(self, state: SearchState) -> None:
        """Restore the state that :meth:`state` returned; the results are the same bit for bit.

        Raises:
            GreenMachineError: a tree does not belong to this language.
            ValueError: the state of the generator, or a fitness, is invalid.
        """
        version, words, gauss = state.random
        generator = (version, tuple(words), gauss)
        try:
            random.Random().setstate(generator)
        except (TypeError, OverflowError) as error:
            raise ValueError(str(error)) from None
        self._random = generator
        self.generation = state.generation
        self.individuals = state.individuals
        self.hall = list(state.hall)
        self.population = []
        for saved in state.population:
            individual = self.breeder.individual(self.grammar.tree(parse(saved.tree)))
            if len(saved.fitness) != len(individual.fitness.weights):
                raise ValueError(f"a fitness of {len(saved.fitness)} numbers")
            individual.fitness.values = tuple(saved.fitness)
            individual.direction = saved.direction
            individual.values = tuple(saved.values)
            individual.tau = tuple(saved.tau)
            individual.failures = saved.failures
            self.population.append(individual)

    def _fitness_of(self, expressions: list[Expression]) -> list[float]:
        with random_kept():
            fitness: list[float] = self.train(expressions).fitness.tolist()
        return fitness

    def _begin(self, expressions: list[Expression]) -> None:
        # Racing removes some of the new individuals before they need all networks.
        if self.racing is None:
            with random_kept():
                self.train.begin(expressions)

    def _next(self) -> tuple[list[Individual], list[Individual]]:
        """Return the survivors and the new individuals."""
        config, plus = self.evolution, self.selection.plus
        niche = self.selection.niche
        pool = self.population if niche is None else self._cleared(niche)
        kept = self.population if plus else pool[: config.elites]
        # A child like one of the last generation would be judged to learn nothing.
        taken = {individual.text for individual in self.population}
        count = config.population - (0 if plus else len(kept))
        return list(kept), self.breeder.next(pool, count, taken)

    def _cleared(self, niche: float) -> list[Individual]:
        forms = self._forms(self.population)
        directions = [individual.direction for individual in self.population]
        with random_kept():  # a resumed run asks the workers: its cache is empty
            behaviours = self.train.behaviours(forms, directions)
        return cleared(self.population, behaviours, niche)

    def _forms(self, individuals: Sequence[Individual]) -> list[Expression]:
        return [individual.expression for individual in individuals]

    def _judge(self, new: Sequence[Individual], judged: Evaluation) -> None:
        """Store the results of the evaluation in the individuals."""
        for place, individual in enumerate(new):
            if self.breeder.fitness is CostFitness:
                values = [float(judged.aggregate[place]), float(len(individual))]
            else:
                values = [float(judged.fitness[place])]
            individual.fitness.values = values
            individual.direction = int(judged.direction[place])
            individual.values = tuple(judged.values[place].tolist())
            individual.tau = tuple(judged.tau[place].tolist())
            individual.failures = int(judged.failures[place])

    def _validated(self, population: list[Individual]) -> list[Famous]:
        """Return the hall of fame with the best of ``population`` that are good on validation."""
        known = {famous.expression for famous in self.hall}
        best = distinct(population)[: self.evolution.validate_best]
        forms = [(canonical(i.expression), i) for i in best]
        forms = [(form, i) for form, i in forms if form.text not in known]
        if not forms:
            return self.hall
        judged = self.validation([form for form, _ in forms], [i.direction for _, i in forms])
        found = [
            Famous(
                expression=form.text,
                direction=individual.direction,
                size=form.size,
                train=individual.fitness.values[0],
                validation=float(judged.fitness[place]),
                objective={
                    "train": list(individual.values),
                    "validation": judged.values[place].tolist(),
                },
                tau={"train": list(individual.tau), "validation": judged.tau[place].tolist()},
                generation=self.generation + 1,
            )
            for place, (form, individual) in enumerate(forms)
        ]
        ordered = sorted([*self.hall, *found], key=lambda f: (-f.validation, f.size, f.expression))
        return ordered[: self.evolution.hall_of_fame]
