"""Who breeds and who goes on: DEAP's selection schemes by name.

All draw from the global ``random`` module; see ``operators.owned_random``.

``lexicase`` is epsilon-lexicase selection (La Cava, Helmuth, Spector, Moore, "A probabilistic and
multi-objective analysis of lexicase selection and epsilon-lexicase selection", Evolutionary
Computation 27(3), 2019), in its dynamic form: for every parent the tasks are taken in a new random
order, and at each those stay whose tau is within one median absolute deviation, of those still
there, of the best. So a specialist of one data set breeds, where an aggregate would pass it over.
"""

from __future__ import annotations

import random
from types import SimpleNamespace

from deap import tools

from greenmachine.config import EvolutionConfig
from greenmachine.evolution.individual import Individual

__all__ = ["parents", "survivors"]


def parents(
    pool: list[Individual], count: int, config: EvolutionConfig, parsimony: float = 0.0
) -> list[Individual]:
    """Return parents; with ``survivors`` they are drawn evenly.

    Args:
        pool: who may be one.
        count: of parents.
        config: names the scheme.
        parsimony: tau that a node costs, where the scheme goes by tau and not by fitness.
    """
    if config.survivors:
        return random.sample(pool, count)
    if config.selection == "lexicase":
        return _lexicase(pool, count, parsimony)
    if config.selection == "double_tournament":
        chosen = tools.selDoubleTournament(pool, count, config.tournament, 1.4, fitness_first=True)
    else:  # DEAP compares NSGA-II fitness by tau first, then by size
        chosen = tools.selTournament(pool, count, config.tournament)
    return list(chosen)


def survivors(population: list[Individual], config: EvolutionConfig) -> list[Individual]:
    """Return the winners of tournaments, each among those that have not won yet."""
    rest, winners = list(population), list[Individual]()
    while rest and len(winners) < config.survivors:
        (winner,) = tools.selTournament(rest, 1, config.tournament)
        winners.append(winner)
        rest = [individual for individual in rest if individual is not winner]
    return winners


def _lexicase(pool: list[Individual], count: int, parsimony: float) -> list[Individual]:
    """Return parents by DEAP's scheme, which reads a value a task where we keep the aggregate."""
    cases = [
        SimpleNamespace(
            individual=individual,
            fitness=SimpleNamespace(
                values=[tau - parsimony * len(individual) for tau in individual.tau],
                weights=[1.0] * len(individual.tau),
            ),
        )
        for individual in pool
    ]
    chosen = tools.selAutomaticEpsilonLexicase(cases, count)
    return [case.individual for case in chosen]
