"""Combine several proxies by the ranks of their scores, so that magnitudes do not matter.

``rank_sum(a, b, ...)`` is Σ rank/n over the components, for n networks. ``log_rank_sum(a, b, ...)``
is Σ log(rank/n), which penalises a network that ranks low by any one component. AZ-NAS and
VKDNW_agg are sums of logarithms (Lee and Ham, CVPR 2024; Tybl and Neumann, CVPR 2025).
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
        components: the scores of each proxy by name, (networks,), higher is better. A score that is
            not finite ranks below all others; ties share the mean of their ranks.

    Returns:
        (networks,), higher is better. The values depend on the sample: those of two samples cannot
        be compared.

    Raises:
        ValueError: there is no component, or they are not vectors of one length.
    """
    total: NDArray[np.float64] = _ranks(components).sum(axis=0)
    return total


def log_rank_sum(components: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Return the sum over the components of log(rank / networks); see :func:`rank_sum`."""
    total: NDArray[np.float64] = np.log(_ranks(components)).sum(axis=0)
    return total


def _ranks(components: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in components.items()}
    shapes = {values.shape for values in scores.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        found = ", ".join(f"{name} {values.shape}" for name, values in scores.items()) or "none"
        raise ValueError(f"ranks need vectors of one length, one per component; found {found}")
    stack = np.stack(list(scores.values()))
    ranks = rankdata(np.where(np.isfinite(stack), stack, -np.inf), axis=1)
    shares: NDArray[np.float64] = ranks / stack.shape[1]
    return shares


RANK_SUMS: dict[str, Callable[[Mapping[str, ArrayLike]], NDArray[np.float64]]] = {
    "rank_sum": rank_sum,
    "log_rank_sum": log_rank_sum,
}
"""The functions by their name in a text."""


@dataclass(frozen=True)
class RankSum:
    """A parsed text such as ``rank_sum(nwot, -synflow)``.

    Attributes:
        text: the text as given.
        kind: a key of ``RANK_SUMS``.
        components: names of the proxies that are ranked.
        signs: -1 if ``-`` stands before the component, so low scores rank high; else 1, which means
            the component's own direction.
    """

    text: str
    kind: str
    components: tuple[str, ...]
    signs: tuple[int, ...]

    def __call__(self, scores: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Return the combined score, (networks,), higher is better.

        Args:
            scores: the scores of each component, (networks,), higher is better.
        """
        pairs = zip(self.components, self.signs, strict=True)
        signed = {name: sign * np.asarray(scores[name], dtype=np.float64) for name, sign in pairs}
        return RANK_SUMS[self.kind](signed)


def parse_rank_sum(text: str) -> RankSum | None:
    """Parse ``text`` as a rank sum; return None if it is something else.

    Raises:
        ConfigError: it has fewer than two components, or a component twice.
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
    """Split ``text`` at its commas, except those inside brackets."""
    parts, depth = [""], 0
    for piece in re.split(r"([(),])", text):
        depth += (piece == "(") - (piece == ")")
        if piece == "," and not depth:
            parts.append("")
        else:
            parts[-1] += piece
    return [part.strip() for part in parts]
