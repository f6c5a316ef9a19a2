"""Who breeds and who goes on: DEAP's selection schemes by name.

All draw from the global ``random`` module; see ``operators.owned_random``.
"""

from __future__ import annotations

import random

from deap import tools

from greenmachine.config import EvolutionConfig
from greenmachine.evolution.individual import Individual

__all__ = ["parents", "survivors"]


def parents(pool: list[Individual], count: int, config: EvolutionConfig) -> list[Individual]:
    """Return ``count`` parents out of ``pool``; with ``survivors`` they are drawn evenly."""
    if config.survivors:
        return random.sample(pool, count)
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
