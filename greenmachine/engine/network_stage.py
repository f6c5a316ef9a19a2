"""The network stage: from the boundary values of a whole sample to one score per network.

It runs in the main process, on matrices over the batch (layers, B, B) and vectors. These are small
compared with the tensors of the layer stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import cast

import torch
from torch import Tensor

from greenmachine.engine.cache import VectorCache
from greenmachine.engine.graph import EIGENVALUES, Graph, Node, spectrum_of
from greenmachine.engine.layer_stage import apply_node
from greenmachine.language import Expression
from greenmachine.primitives import vocabulary
from greenmachine.primitives.registry import (
    BATCH_MATRIX,
    LAYER_SCALAR,
    NETWORK_MATRIX,
    NETWORK_SCALAR,
    NUMBER,
)

__all__ = ["Known", "Layout", "evaluate_vectors"]

_CHUNK = 2**18  # bytes of one argument over all nodes evaluated together; fits the CPU cache
_WORKSPACE = 2**27  # bytes of the values that are computed before any is freed
_LARGEST_MATRIX = 2**8  # elements; the batch of matrices in this stage is at most 16
_REGISTERS = 16  # rows: two float64 registers of AVX-512, as many as torch loads in one step


class Layout:
    """The positions of each network's layers in a vector of all layers of a sample.

    Networks with the same number of layers form a group. Its layers are beside each other, so that
    aggregations over layers read a slice. The first layer of all is repeated after each group until
    the next multiple of 16, so that every group begins at an aligned address, as a copy of it does:
    torch may round differently elsewhere.

    Args:
        counts: number of layers of each network; 0 if it failed.

    Attributes:
        networks: number of networks.
        layers: length of a vector of all layers.
        groups: for each number of layers, the networks that have it, and the slice of their layers.
            Failed networks are in no group.
        depth: (layers,) float64, 1..L within each network.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.networks = len(counts)
        self.groups: list[tuple[Tensor, slice]] = []
        self._counts = list(counts)
        self._starts = [0] * len(counts)
        self._rows: dict[tuple[int, ...], Tensor] = {}
        end = 0
        depths = [torch.empty(0, dtype=torch.float64)]
        fillers: list[int] = []
        for count in sorted(set(counts) - {0}):
            members = [network for network, layers in enumerate(counts) if layers == count]
            start = end
            for network in members:
                self._starts[network] = end
                end += count
            self.groups.append((torch.tensor(members), slice(start, end)))
            depths.append(torch.arange(1, count + 1, dtype=torch.float64).repeat(len(members)))
            more = -end % _REGISTERS
            depths.append(torch.ones(more, dtype=torch.float64))
            fillers += range(end, end + more)
            end += more
        self.layers = end
        self._fillers = torch.tensor(fillers, dtype=torch.long)
        self.depth = torch.cat(depths)

    def join(self, pieces: Sequence[tuple[list[int], Tensor]], *, per_layer: bool) -> Tensor:
        """Combine the values of the shards, each with its networks.

        Args:
            pieces: networks of a shard, and its values, one network after the other.
            per_layer: whether there is a value for every layer, or one for every network.

        Returns:
            (layers, ...) in the order of this layout, or (networks, ...) in that of the sample.
        """
        # A shard whose networks all failed has neither precision nor size.
        told = [values for _, values in pieces if values.numel()] or [torch.empty(0).double()]
        if per_layer:
            dtype = reduce(torch.promote_types, (values.dtype for values in told))
            joined = torch.full((self.layers, *told[0].shape[1:]), torch.nan, dtype=dtype)
            for networks, values in pieces:
                if values.numel():
                    joined[self._rows_of(networks)] = values.to(dtype)
            if self.layers:
                joined[self._fillers] = joined[0].clone()
            return joined
        joined = torch.full((self.networks, *told[0].shape[1:]), torch.nan, dtype=torch.float64)
        for networks, values in pieces:
            if values.numel():
                joined[networks] = values
        return joined

    def _rows_of(self, networks: list[int]) -> Tensor:
        """Return the positions of the layers of some networks, one network after the other."""
        key = tuple(networks)
        if key not in self._rows:
            starts = ((self._starts[n], self._counts[n]) for n in networks)
            self._rows[key] = torch.cat([torch.arange(at, at + count) for at, count in starts])
        return self._rows[key]


class Known:
    """Values by text that need no evaluation, kept for the lifetime of this object.

    Args:
        caches: where values are looked up; a value that a cache drops later is kept here.
    """

    def __init__(self, *caches: VectorCache) -> None:
        self._caches = caches
        self._held: dict[str, Tensor] = {}

    def get(self, text: str) -> Tensor | None:
        """Return the value of ``text``, or None."""
        found = self._held.get(text)
        if found is None:
            for cache in self._caches:
                found = cache.peek(text)
                if found is not None:
                    self._held[text] = found
                    break
        return found

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and self.get(text) is not None

    def update(self, values: Mapping[str, Tensor]) -> None:
        """Add ``values``."""
        self._held.update(values)


def evaluate_vectors(
    expressions: Sequence[Expression],
    known: Known | Mapping[str, Tensor],
    layout: Layout,
    kept: VectorCache | None = None,
) -> Tensor:
    """Return the scores of every expression, (expressions, networks), computing each node once.

    Nodes with the same primitive are evaluated many at a time. A score is the same bit for bit
    whatever is evaluated together with it.

    Args:
        expressions: canonical, of kind ``NetworkScalar``.
        known: value of every boundary sub-expression, by text, and possibly of others.
        layout: layout of the sample.
        kept: cache that receives the value of every node that is evaluated, except the scores.
    """
    blank = torch.full((len(expressions), layout.networks), torch.nan, dtype=torch.float64)
    if not layout.groups or not expressions:  # all networks failed
        return blank
    places = torch.cat([networks for networks, _ in layout.groups])
    start = 0
    while start < len(expressions):
        batch = _Batch(known, layout)
        roots: list[int] = []
        for expression in expressions[start:]:
            if roots and batch.bytes > _WORKSPACE:
                break
            roots.append(batch.add(expression))
        scores = torch.stack(batch.evaluate(roots, kept))
        blank[start : start + len(roots), places] = scores[:, places]
        start += len(roots)
    return blank


class _Batch:
    """The nodes that some expressions need, by level; arguments are on lower levels.

    Attributes:
        bytes: approximate number of bytes of the values that are to be computed.
    """

    def __init__(self, known: Known | Mapping[str, Tensor], layout: Layout) -> None:
        self._known = known
        self._layout = layout
        self.bytes = 0
        self._texts: list[str] = []
        self._values: list[Tensor | float | None] = []
        self._levels: list[int] = []
        self._sizes: list[int] = []
        self._numbers: dict[str, int] = {}
        self._matrices: list[tuple[int, Expression]] = []
        self._steps: list[dict[_Step, list[tuple[int, list[int]]]]] = []

    def add(self, expression: Expression) -> int:
        """Return the number of the node of ``expression``."""
        text = expression.text
        number = self._numbers.get(text)
        if number is not None:
            return number
        if expression.kind == NUMBER:
            return self._leaf(text, expression.value)
        value = self._known.get(text)
        if value is not None:
            return self._leaf(text, value)
        if not expression.args:  # the only terminal above the boundary
            return self._leaf(text, self._layout.depth)
        kinds = tuple([argument.kind for argument in expression.args])
        if BATCH_MATRIX in kinds:
            number = self._leaf(text, None)
            self._matrices.append((number, expression))
            whole = expression.kind == NETWORK_MATRIX
            networks, layers = self._layout.networks, self._layout.layers
            self._count(number, 8 * (networks * _LARGEST_MATRIX if whole else layers))
            return number
        if vocabulary[expression.op].spectral:
            matrix, *rest = expression.args
            args = [self._spectrum(matrix), *[self.add(a) for a in rest]]
        else:
            args = [self.add(a) for a in expression.args]
        return self._node(text, expression.op, kinds, expression.kind, args)

    def evaluate(self, roots: Sequence[int], kept: VectorCache | None) -> list[Tensor]:
        """Return the values of the nodes ``roots``."""
        of_matrices = [expression for _, expression in self._matrices]
        found = _of_matrices(of_matrices, self._known, self._layout, kept)
        for (number, _), matrix in zip(self._matrices, found, strict=True):
            self._values[number] = matrix
        for steps in self._steps:
            for step, nodes in steps.items():
                self._evaluate(step, nodes)
        if kept is not None:
            scores = set(roots)
            computed = [
                n
                for steps in self._steps
                for (op, _, kind, _), nodes in steps.items()
                if kind != NETWORK_MATRIX or op == EIGENVALUES
                for n, _ in nodes
            ]
            for number in (*(number for number, _ in self._matrices), *computed):
                value = self._values[number]
                if number not in scores and isinstance(value, Tensor):
                    kept.put(self._texts[number], _owned(value))
        return [value for root in roots if isinstance(value := self._values[root], Tensor)]

    def _leaf(self, text: str, value: Tensor | float | None) -> int:
        number = self._numbers[text] = len(self._values)
        self._texts.append(text)
        self._values.append(value)
        self._levels.append(0)
        self._sizes.append(value.nbytes if isinstance(value, Tensor) else 0)
        return number

    def _count(self, number: int, size: int) -> None:
        self._sizes[number] = size
        self.bytes += size

    def _spectrum(self, matrix: Expression) -> int:
        text = spectrum_of(matrix.text)
        number = self._numbers.get(text)
        if number is not None:
            return number
        value = self._known.get(text)
        if value is not None:
            return self._leaf(text, value)
        return self._node(text, EIGENVALUES, (matrix.kind,), matrix.kind, [self.add(matrix)])

    def _node(self, text: str, op: str, kinds: tuple[str, ...], kind: str, args: list[int]) -> int:
        number = self._leaf(text, None)
        level = max([self._levels[argument] for argument in args])
        self._levels[number] = level + 1
        largest = max([self._sizes[argument] for argument in args])
        self._count(number, self._layout.networks * 8 if kind == NETWORK_SCALAR else largest)
        constants = tuple(
            [value for a in args if isinstance(value := self._values[a], float)]
            if NUMBER in kinds
            else ()
        )
        while len(self._steps) <= level:
            self._steps.append({})
        self._steps[level].setdefault((op, kinds, kind, constants), []).append((number, args))
        return number

    def _evaluate(self, step: _Step, nodes: list[tuple[int, list[int]]]) -> None:
        """Evaluate nodes with the same primitive over arguments of the same shape."""
        op, _, kind, _ = step
        node = Node(op, (), kind)
        first = [self._values[argument] for argument in nodes[0][1]]
        widest = max(value.nbytes for value in first if isinstance(value, Tensor))
        together = max(1, _CHUNK // max(widest, 1))
        for start in range(0, len(nodes), together):
            chunk = nodes[start : start + together]
            stacked: list[Tensor | float] = []
            for position, value in enumerate(first):
                if isinstance(value, float):
                    stacked.append(value)
                else:
                    column = [self._values[args[position]] for _, args in chunk]
                    stacked.append(_stacked(cast("list[Tensor]", column)))
            results = _apply(node, stacked, self._layout).unbind(0)
            for (number, _), result in zip(chunk, results, strict=True):
                self._values[number] = result


_Step = tuple[str, tuple[str, ...], str, tuple[float, ...]]
"""Primitive, kinds of its arguments, kind of the result, numbers among the arguments."""


def _of_matrices(
    expressions: Sequence[Expression],
    known: Known | Mapping[str, Tensor],
    layout: Layout,
    kept: VectorCache | None,
) -> list[Tensor]:
    """Return the values of nodes that read matrices of layers, one node at a time.

    These matrices are large, so each is freed after its last use.
    """
    graph = Graph(expressions, stops=known)
    values: dict[int, Tensor | float] = {}
    uses = list(graph.uses)
    for root in graph.roots:
        uses[root] += 1  # the results are read at the end
    for number, node in enumerate(graph.nodes):
        if node.constant is not None:
            values[number] = node.constant
        elif not node.args:
            held = known.get(node.op)
            values[number] = layout.depth if held is None else held
        else:
            args = [values[a] for a in node.args]
            stacked = [a[None] if isinstance(a, Tensor) else a for a in args]
            values[number] = _apply(node, stacked, layout, alone=True)[0]
        if kept is not None and number in graph.spectra:
            kept.put(graph.spectra[number], torch.as_tensor(values[number]))
        for argument in node.args:
            uses[argument] -= 1
            if not uses[argument]:
                values.pop(argument, None)
    return [value for root in graph.roots if isinstance(value := values[root], Tensor)]


def _apply(
    node: Node, args: Sequence[Tensor | float], layout: Layout, *, alone: bool = False
) -> Tensor:
    """Return the values of nodes with the same primitive, (nodes, ...).

    Args:
        node: one of them.
        args: (nodes, ...) each, or numbers.
        layout: layout of the sample.
        alone: whether such nodes are always evaluated one at a time.
    """
    apply = apply_node if alone else _whole_registers
    count = next(len(a) for a in args if isinstance(a, Tensor))
    if node.op == EIGENVALUES or not vocabulary[node.op].across_layers:
        value = apply(node, [a.flatten(0, 1) if isinstance(a, Tensor) else a for a in args])
        value = value.reshape(count, -1, *value.shape[1:])
        return value.double() if node.kind == LAYER_SCALAR else value
    per_layer = node.kind == LAYER_SCALAR
    result = torch.empty(0)
    for networks, rows in layout.groups:
        # Every across-layers primitive takes one value over all layers, and possibly numbers.
        block = [
            _by_network(a[:, rows], count * len(networks)).double() if isinstance(a, Tensor) else a
            for a in args
        ]
        value = apply(node, block)
        if per_layer:
            values = value.reshape(count, -1)
            if not result.numel():
                result = values[:, :1].expand(-1, layout.layers).clone()
            result[:, rows] = values
        else:
            if not result.numel():
                shape = (count, layout.networks, *value.shape[1:])
                result = torch.full(shape, torch.nan, dtype=torch.float64)
            result[:, networks] = value.reshape(count, len(networks), *value.shape[1:])
    return result


def _stacked(values: Sequence[Tensor]) -> Tensor:
    """Return ``values`` as one tensor with a new first dimension, without a copy of one alone."""
    return values[0][None] if len(values) == 1 else torch.stack(list(values))


def _owned(value: Tensor) -> Tensor:
    """Return ``value``, as a copy if it would keep a larger tensor in memory."""
    return value.clone() if value.untyped_storage().nbytes() > 1.5 * value.nbytes else value


def _by_network(values: Tensor, networks: int) -> Tensor:
    """Return (nodes, layers, ...) as (networks, layers of a network, ...)."""
    return values.reshape(networks, -1, *values.shape[2:])


def _whole_registers(node: Node, args: Sequence[Tensor | float]) -> Tensor:
    """Return the value of ``node``, computed on a multiple of 16 rows.

    Torch computes the rows after the last full register with other instructions, which may round
    differently. A value would then depend on how many values are computed together with it.
    """
    rows = next(len(a) for a in args if isinstance(a, Tensor))
    more = -rows % _REGISTERS
    if not more:
        return apply_node(node, args)
    padded = [
        torch.cat([a, a[:1].expand(more, *a.shape[1:])]) if isinstance(a, Tensor) else a
        for a in args
    ]
    return apply_node(node, padded)[:rows]
