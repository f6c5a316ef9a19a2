"""Networks with their accuracies and scores, as the tables evaluate them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Pool"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """Networks with their accuracies and scores.

    Attributes:
        accuracy: (n,) test accuracies in percent.
        scores: (n,) by proxy, higher is better for all; a score that is not finite means failed.
            Names of baselines are in brackets.
    """

    accuracy: Floats
    scores: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.accuracy)

    def matrix(self) -> Floats:
        """Return the scores, (proxies, n), with minus infinity for failed networks."""
        stack = np.stack(list(self.scores.values()))
        return np.where(np.isfinite(stack), stack, -np.inf)

    def only(self, chosen: Callable[[str], bool]) -> Pool:
        """Return the same networks with only the proxies whose names are ``chosen``."""
        return Pool(self.accuracy, {n: values for n, values in self.scores.items() if chosen(n)})

    def part(self, chosen: npt.NDArray[np.bool_]) -> Pool:
        """Return the networks where ``chosen`` (n,) is true."""
        scores = {name: values[chosen] for name, values in self.scores.items()}
        return Pool(self.accuracy[chosen], scores)
