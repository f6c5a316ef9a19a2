"""Selection schemes: which individuals breed, and which enter the next generation.

Each scheme is a part of a search (``parts.py``): ``{scheme: lexicase, niche: 0.95}`` in YAML. A
plugin adds one by deriving from :class:`Selection`. All draw from the global ``random`` module,
whose state belongs to the run.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Sequence, Sized
from types import SimpleNamespace
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from deap import base, tools
from pydantic import Field

from greenmachine.errors import ConfigError
from greenmachine.parts import Part

__all__ = [
    "NSGA2",
    "CostFitness",
    "DoubleTournament",
    "Lexicase",
    "MuPlusLambda",
    "ObjectiveFitness",
    "Selectable",
    "Selection",
    "Tournament",
]


class ObjectiveFitness(base.Fitness):  # type: ignore[misc]  # DEAP has no types
    """Maximise the objective minus parsimony."""

    weights = (1.0,)


class CostFitness(base.Fitness):  # type: ignore[misc]  # DEAP has no types
    """Maximise the objective, minimise the number of nodes."""

    weights = (1.0, -1.0)


@runtime_checkable
class Selectable(Sized, Protocol):
    """The interface of an individual for a scheme; its length is its number of nodes.

    Attributes:
        fitness: DEAP fitness, of the class of the scheme.
        values: the objective on every task of the training sample.
    """

    fitness: base.Fitness
    values: tuple[float, ...]


One = TypeVar("One", bound=Selectable)


class Selection(Part, family="selection scheme"):
    """How parents and survivors are selected.

    Attributes:
        fitness: what is maximised.
        plus: whether parents compete with their children, (mu + lambda): ``population`` children
            are bred, and :meth:`survivors` selects among all. Otherwise the elites and the children
            are the next generation.
        niche: rank correlation above which two individuals share a niche; only the best of a niche
            may breed. None means no niches.
    """

    fitness: ClassVar[type[base.Fitness]] = ObjectiveFitness
    plus: ClassVar[bool] = False
    niche: float | None

    def check(self, tasks: Sequence[str], population: int) -> None:
        """Check that the scheme fits a run.

        Args:
            tasks: names of the tasks.
            population: number of individuals of a generation.

        Raises:
            ConfigError: it does not.
        """

    @abstractmethod
    def parents(self, pool: Sequence[One], count: int, parsimony: float) -> list[One]:
        """Return ``count`` parents; an individual of ``pool`` may occur several times.

        Args:
            pool: the candidates.
            count: number of parents.
            parsimony: penalty for each node, for a scheme that uses the values per task, not the
                fitness.
        """

    def survivors(self, population: Sequence[One], size: int) -> list[One]:
        """Return the individuals of the next generation; called if ``plus``.

        Args:
            population: parents and children.
            size: number of individuals of a generation.
        """
        return list(population)


class _Niched(Selection):
    niche: float | None = Field(
        default=0.98,
        gt=0,
        le=1,
        description="rank correlation above which two individuals share a niche",
    )


class Tournament(_Niched, scheme="tournament"):
    """Tournament selection: the best of a few individuals drawn uniformly."""

    size: int = Field(default=3, ge=1, description="drawn for a tournament")

    def parents(self, pool: Sequence[One], count: int, parsimony: float) -> list[One]:
        """Return the winners of ``count`` tournaments."""
        return list(tools.selTournament(pool, count, self.size))


class DoubleTournament(_Niched, scheme="double_tournament"):
    """Double tournament: by fitness, then mostly the smaller of two winners."""

    size: int = Field(
        default=3, ge=1, description="number of individuals in a tournament by fitness"
    )
    parsimony_size: float = Field(
        default=1.4,
        ge=1,
        le=2,
        description="weight of size: 1, size has no effect; 2, the smaller one always wins",
    )

    def parents(self, pool: Sequence[One], count: int, parsimony: float) -> list[One]:
        """Return the winners of ``count`` double tournaments (Luke and Panait 2002)."""
        chosen = tools.selDoubleTournament(
            pool, count, self.size, self.parsimony_size, fitness_first=True
        )
        return list(chosen)


class NSGA2(_Niched, scheme="nsga2"):
    """Two objectives, fitness and size: non-dominated sorting (Deb et al. 2002)."""

    fitness: ClassVar[type[base.Fitness]] = CostFitness
    plus: ClassVar[bool] = True
    size: int = Field(default=3, ge=1, description="drawn for a tournament")

    def parents(self, pool: Sequence[One], count: int, parsimony: float) -> list[One]:
        """Return the winners of ``count`` tournaments, by fitness first, then by size."""
        return list(tools.selTournament(pool, count, self.size))

    def survivors(self, population: Sequence[One], size: int) -> list[One]:
        """Return the best fronts."""
        return list(tools.selNSGA2(population, size))


class MuPlusLambda(Selection, scheme="mu_plus_lambda"):
    """Parents drawn uniformly; tournaments among them and their children select survivors.

    The same as DEAP's ``eaMuPlusLambda``.
    """

    plus: ClassVar[bool] = True
    niche: None = None
    mu: int = Field(default=25, ge=1, description="number of survivors")
    size: int = Field(default=3, ge=1, description="drawn for a tournament")

    def check(self, tasks: Sequence[str], population: int) -> None:
        """Check that there are not more survivors than children."""
        if self.mu > population:
            raise ConfigError(
                f"selection: mu {self.mu} exceeds evolution.population {population}: lower it"
            )

    def parents(self, pool: Sequence[One], count: int, parsimony: float) -> list[One]:
        """Return ``count`` distinct individuals of ``pool``."""
        return random.sample(pool, count)

    def survivors(self, population: Sequence[One], size: int) -> list[One]:
        """Return the winners of tournaments, each among the individuals that have not won yet.

        The first generation, which has no parents, survives completely.
        """
        if len(population) <= size:
            return list(population)
        rest, winners = list(population), list[One]()
        while rest and len(winners) < self.mu:
            (winner,) = tools.selTournament(rest, 1, self.size)
            winners.append(winner)
            rest = [individual for individual in rest if individual is not winner]
        return winners


class Lexicase(_Niched, scheme="lexicase"):
    """Lexicase selection: filter by one task after the other, in a new random order per parent.

    Epsilon-lexicase selection (La Cava, Helmuth, Spector, Moore, "A probabilistic and
    multi-objective analysis of lexicase selection and epsilon-lexicase selection", Evolutionary
    Computation 27(3), 2019): at each task, individuals whose value is within epsilon of the best
    remain. So a specialist of one data set can breed, although its aggregate is low.
    """

    epsilon: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="tolerance at every task; None: the median absolute deviation of the "
        "individuals that remain",
    )

    def check(self, tasks: Sequence[str], population: int) -> None:
        """Check that the run has at least two tasks."""
        if len(tasks) < 2:
            raise ConfigError(
                f"selection: lexicase needs several data sets, and there is only {tasks[0]}: add "
                "data sets or benchmarks, or use tournament"
            )

    def parents(self, pool: Sequence[One], count: int, parsimony: float) -> list[One]:
        """Return parents by DEAP's scheme, which reads one value per task."""
        cases = [
            SimpleNamespace(
                individual=individual,
                fitness=SimpleNamespace(
                    values=[value - parsimony * len(individual) for value in individual.values],
                    weights=[1.0] * len(individual.values),
                ),
            )
            for individual in pool
        ]
        if self.epsilon is None:
            chosen = tools.selAutomaticEpsilonLexicase(cases, count)
        else:
            chosen = tools.selEpsilonLexicase(cases, count, self.epsilon)
        return [case.individual for case in chosen]
