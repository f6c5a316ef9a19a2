"""The cells of NAS-Bench-101 (Ying et al., ICML 2019).

An architecture is one cell, written as ``100110100001001010101;3m331``. Before the semicolon are
the bits of the upper triangle of the adjacency matrix of its vertices, row by row. After it is the
operation of every vertex between input and output: ``3`` a 3×3 convolution, ``1`` a 1×1
convolution, ``m`` a 3×3 max pool. The benchmark has up to 7 vertices and 9 edges. Vertices that do
not lie on a path from input to output are removed, because they are not part of the network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from greenmachine.errors import ConfigError, DataError
from greenmachine.networks.blocks import conv_bn_relu

__all__ = [
    "CELLS_A_STACK",
    "STACKS",
    "Cell101",
    "build_101",
    "cell_widths",
    "hash_101",
    "parse_101",
    "program_101",
]

STACKS, CELLS_A_STACK = 3, 3

# The labels of operations in the benchmark's hash.
_LABELS = {"3": 0, "1": 1, "m": 2}


@dataclass(frozen=True)
class Cell101:
    """A cell without the vertices that lie on no path.

    Attributes:
        edges: (source, target) in order; vertex 0 is the input, the last one the output.
        ops: operations of the vertices between them, each ``3``, ``1`` or ``m``.
    """

    edges: tuple[tuple[int, int], ...]
    ops: str

    @property
    def last(self) -> int:
        """Number of the output vertex."""
        return len(self.ops) + 1

    def sources(self, target: int) -> list[int]:
        """Return the vertices that ``target`` reads, in order."""
        return [source for source, to in self.edges if to == target]

    def targets(self, source: int) -> list[int]:
        """Return the vertices that read ``source``, in order."""
        return [to for start, to in self.edges if start == source]


def parse_101(arch: str) -> Cell101:
    """Return the pruned cell of ``arch``.

    Raises:
        DataError: ``arch`` is not a cell of this space, or its input does not reach its output.
    """
    bits, _, ops = arch.partition(";")
    vertices = len(ops) + 2
    unknown = [op for op in ops if op not in _LABELS]
    if unknown:
        raise DataError(f"cell {arch!r}: unknown operation {unknown[0]!r}; known: 3, 1, m")
    if len(bits) != vertices * (vertices - 1) // 2 or set(bits) - {"0", "1"}:
        raise DataError(
            f"cell {arch!r} has {len(ops)} operations, so it needs "
            f"{vertices * (vertices - 1) // 2} bits, 0 or 1, before the semicolon"
        )
    pairs = [(s, t) for s in range(vertices) for t in range(s + 1, vertices)]
    edges = [pair for pair, bit in zip(pairs, bits, strict=True) if bit == "1"]
    reached, read = {0}, {vertices - 1}
    # Sources come before targets, so one forward and one backward pass find all of both.
    for source, target in edges:
        if source in reached:
            reached.add(target)
    for source, target in reversed(edges):
        if target in read:
            read.add(source)
    kept = sorted(reached & read)
    if not {0, vertices - 1} <= set(kept):
        raise DataError(f"cell {arch!r}: its input does not reach its output")
    number = {vertex: place for place, vertex in enumerate(kept)}
    return Cell101(
        edges=tuple((number[s], number[t]) for s, t in edges if s in number and t in number),
        ops="".join(ops[vertex - 1] for vertex in kept[1:-1]),
    )


def program_101(arch: str) -> str:
    """Return the pruned cell as text; cells with the same text are the same network.

    Raises:
        DataError: ``arch`` is not a cell of this space.
    """
    cell = parse_101(arch)
    edges = set(cell.edges)
    pairs = ((s, t) for s in range(cell.last + 1) for t in range(s + 1, cell.last + 1))
    return "".join("01"[pair in edges] for pair in pairs) + f";{cell.ops}"


def hash_101(arch: str) -> str:
    """Return the benchmark's own key of a cell, 32 hexadecimal digits, equal for isomorphic cells.

    This is the rule of the published tables. The key of each vertex starts as the hash of its
    degrees and operation; in as many rounds as there are vertices, it is hashed with the keys of
    its neighbours.

    Raises:
        DataError: ``arch`` is not a cell of this space.
    """
    cell = parse_101(arch)
    vertices = range(cell.last + 1)
    labels = [-1, *(_LABELS[op] for op in cell.ops), -2]
    sources = [cell.sources(vertex) for vertex in vertices]
    targets = [cell.targets(vertex) for vertex in vertices]
    keys = [_md5(str((len(targets[v]), len(sources[v]), labels[v]))) for v in vertices]
    for _ in vertices:
        keys = [
            _md5(
                "".join(sorted(keys[w] for w in sources[v]))
                + "|"
                + "".join(sorted(keys[w] for w in targets[v]))
                + "|"
                + keys[v]
            )
            for v in vertices
        ]
    return _md5(str(sorted(keys)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def cell_widths(cell: Cell101, inputs: int, outputs: int) -> list[int]:
    """Return the number of channels of every vertex of a cell.

    The vertices that the output reads share its width evenly, and the first ones take the
    remainder. Every other vertex has the largest width among the vertices that read it.

    Raises:
        ConfigError: a vertex would have no channel.
    """
    widths = [inputs, *(0 for _ in cell.ops), outputs]
    shared = [source for source in cell.sources(cell.last) if source]
    if not shared:
        return widths
    if outputs < len(shared):
        raise ConfigError(
            f"a cell of {outputs} channels cannot be shared by {len(shared)} vertices: "
            "choose a greater width"
        )
    for place, vertex in enumerate(shared):
        widths[vertex] = outputs // len(shared) + (place < outputs % len(shared))
    for vertex in range(cell.last - 1, 0, -1):
        if not widths[vertex]:
            widths[vertex] = max(widths[target] for target in cell.targets(vertex))
    return widths


class Cell(nn.Module):
    """One cell: (B, inputs, H, W) to (B, outputs, H, W).

    A vertex is applied to the sum of its inputs. A wider input is truncated to the width of the
    vertex, and the input of the cell passes through a 1×1 convolution. The output concatenates its
    inputs along the channels, and adds the projected cell input if there is an edge from it.
    """

    def __init__(self, cell: Cell101, inputs: int, outputs: int) -> None:
        super().__init__()
        self.cell = cell
        self.widths = cell_widths(cell, inputs, outputs)
        self.projections = nn.ModuleDict()
        self.vertices = nn.ModuleDict()
        for vertex in range(1, cell.last + 1):
            if 0 in cell.sources(vertex):
                self.projections[str(vertex)] = conv_bn_relu(inputs, self.widths[vertex], 1)
            if vertex < cell.last:
                self.vertices[str(vertex)] = _operation(cell.ops[vertex - 1], self.widths[vertex])

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        values: dict[int, Tensor] = {}
        for name, vertex in self.vertices.items():
            number = int(name)
            width = self.widths[number]
            read = [values[s][:, :width] for s in self.cell.sources(number) if s]
            values[number] = vertex(_sum([*read, *self._projected(name, x)]))
        joined = [values[source] for source in self.cell.sources(self.cell.last) if source]
        whole = [torch.cat(joined, dim=1)] if len(joined) > 1 else joined
        return _sum([*whole, *self._projected(str(self.cell.last), x)])

    def _projected(self, name: str, x: Tensor) -> Iterator[Tensor]:
        if name in self.projections:
            yield self.projections[name](x)


def _operation(op: str, width: int) -> nn.Module:
    if op == "m":
        return nn.MaxPool2d(3, stride=1, padding=1)
    return conv_bn_relu(width, width, int(op))


def _sum(tensors: Sequence[Tensor]) -> Tensor:
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total


def build_101(arch: str, *, num_classes: int = 10, width: int = 128) -> nn.Module:
    """Return the network of a cell: images (B, 3, S, S) to logits (B, num_classes).

    Three stacks of three cells at ``width`` (the benchmark has 128), twice and four times
    ``width``, with a 2×2 max pool between them. ``S`` is a multiple of 4. Weights are drawn from
    torch's global generator.

    Raises:
        DataError: ``arch`` is not a cell of this space.
        ConfigError: ``width`` is less than the number of vertices that share it.
    """
    cell = parse_101(arch)
    layers: list[nn.Module] = [conv_bn_relu(3, width, 3)]
    inputs = width
    for stack in range(STACKS):
        if stack:
            layers.append(nn.MaxPool2d(2))
        for _ in range(CELLS_A_STACK):
            layers.append(Cell(cell, inputs, width << stack))
            inputs = width << stack
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, num_classes)]
    return nn.Sequential(*layers, *head)
