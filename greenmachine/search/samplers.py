"""Samplers of a search: those of Optuna, regularised evolution, and exhaustive search.

The parameters of a trial depend only on the seed, the place of the trial in the search, and the
trials that were finished when it was requested. So an interrupted search continues with the same
results, and the number of workers does not change them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from greenmachine.errors import ConfigError

__all__ = ["ABANDONED", "SAMPLERS", "Listed", "Placed", "RegularisedEvolution", "make_sampler"]

SAMPLERS = ("random", "tpe", "nsga2", "evolution", "exhaustive")

ABANDONED = "abandoned"
"""User attribute of trials whose process ended before their results were stored. Samplers ignore
these trials."""


class RegularisedEvolution(BaseSampler):  # type: ignore[misc]  # Optuna is optional
    """Regularised evolution: mutate a good network among the youngest networks.

    Real et al., "Regularized evolution for image classifier architecture search", AAAI 2019. The
    population consists of the last ``population`` finished trials, so an old network is removed
    even if it is good. A parent is the best of ``sample`` networks drawn from the population, and
    its child differs in one parameter. Until there are ``population`` trials, parameters are drawn
    at random.

    Args:
        population: number of networks in the population; 50 here, 100 in the paper.
        sample: number of networks in a tournament; 10 here, 25 in the paper.
        seed: seed of all random numbers.
    """

    def __init__(self, population: int = 50, sample: int = 10, seed: int = 0) -> None:
        if not 1 <= sample <= population:
            raise ConfigError(
                f"a tournament of {sample} needs a population of {sample} or more, not {population}"
            )
        self.population, self.sample = population, sample
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed=int(self._rng.integers(2**31)))
        self._parent: Mapping[str, Any] = {}
        self._mutated: str | None = None

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose the parent and the parameter to mutate."""
        self._parent, self._mutated = {}, None
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(finished) < self.population:
            return
        young = finished[-self.population :]
        drawn = self._rng.choice(len(young), self.sample, replace=False)
        sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
        parent = max((young[i] for i in drawn), key=lambda each: sign * float(each.value or 0.0))
        names = [n for n, d in parent.distributions.items() if not d.single()]
        self._parent = parent.params
        if names:
            self._mutated = names[int(self._rng.integers(len(names)))]

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return nothing: parameters are copied from the parent in ``sample_independent``."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing; see :meth:`infer_relative_search_space`."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the parent's value, or a new one if the parameter is mutated or has no value."""
        own = self._parent.get(param_name)
        inside = param_name in self._parent and _contains(param_distribution, own)
        if inside and param_name != self._mutated:
            return own
        value = own
        for _ in range(100):  # another value may have a low probability
            value = self._random.sample_independent(study, trial, param_name, param_distribution)
            if not inside or value != own:
                break
        return value


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False


class Listed(BaseSampler):  # type: ignore[misc]  # Optuna is optional
    """Return the parameters of a list, one entry per trial.

    Args:
        entries: parameters by name, one entry per trial.
        place: place of the trial in the search.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], place: int) -> None:
        self._params = entries[place] if place < len(entries) else {}

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return nothing: parameters are returned by ``sample_independent``."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing; see :meth:`infer_relative_search_space`."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the value of the entry."""
        return self._params[param_name]


Make = Callable[[int, int], BaseSampler]
"""Function that takes a seed and the place of a trial, and returns the sampler of this trial."""


class Placed(BaseSampler):  # type: ignore[misc]  # Optuna is optional
    """Create a new sampler for every trial, with a seed of its own.

    Args:
        make: function that creates a sampler.
        seed: seed of the search.
    """

    def __init__(self, make: Make, seed: int) -> None:
        self._make, self._seed = make, seed
        self._inner = make(seed, 0)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Create the sampler of this trial."""
        before = study.get_trials(deepcopy=False)[: trial.number]
        place = sum(ABANDONED not in each.user_attrs for each in before)
        seed = int(np.random.SeedSequence([self._seed, place]).generate_state(1)[0]) % 2**31
        self._inner = self._make(seed, place)
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the search space of the sampler of this trial."""
        found: dict[str, BaseDistribution] = self._inner.infer_relative_search_space(study, trial)
        return found

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters that the sampler of this trial draws together."""
        drawn: dict[str, Any] = self._inner.sample_relative(study, trial, search_space)
        return drawn

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the parameter that the sampler of this trial draws."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Pass the result of the trial to its sampler."""
        self._inner.after_trial(study, trial, state, values)


def make_sampler(
    name: str, seed: int, objectives: int, entries: Sequence[Mapping[str, Any]] = ()
) -> BaseSampler:
    """Return a sampler by its name.

    Args:
        name: one of ``SAMPLERS``.
        seed: seed of the search.
        objectives: number of objectives.
        entries: parameters of all architectures, for ``exhaustive``.

    Raises:
        ConfigError: there is no such sampler, or it supports only one objective.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    makers: dict[str, Make] = {
        "random": lambda seed, place: RandomSampler(seed=seed),
        "tpe": lambda seed, place: TPESampler(seed=seed),
        "nsga2": lambda seed, place: NSGAIISampler(seed=seed),
        "evolution": lambda seed, place: RegularisedEvolution(seed=seed),
        "exhaustive": lambda seed, place: Listed(entries, place),
    }
    if name not in makers:
        raise ConfigError(f"no sampler {name!r}: choose one of {', '.join(SAMPLERS)}")
    if name == "evolution" and objectives > 1:
        raise ConfigError("evolution is for one objective: of several take nsga2 or tpe")
    return Placed(makers[name], seed)
