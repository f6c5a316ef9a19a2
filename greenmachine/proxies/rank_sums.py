"""Combine several proxies by the ranks of their scores, so that magnitudes do not matter.

``rank_sum(a, b, ...)`` is Σ rank/n over the components, for n networks. ``log_rank_sum(a, b, ...)``
is Σ log(rank/n), which penalises a network that ranks low by any one component. AZ-NAS and
VKDNW_agg are sums of logarithms (Lee and Ham, CVPR 2024; Tybl and Neumann, CVPR 2025).

A combined score depends on the set of networks that is ranked, so scores from two sets cannot be
compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from greenmachine.errors import ConfigError

__all__ = ["RANK_SUMS", "RankSum", "log_rank_sum", "parse_rank_sum", "rank_sum", "split_commas"]

_CALL = re.compile(r"(rank_sum|log_rank_sum)\s*\(")
_DEEPEST = 20  # largest depth of nested rank sums


def rank_sum(components: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Return the sum over the components of rank / networks, a score for every network.

    Args:
        components: the scores of each proxy by name, (networks,), higher is better. A score that is
            not finite ranks below all others; ties share the mean of their ranks.

    Returns:
        (networks,), higher is better. The values depend on the set of networks, so values from two
        sets cannot be compared.

    Raises:
        ValueError: there is no component, or the components are not vectors of equal length.
    """
    ranks = _ranks(components)
    # Ranks are multiples of 1/2 and add up exactly, so networks with the same ranks tie exactly.
    total: NDArray[np.float64] = ranks.sum(axis=0) / ranks.shape[1]
    return total


def log_rank_sum(components: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Return the sum over the components of log(rank / networks); see :func:`rank_sum`."""
    ranks = _ranks(components)
    total: NDArray[np.float64] = np.log(ranks / ranks.shape[1]).sum(axis=0)
    return total


def _ranks(components: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Return the ranks, (components, networks); 1 is the lowest."""
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in components.items()}
    shapes = {values.shape for values in scores.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        found = ", ".join(f"{name} {values.shape}" for name, values in scores.items()) or "none"
        raise ValueError(f"ranks need vectors of one length, one per component; found {found}")
    stack = np.stack(list(scores.values()))
    ranks: NDArray[np.float64] = rankdata(
        np.where(np.isfinite(stack), stack, -np.inf), axis=1
    ).astype(np.float64)
    return ranks


RANK_SUMS: dict[str, Callable[[Mapping[str, ArrayLike]], NDArray[np.float64]]] = {
    "rank_sum": rank_sum,
    "log_rank_sum": log_rank_sum,
}
"""Functions by their name in a text."""


@dataclass(frozen=True)
class RankSum:
    """A parsed text such as ``rank_sum(nwot, -synflow)``.

    Attributes:
        kind: a key of ``RANK_SUMS``.
        components: names of proxies, or further rank sums over the same networks.
        signs: -1 if ``-`` is before the component, which turns its direction; otherwise 1.
        name: name of a published rank sum, such as ``az_nas``; empty for others.
    """

    kind: str
    components: tuple[str | RankSum, ...]
    signs: tuple[int, ...]
    name: str = ""

    @property
    def text(self) -> str:
        """Its name, or its text in canonical form, whatever spaces the user wrote."""
        if self.name:
            return self.name
        signed = ("-" * (s < 0) + str(c) for c, s in zip(self.components, self.signs, strict=True))
        return f"{self.kind}({', '.join(signed)})"

    @property
    def leaves(self) -> tuple[str, ...]:
        """The names of all proxies in it, without duplicates."""
        found = [c.leaves if isinstance(c, RankSum) else (c,) for c in self.components]
        return tuple(dict.fromkeys(name for names in found for name in names))

    def renamed(self, names: Mapping[str, str]) -> RankSum:
        """Return the same rank sum with other names for its proxies."""
        components = tuple(
            c.renamed(names) if isinstance(c, RankSum) else names.get(c, c) for c in self.components
        )
        return replace(self, components=components)

    def __call__(self, scores: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Return the combined score, (networks,), higher is better.

        Args:
            scores: the scores of each leaf, (networks,), higher is better.
        """
        signed = {}
        for component, sign in zip(self.components, self.signs, strict=True):
            values = component(scores) if isinstance(component, RankSum) else scores[component]
            signed[str(component)] = sign * np.asarray(values, dtype=np.float64)
        return RANK_SUMS[self.kind](signed)

    def __str__(self) -> str:
        return self.text


def parse_rank_sum(text: str, named: Mapping[str, RankSum] | None = None) -> RankSum | None:
    """Parse ``text`` as a rank sum; return None if it is something else.

    Args:
        text: such as ``rank_sum(nwot, -synflow)``; a component may be a rank sum.
        named: rank sums by their name.

    Raises:
        ConfigError: brackets do not match, there are fewer than two components, or a component
            occurs twice.
    """
    return _parse(text.strip(), named or {}, 0)


def _parse(text: str, named: Mapping[str, RankSum], depth: int) -> RankSum | None:
    if text in named:
        return named[text]
    found = _CALL.match(text)
    if found is None:
        return None
    inner = text[found.end() : -1]
    shown = text[:200]
    if not text.endswith(")") or not _balanced(inner):
        raise ConfigError(f"{shown}: its brackets do not match: write {found[1]}(nwot, synflow)")
    if depth > _DEEPEST:
        raise ConfigError(f"{shown}: rank sums are nested in more than {_DEEPEST} others")
    parts = split_commas(inner)
    signs = tuple(-1 if part.startswith("-") else 1 for part in parts)
    names = [part.removeprefix("-").strip() for part in parts]
    components = tuple(_parse(name, named, depth + 1) or name for name in names)
    if len(names) < 2 or "" in names or len(set(map(str, components))) < len(names):
        raise ConfigError(
            f"{shown}: give two or more different proxies, such as {found[1]}(nwot, synflow)"
        )
    return RankSum(found[1], components, signs)


def _balanced(text: str) -> bool:
    """Whether the brackets in ``text`` match."""
    depth = 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return False
    return depth == 0


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
