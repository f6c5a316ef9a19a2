"""Scores of a sample that join several proxies by their ranks, whatever their magnitudes.

``rank_sum(a, b, ...)`` is the sum of the ranks over the number of networks, ``log_rank_sum(a, b,
...)`` that of their logarithms: a network that is bad by one of them stays behind. AZ-NAS and VKDNW
agg are sums of logarithms (Lee and Ham, CVPR 2024; Tybl and Neumann, CVPR 2025).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from greenmachine.errors import ConfigError

__all__ = ["RANK_SUMS", "RankSum", "log_rank_sum", "parse_rank_sum", "rank_sum", "split_commas"]

_CALL = re.compile(r"(rank_sum|log_rank_sum)\s*\((.*)\)", re.S)


def rank_sum(components: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Return the sum over the components of rank / networks, a score for every network.

    Args:
        components: by name the scores of one proxy, (networks,), higher is better. A score that is
            not finite = failed ranks below all others; ties share the mean of their ranks.

    Returns:
        (networks,), higher is better. It depends on the sample: scores of two samples do not
        compare.

    Raises:
        ValueError: there is no component, or they are no vectors of one length.
    """
    total: NDArray[np.float64] = _ranks(components).sum(axis=0)
    return total


def log_rank_sum(components: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Return the sum over the components of log(rank / networks), as :func:`rank_sum` does."""
    total: NDArray[np.float64] = np.log(_ranks(components)).sum(axis=0)
    return total


def _ranks(components: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in components.items()}
    shapes = {values.shape for values in scores.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        found = ", ".join(f"{name} {values.shape}" for name, values in scores.items()) or "none"
        raise ValueError(f"ranks need a vector a component, all of one length; found {found}")
    stack = np.stack(list(scores.values()))
    ranks = rankdata(np.where(np.isfinite(stack), stack, -np.inf), axis=1)
    shares: NDArray[np.float64] = ranks / stack.shape[1]
    return shares


RANK_SUMS: dict[str, Callable[[Mapping[str, ArrayLike]], NDArray[np.float64]]] = {
    "rank_sum": rank_sum,
    "log_rank_sum": log_rank_sum,
}
"""By what they are called in a text."""


@dataclass(frozen=True)
class RankSum:
    """A text such as ``rank_sum(nwot, -synflow)``, read.

    Attributes:
        text: as it was given.
        kind: a key of ``RANK_SUMS``.
        components: what is ranked.
        signs: -1 where ``-`` stands before the component: low is good; else 1, the component's own
            direction.
    """

    text: str
    kind: str
    components: tuple[str, ...]
    signs: tuple[int, ...]

    def __call__(self, scores: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Return the joined score, (networks,), higher is better.

        Args:
            scores: by component, (networks,), higher is better.
        """
        pairs = zip(self.components, self.signs, strict=True)
        signed = {name: sign * np.asarray(scores[name], dtype=np.float64) for name, sign in pairs}
        return RANK_SUMS[self.kind](signed)


def parse_rank_sum(text: str) -> RankSum | None:
    """Return the rank sum that ``text`` is; None where it is something else.

    Raises:
        ConfigError: it has fewer than two components, or one twice.
    """
    text = text.strip()
    found = _CALL.fullmatch(text)
    if found is None:
        return None
    parts = split_commas(found[2])
    signs = tuple(-1 if part.startswith("-") else 1 for part in parts)
    names = tuple(part.removeprefix("-").strip() for part in parts)
    if len(names) < 2 or "" in names or len(set(names)) < len(names):
        raise ConfigError(
            f"{text}: give two or more different proxies, such as {found[1]}(nwot, synflow)"
        )
    return RankSum(text, found[1], names, signs)


def split_commas(text: str) -> list[str]:
    """Return the parts of ``text`` between commas; a comma in brackets separates nothing."""
    parts, depth = [""], 0
    for piece in re.split(r"([(),])", text):
        depth += (piece == "(") - (piece == ")")
        if piece == "," and not depth:
            parts.append("")
        else:
            parts[-1] += piece
    return [part.strip() for part in parts]
