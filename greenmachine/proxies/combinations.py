"""Proxies that combine the scores of other proxies over the same set of networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from greenmachine.proxies.rank_sums import RankSum, parse_rank_sum
from greenmachine.proxies.zoo.az_nas import COMPONENTS
from greenmachine.proxies.zoo.swap import swap_regularised
from greenmachine.proxies.zoo.vkdnw import AGG

__all__ = ["COMBINATIONS", "PUBLISHED", "Combination", "combined_scores", "read_rank_sum"]

Scores = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Combination:
    """A score that is defined on a set of networks.

    Attributes:
        components: names of the proxies that it combines.
        function: function of their scores by name, (networks,) each, higher is better. It returns
            (networks,), higher is better.
    """

    components: tuple[str, ...]
    function: Callable[[Scores], NDArray[np.float64]]


PUBLISHED: dict[str, RankSum] = {
    name: RankSum("log_rank_sum", components, (1,) * len(components), name)
    for name, components in (("az_nas", COMPONENTS), ("vkdnw_agg", AGG))
}
"""Rank sums from the literature, by name."""

COMBINATIONS: dict[str, Combination] = {
    **{name: Combination(found.leaves, found) for name, found in PUBLISHED.items()},
    "swap_regularised": Combination(
        ("swap", "params"), lambda scores: swap_regularised(scores["swap"], scores["params"])
    ),
}
"""Combinations from the literature, by name."""


def read_rank_sum(text: str) -> RankSum | None:
    """Parse ``text`` as a rank sum or the name of a published one; return None for other texts.

    Raises:
        ConfigError: see ``parse_rank_sum``.
    """
    return parse_rank_sum(text, PUBLISHED)


def combined_scores(scores: Scores) -> dict[str, NDArray[np.float64]]:
    """Return every combination that can be computed from ``scores``, by name; higher is better.

    A combination whose name is already in ``scores`` is left out.
    """
    return {
        name: combination.function(
            {component: scores[component] for component in combination.components}
        )
        for name, combination in COMBINATIONS.items()
        if name not in scores and set(combination.components) <= scores.keys()
    }
