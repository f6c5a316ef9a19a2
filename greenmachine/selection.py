"""Selection schemes: who may breed, and who goes on to the next generation.

Each scheme is a part of a search (``parts.py``): ``{scheme: lexicase, niche: 0.95}`` in YAML. A
plugin adds one by deriving from :class:`Selection`. All draw from the global ``random`` module, of
which a run has a state of its own.
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
    """What a scheme sees of an individual; its length is the number of its nodes.

    Attributes:
        fitness: DEAP's, of the scheme's class.
        values: the objective on every task of the training sample.
    """

    fitness: base.Fitness
    values: tuple[float, ...]


One = TypeVar("One", bound=Selectable)


class Selection(Part, family="selection scheme"):
    """How parents are drawn and survivors chosen.

    Attributes:
        fitness: what is maximised.
        plus: whether parents compete with their children, (mu + lambda): ``population`` children
            are bred, and :meth:`survivors` chooses among all. Else the elites and the children are
            the next generation.
        niche: rank correlation above which two individuals share a niche, of which the best alone
            may breed; None lets all of them.
    """

    fitness: ClassVar[type[base.Fitness]] = ObjectiveFitness
    plus: ClassVar[bool] = False
    niche: float | None

    def check(self, tasks: Sequence[str], population: int) -> None:
        """Refuse a run that the scheme does not fit.

        Args:
            tasks: names of the tasks.
            population: individuals of a generation.

        Raises:
            ConfigError: it does not.
        """

    @abstractmethod
    def parents(self, pool: Sequence[One], count: int, parsimony: float) -> list[One]:
        """Return ``count`` parents; one individual of ``pool`` may come several times.

        Args:
            pool: who may be one.
            count: of parents.
            parsimony: what a node costs, for a scheme that goes by tasks and not by fitness.
        """

    def survivors(self, population: Sequence[One], size: int) -> list[One]:
        """Return who goes on; asked where ``plus``.

        Args:
            population: parents and children.
            size: individuals of a generation.
        """
        return list(population)


class _Niched(Selection):
    niche: float | None = Field(
        default=0.98, gt=0, le=1, description="rank correlation above which two share a niche"
    )


class Tournament(_Niched, scheme="tournament"):
    """The best of some drawn evenly."""

    size: int = Field(default=3, ge=1, description="drawn for a tournament")

    def parents(self, pool: Sequence[One], count: int, parsimony: float) -> list[One]:
        """Return the winners of ``count`` tournaments."""
        return list(tools.selTournament(pool, count, self.size))


class DoubleTournament(_Niched, scheme="double_tournament"):
    """Tournaments by fitness, and of two winners mostly the smaller one."""

    size: int = Field(default=3, ge=1, description="drawn for a tournament by fitness")
    parsimony_size: float = Field(
        default=1.4, ge=1, le=2, description="1: size plays no part; 2: the smaller always wins"
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
    """Parents drawn evenly; tournaments among them and their children choose who goes on.

    As DEAP's ``eaMuPlusLambda``.
    """

    plus: ClassVar[bool] = True
    niche: None = None
    mu: int = Field(default=25, ge=1, description="individuals that go on")
    size: int = Field(default=3, ge=1, description="drawn for a tournament")

    def check(self, tasks: Sequence[str], population: int) -> None:
        """Refuse more survivors than there are children."""
        if self.mu > population:
            raise ConfigError(
                f"selection: mu {self.mu} exceeds evolution.population {population}: lower it"
            )

    def parents(self, pool: Sequence[One], count: int, parsimony: float) -> list[One]:
        """Return ``count`` of ``pool``, none twice."""
        return random.sample(pool, count)

    def survivors(self, population: Sequence[One], size: int) -> list[One]:
        """Return the winners of tournaments, each among those that have not won yet.

        The first generation, which has no parents, goes on whole.
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
    """Tasks one after the other, in a new random order for every parent.

    Epsilon-lexicase selection (La Cava, Helmuth, Spector, Moore, "A probabilistic and
    multi-objective analysis of lexicase selection and epsilon-lexicase selection", Evolutionary
    Computation 27(3), 2019): at each task those stay whose value is within epsilon of the best. So
    a specialist of one data set breeds, where an aggregate would pass it over.
    """

    epsilon: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="None: at every task one median absolute deviation of those still there",
    )

    def check(self, tasks: Sequence[str], population: int) -> None:
        """Refuse a run of one task."""
        if len(tasks) < 2:
            raise ConfigError(
                f"selection: lexicase goes by several data sets, and there is {tasks[0]} alone: "
                "add data sets or benchmarks, or take tournament"
            )

    def parents(self, pool: Sequence[One], count: int, parsimony: float) -> list[One]:
        """Return parents by DEAP's scheme, which reads a value a task where we keep their mean."""
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
