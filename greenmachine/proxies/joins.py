"""Proxies that rank a sample: each joins the scores of others over the same networks."""

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
    """A score of a sample.

    Attributes:
        components: names of the proxies that it joins.
        function: takes their scores, (networks,) each and higher is better, by name; returns
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
"""By name."""


def joined_scores(scores: Scores) -> dict[str, NDArray[np.float64]]:
    """Return what can be joined of ``scores``, higher is better, by the name of the join.

    A join whose name is there already is left out: it was made elsewhere.
    """
    return {
        name: join.function({component: scores[component] for component in join.components})
        for name, join in JOINS.items()
        if name not in scores and set(join.components) <= scores.keys()
    }
