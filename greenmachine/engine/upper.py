"""The upper floor: from boundary values of a whole sample to one score per network.

In the main process: matrices over the batch (layers, B, B) and vectors, all small beside what the
lower floor reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from greenmachine.engine.graph import EIGENVALUES, Graph, Node
from greenmachine.engine.lower import apply_node, network_groups
from greenmachine.language import Expression
from greenmachine.primitives import vocabulary
from greenmachine.primitives.registry import LAYER_SCALAR

__all__ = ["Layout", "evaluate_vectors"]


class Layout:
    """Where the layers of every network of a sample stand in a vector of all layers.

    Args:
        counts: layers of each network; 0 where it failed.

    Attributes:
        networks: number of networks.
        layers: number of layers in all.
        groups: see :func:`network_groups`.
        depth: (layers,) float64, 1..L within each network.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.networks = len(counts)
        self.layers = sum(counts)
        self.groups = network_groups(counts)
        self._starts = torch.tensor([0, *counts]).cumsum(0).tolist()
        depths = [torch.arange(1, count + 1, dtype=torch.float64) for count in counts]
        self.depth = torch.cat(depths) if depths else torch.empty(0, dtype=torch.float64)

    def join(self, pieces: Sequence[tuple[list[int], Tensor]], *, per_layer: bool) -> Tensor:
        """Put the values of the shards, each with its networks, in the sample's order."""
        # A shard whose networks all failed knows neither precision nor size.
        told = [values for _, values in pieces if values.numel()] or [torch.empty(0).double()]
        if per_layer:
            dtype = reduce(torch.promote_types, (values.dtype for values in told))
            joined = torch.full((self.layers, *told[0].shape[1:]), torch.nan, dtype=dtype)
            for networks, values in pieces:
                if not values.numel():
                    continue
                at = 0
                for network in networks:
                    first, last = self._starts[network], self._starts[network + 1]
                    joined[first:last] = values[at : at + last - first]
                    at += last - first
            return joined
        joined = torch.full((self.networks, *told[0].shape[1:]), torch.nan, dtype=torch.float64)
        for networks, values in pieces:
            if values.numel():
                joined[networks] = values
        return joined


def evaluate_vectors(
    expressions: Sequence[Expression], boundary: Mapping[str, Tensor], layout: Layout
) -> list[Tensor]:
    """Return the score vector (networks,) of every expression; every distinct node once.

    Args:
        expressions: canonical, of kind ``NetworkScalar``.
        boundary: value of every boundary sub-expression, by text.
        layout: of the sample.
    """
    blank = torch.full((layout.networks,), torch.nan, dtype=torch.float64)
    if not layout.groups:  # all networks failed
        return [blank] * len(expressions)
    graph = Graph(expressions, stops=boundary)
    values: dict[int, Tensor | float] = {}
    uses = list(graph.uses)
    for root in graph.roots:
        uses[root] += 1  # the results are read at the end
    for number, node in enumerate(graph.nodes):
        if node.constant is not None:
            values[number] = node.constant
        elif node.op in boundary:
            values[number] = boundary[node.op]
        elif not node.args:
            values[number] = layout.depth  # the only terminal above the boundary
        else:
            values[number] = _apply(node, [values[a] for a in node.args], layout)
        for argument in node.args:
            uses[argument] -= 1
            if not uses[argument]:
                values.pop(argument, None)
    scored = torch.zeros(layout.networks, dtype=torch.bool)
    for networks, _ in layout.groups:
        scored[networks] = True
    results = []
    for root in graph.roots:
        value = values[root]
        assert isinstance(value, Tensor)
        results.append(torch.where(scored, value, blank))
    return results


def _apply(node: Node, args: list[Tensor | float], layout: Layout) -> Tensor:
    if node.op == EIGENVALUES or not vocabulary[node.op].across_layers:
        value = apply_node(node, args)
        return value.double() if node.kind == LAYER_SCALAR else value
    per_layer = node.kind == LAYER_SCALAR
    result = torch.empty(0)
    for networks, rows in layout.groups:
        # Every across-layers primitive takes one value of all layers, and maybe numbers.
        block = [a[rows].double() if isinstance(a, Tensor) else a for a in args]
        value = apply_node(node, block)
        if not result.numel():
            shape = (layout.layers,) if per_layer else (layout.networks, *value.shape[1:])
            result = torch.full(shape, torch.nan, dtype=torch.float64)
        result[rows if per_layer else networks] = value
    return result
