"""Scores over several seeds: mean, spread, and the loss of tau when only one seed is used.

A seed determines the initial weights of a network, its noise images and its mini-batch. So a score
of one seed contains random variation, and the mean over several seeds contains less of it.
:func:`seed_table` measures how much tau this costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata
from torch import nn

from greenmachine.errors import ConfigError
from greenmachine.evaluation.score_file import seed_column, seed_columns
from greenmachine.fitness import directed_tau
from greenmachine.neutral import neutral, seeded

__all__ = [
    "OF_SEEDS",
    "SeedScore",
    "check_seeds",
    "columns_of_seeds",
    "deviation",
    "initialised",
    "seed_spread",
    "seed_table",
]

Floats = npt.NDArray[np.float64]

OF_SEEDS = ("seeds", "tau_one_seed", "deviation_one_seed", "gain_of_mean", "tau_between_seeds")
"""Columns of :func:`seed_table`, without ``proxy``."""


def check_seeds(seeds: int) -> int:
    """Check and return the number of seeds.

    Raises:
        ConfigError: it is not an integer, or it is less than 1.
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int | np.integer) or seeds < 1:
        raise ConfigError(f"seeds is {seeds!r}: give the number of seeds, 1 or more, such as 5")
    return int(seeds)


def deviation(values: npt.ArrayLike) -> float:
    """Return the standard deviation of a sample (n - 1); NaN for fewer than two numbers."""
    found = np.asarray(values, dtype=np.float64)
    if len(found) < 2:
        return float("nan")
    with np.errstate(invalid="ignore"):  # infinities
        return float((found - found[0]).std(ddof=1))  # exactly 0 for equal numbers


def _mean(scores: Floats) -> Floats:
    """Return the mean over the first axis; the mean of equal scores is exactly this score."""
    with np.errstate(invalid="ignore"):  # infinities of both signs
        found: Floats = np.where((scores == scores[0]).all(axis=0), scores[0], scores.mean(axis=0))
    return found


@dataclass(frozen=True)
class SeedScore:
    """The scores of one network with several seeds; ``float()`` returns their mean.

    Attributes:
        scores: scores by seed; NaN if the proxy has no value.
    """

    scores: Mapping[int, float]

    @property
    def mean(self) -> float:
        """The mean; NaN if the score of a seed is missing."""
        return float(_mean(np.array([*self.scores.values()], dtype=np.float64)))

    @property
    def deviation(self) -> float:
        """The standard deviation over the seeds (n - 1); NaN for one seed."""
        return deviation([*self.scores.values()])

    def __float__(self) -> float:
        return self.mean

    def __repr__(self) -> str:
        return f"<SeedScore {self.mean:.6g} ± {self.deviation:.2g} over {len(self.scores)} seeds>"


def initialised(model: nn.Module | Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return ``model``, or the network that it builds with initial weights drawn from ``seed``.

    Raises:
        ConfigError: ``model`` is neither a network nor a function that builds one.
    """
    if isinstance(model, nn.Module):
        return model
    if not callable(model):
        raise ConfigError(
            f"the network is {type(model).__name__}, not a torch.nn.Module, nor a function that "
            "builds one"
        )
    with neutral(), seeded(seed):
        built = model()
    if not isinstance(built, nn.Module):
        name = getattr(model, "__name__", type(model).__name__)
        raise ConfigError(f"{name}() returns {type(built).__name__}, not a torch.nn.Module")
    return built


def columns_of_seeds(name: str, scores: Floats, seeds: Sequence[int]) -> dict[str, Floats]:
    """Return the columns of a score file for one proxy.

    Args:
        name: name of the proxy.
        scores: (seeds, networks); NaN means that scoring failed.
        seeds: seed of each row.

    Returns:
        The mean, which is NaN if one seed failed, and with several seeds the scores of each.
    """
    if len(seeds) == 1:
        return {name: scores[0]}
    return {
        name: _mean(scores),
        **{seed_column(name, seed): row for seed, row in zip(seeds, scores, strict=True)},
    }


def seed_table(
    frame: pd.DataFrame, accuracy: Floats, directions: Mapping[str, int]
) -> pd.DataFrame:
    """Measure how well a single seed ranks, for every proxy with several seeds.

    Args:
        frame: scores with one column per proxy, and columns of seeds (``score_file.py``).
        accuracy: (networks,) true accuracies in percent.
        directions: directions of the proxies.

    Returns:
        ``proxy``; ``seeds``, the number of seeds; ``tau_one_seed`` and ``deviation_one_seed``, the
        mean and standard deviation over the seeds of tau-b of one seed's scores; ``gain_of_mean``,
        tau of the mean score minus ``tau_one_seed``; and ``tau_between_seeds``, the mean tau-b
        between the scores of two seeds over all pairs, which is 1 if the seed does not matter.
        Failed networks rank below all others. A value is NaN if all scores of a seed are tied.
    """
    rows: list[dict[str, Any]] = []
    for name, columns in seed_columns(frame).items():
        if name not in directions or len(columns) < 2:
            continue
        direction = directions[name]
        scores = frame[columns].to_numpy(dtype=np.float64).T
        taus = directed_tau(scores, accuracy, direction)
        mean = frame[name].to_numpy(dtype=np.float64)
        together = float(directed_tau(mean[None], accuracy, direction)[0])
        rows.append(
            {
                "proxy": name,
                "seeds": len(columns),
                "tau_one_seed": float(taus.mean()),
                "deviation_one_seed": deviation(taus),
                "gain_of_mean": together - float(taus.mean()),
                "tau_between_seeds": _between(scores, direction),
            }
        )
    return pd.DataFrame(rows, columns=["proxy", *OF_SEEDS])


def _between(scores: Floats, direction: int) -> float:
    ranks = rankdata(np.where(np.isfinite(scores), direction * scores, -np.inf), axis=1)
    pairs = combinations(range(len(ranks)), 2)
    taus = [directed_tau(ranks[i][None], ranks[j], 1)[0] for i, j in pairs]
    return float(np.mean(taus))


def seed_spread(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network and proxy: mean, deviation, and the scores of the seeds.

    Args:
        frame: scores of a few networks, with ``index`` and columns of seeds.
    """
    rows = [
        {
            "index": network["index"],
            "proxy": name,
            "mean": network[name],
            "deviation": deviation([network[column] for column in columns]),
            **{column.removeprefix(f"{name}."): network[column] for column in columns},
        }
        for network in frame.to_dict("records")
        for name, columns in seed_columns(frame).items()
    ]
    return pd.DataFrame(rows)
