"""Proxies that combine the scores of other proxies over the same sample of networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from greenmachine.proxies.zoo.az_nas import az_nas
from greenmachine.proxies.zoo.swap import swap_regularised
from greenmachine.proxies.zoo.vkdnw import AGG, vkdnw_agg

__all__ = ["JOINS", "Join", "joined_scores"]

Scores = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Join:
    """A score that is defined on a sample of networks.

    Attributes:
        components: names of the proxies that it combines.
        function: takes their scores by name, (networks,) each, higher is better; returns
            (networks,), higher is better.
    """

    components: tuple[str, ...]
    function: Callable[[Scores], NDArray[np.float64]]


JOINS: dict[str, Join] = {
    "az_nas": Join(("az_expressivity", "az_progressivity", "az_trainability", "flops"), az_nas),
    "vkdnw_agg": Join(AGG, vkdnw_agg),
    "swap_regularised": Join(
        ("swap", "params"), lambda scores: swap_regularised(scores["swap"], scores["params"])
    ),
}
"""Combinations of the literature, by name."""


def joined_scores(scores: Scores) -> dict[str, NDArray[np.float64]]:
    """Return every combination that can be computed from ``scores``, by name; higher is better.

    A combination whose name is already in ``scores`` is left out.
    """
    return {
        name: join.function({component: scores[component] for component in join.components})
        for name, join in JOINS.items()
        if name not in scores and set(join.components) <= scores.keys()
    }
