"""The expressions of a bank: every part of a score that reads tensors, as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from greenmachine.engine.graph import LOWER_KINDS, boundary_of
from greenmachine.engine.layer_stage import evaluate_shard
from greenmachine.engine.network_stage import Layout, evaluate_vectors
from greenmachine.language import Expression, canonical
from greenmachine.language.kinds import terminals_of
from greenmachine.primitives.registry import NETWORK_MATRIX, NETWORK_SCALAR
from greenmachine.signals.shard import Shard

__all__ = ["Sieve", "evaluate_leaves", "leaves_of", "readable"]

_BELOW = LOWER_KINDS | {NETWORK_MATRIX}
_DIGITS = 6  # two expressions that agree everywhere to so many digits count as one


def leaves_of(expressions: Iterable[Expression]) -> list[Expression]:
    """Return the distinct sub-expressions that a bank stores, in order of appearance.

    They are of kind ``LayerScalar``, or of kind ``NetworkScalar`` if they read the sum of matrices
    over the layers of a network.

    Args:
        expressions: expressions of any kind.
    """
    return boundary_of([canonical(expression) for expression in expressions], _BELOW)


def readable(leaves: Iterable[Expression], passes: Sequence[str]) -> list[Expression]:
    """Return the expressions that read only signals of ``passes``."""
    terminals = {*terminals_of(passes)}
    return [leaf for leaf in leaves if leaf.terminals <= terminals]


def evaluate_leaves(shard: Shard, leaves: Sequence[Expression]) -> list[Tensor]:
    """Return the values of ``leaves`` on a shard, float64.

    Returns:
        (layers,) in the shard's order for a ``LayerScalar``, (networks,) for a ``NetworkScalar``.
    """
    boundary = boundary_of(leaves, LOWER_KINDS)
    with torch.no_grad():
        values = evaluate_shard(shard, boundary)
        found = {each.text: value for each, value in zip(boundary, values, strict=True)}
        layout = Layout(shard.layer_counts)
        networks = list(range(layout.networks))
        known = {
            each.text: layout.join(
                [(networks, found[each.text])], per_layer=each.kind != NETWORK_MATRIX
            )
            for each in boundary
        }
        whole = [leaf for leaf in leaves if leaf.kind == NETWORK_SCALAR]
        scores = evaluate_vectors(whole, known, layout)
    found |= {leaf.text: score for leaf, score in zip(whole, scores, strict=True)}
    return [found[leaf.text] for leaf in leaves]


class Sieve:
    """Keeps an expression if its values vary and differ from those of all earlier expressions.

    It rejects expressions that are not finite on half of the layers, that are constant, or that
    agree everywhere, to six digits, with an earlier expression.

    Args:
        shard: some networks on which expressions are tested.
    """

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._seen: set[str] = set()

    def passed(self, leaves: Sequence[Expression]) -> list[Expression]:
        """Return the expressions that are kept, in order."""
        found = []
        for leaf, vector in zip(leaves, evaluate_leaves(self._shard, leaves), strict=True):
            finite = vector[torch.isfinite(vector)]
            told = " ".join(f"{value:.{_DIGITS}g}" for value in vector.tolist())
            varies = 2 * len(finite) > len(vector) and bool((finite != finite[0]).any())
            if varies and told not in self._seen:
                found.append(leaf)
                self._seen.add(told)
        return found
