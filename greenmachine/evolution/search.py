"""The generation loop on DEAP operators; one seed gives one result.

A generation: parents are drawn by tournament from the best of every niche, varied, and checked
(height, size, no second of one text); elites go on, immigrants come in; all new ones
are judged on the training sample, the best of them on validation, where the hall of fame is
chosen. With ``survivors`` it is a (mu + lambda) scheme, as DEAP's ``eaMuPlusLambda``: parents
are drawn evenly, and tournaments among them and their children choose who goes on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from deap import tools

from greenmachine.config import EvolutionConfig, LanguageConfig
from greenmachine.evolution.breeding import Breeder
from greenmachine.evolution.individual import CostFitness, Individual, cleared, distinct
from greenmachine.evolution.judge import Judge
from greenmachine.evolution.operators import owned_random
from greenmachine.evolution.racing import Heat
from greenmachine.evolution.run_folder import Famous, SavedIndividual, SearchState
from greenmachine.evolution.selection import survivors
from greenmachine.language import Expression, canonical, parse
from greenmachine.language.grammar import Grammar

__all__ = ["Search"]


class Search:
    """A population and how it goes on.

    Args:
        evolution: the loop's settings.
        language: limits of the trees.
        grammar: the vocabulary.
        train: judge of the sample that selects.
        validation: judge of the sample that picks the champion.
        seed: of every random choice.
        heat: stops new individuals early; None lets all of them run to the end.

    Attributes:
        generation: number of the current one; the first is 0.
        population: judged individuals.
        hall: best on validation, the best first.
        individuals: judged so far.
    """

    def __init__(
        self,
        evolution: EvolutionConfig,
        language: LanguageConfig,
        grammar: Grammar,
        train: Judge,
        validation: Judge,
        seed: int,
        heat: Heat | None = None,
    ) -> None:
        self.evolution = evolution
        self.grammar = grammar
        self.breeder = Breeder(
            evolution, language, grammar, train.objective.parsimony, self._fitness_of
        )
        self.train = train
        self.validation = validation
        self.heat = heat
        self.generation = -1
        self.population: list[Individual] = []
        self.hall: list[Famous] = []
        self.individuals = 0
        self._random = random.Random(seed).getstate()

    def best_validation(self) -> float:
        """Return the champion's fitness on validation."""
        return self.hall[0].validation

    def step(self, seeds: Sequence[Expression] = ()) -> None:
        """Make, judge and validate the next generation; the first one holds ``seeds``.

        Nothing changes when it is interrupted: the generation is taken over at its end.
        """
        with owned_random(self._random):
            kept, new = self._next() if self.population else ([], self.breeder.first(seeds))
            state = random.getstate()
        population = kept + self._judged(new)
        if self.evolution.selection == "nsga2":
            population = tools.selNSGA2(population, self.evolution.population)
        elif self.evolution.survivors and kept:
            with owned_random(state):
                population = survivors(population, self.evolution)
                state = random.getstate()
        hall = self._validated(population)
        self._random, self.population, self.hall = state, population, hall
        self.generation += 1
        self.individuals += len(new)

    def state(self) -> SearchState:
        """Return what the next generation depends on."""
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
                    tau=list(individual.tau),
                    failures=individual.failures,
                )
                for individual in self.population
            ],
            hall=self.hall,
        )

    def restore(self, state: SearchState) -> None:
        """Go back to where :meth:`state` was taken; what follows is the same bit for bit.

        Raises:
            GreenMachineError: a tree is none of this language.
            ValueError: the state of the generator, or a fitness, is none.
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
            individual.tau = tuple(saved.tau)
            individual.failures = saved.failures
            self.population.append(individual)

    def _fitness_of(self, expressions: list[Expression]) -> list[float]:
        fitness: list[float] = self.train(expressions).fitness.tolist()
        return fitness

    def _next(self) -> tuple[list[Individual], list[Individual]]:
        """Return who goes on and who is new."""
        config = self.evolution
        plus = config.selection == "nsga2" or config.survivors > 0
        pool = self.population if config.survivors else self._cleared()
        kept = self.population if plus else pool[: config.elites]
        # A child like one of the last generation would be judged to learn nothing.
        taken = {individual.text for individual in self.population}
        count = config.population - (0 if plus else len(kept))
        return list(kept), self.breeder.next(pool, count, taken)

    def _cleared(self) -> list[Individual]:
        forms = [individual.expression for individual in self.population]
        directions = [individual.direction for individual in self.population]
        behaviours = self.train.behaviours(forms, directions)
        return cleared(self.population, behaviours, self.evolution.niche)

    def _judged(self, new: list[Individual]) -> list[Individual]:
        """Judge new individuals; return those that no heat stopped."""
        forms = [individual.expression for individual in new]
        if self.heat is not None:
            passed = self.heat.passed(forms, self.population)
            if any(passed):
                new = [individual for individual, on in zip(new, passed, strict=True) if on]
                forms = [form for form, on in zip(forms, passed, strict=True) if on]
        judged = self.train(forms)
        for place, individual in enumerate(new):
            if self.breeder.fitness is CostFitness:
                values = [float(judged.aggregate[place]), float(len(individual))]
            else:
                values = [float(judged.fitness[place])]
            individual.fitness.values = values
            individual.direction = int(judged.direction[place])
            individual.tau = tuple(judged.tau[place].tolist())
            individual.failures = int(judged.failures[place])
        return new

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
                tau={"train": list(individual.tau), "validation": judged.tau[place].tolist()},
                generation=self.generation + 1,
            )
            for place, (form, individual) in enumerate(forms)
        ]
        ordered = sorted([*self.hall, *found], key=lambda f: (-f.validation, f.size, f.expression))
        return ordered[: self.evolution.hall_of_fame]
