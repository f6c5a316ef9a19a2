"""The topology space of NATS-Bench (TSS, the cells of NAS-Bench-201).

An architecture is one cell, written as
``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``: the edges into node 1, node 2 and node 3, each with
the node it comes from.
"""

from __future__ import annotations

from functools import lru_cache

from torch import nn

from greenmachine.errors import DataError
from greenmachine.networks.blocks import EDGES, Cell, Head, ResidualBlock, redrawn, stem

__all__ = [
    "OPERATIONS",
    "build_topology",
    "canonical_topology",
    "function_topology",
    "live_topology",
    "parse_topology",
]

OPERATIONS: tuple[str, ...] = (
    "none",
    "skip_connect",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "avg_pool_3x3",
)


def parse_topology(arch: str) -> tuple[str, ...]:
    """Return the six operations of ``arch``, in the edge order 0→1 | 0→2 1→2 | 0→3 1→3 2→3.

    Raises:
        DataError: ``arch`` is not a cell of this space; the message names the fault.
    """
    nodes = arch.split("+")
    if len(nodes) != 3:
        raise DataError(f"cell {arch!r} has {len(nodes)} nodes separated by '+', not 3")
    try:
        first, second, third = map(_parse_node, nodes, (1, 2, 3))
    except DataError as fault:
        raise DataError(f"cell {arch!r}: {fault}") from None
    return first + second + third


@lru_cache(maxsize=1024)
def _parse_node(node: str, target: int) -> tuple[str, ...]:
    """Return the operations into one node; cached, because the space has only 155 such texts."""
    if len(node) < 2 or node[0] != "|" or node[-1] != "|":
        raise DataError(f"node {target} does not start and end with '|'")
    edges = node[1:-1].split("|")
    if len(edges) != target:
        raise DataError(f"node {target} has {len(edges)} edges, not {target}")
    ops: list[str] = []
    for source, edge in enumerate(edges):
        op, _, origin = edge.partition("~")
        if op not in OPERATIONS:
            known = ", ".join(OPERATIONS)
            raise DataError(f"unknown operation {op!r}; known: {known}")
        if origin != str(source):
            raise DataError(f"edge {edge!r} into node {target} should end with '~{source}'")
        ops.append(op)
    return tuple(ops)


def canonical_topology(arch: str) -> str:
    """Return a text that is equal for isomorphic cells: 6,466 classes among the 15,625 cells.

    The rule is that of NAS-Bench-201 (§3.1), so the classes are the published ones: edges into a
    node commute, a skip is the node that it comes from, and an edge from an empty node is empty.
    The rule is
    conservative: a node with two empty edges differs from a node with one.

    Raises:
        DataError: ``arch`` is not a cell of this space.
    """
    nodes = ["0"]
    terms: list[str] = []
    for (source, target), op in zip(EDGES, parse_topology(arch), strict=True):
        value = nodes[source]
        if op == "none" or value == "#":
            terms.append("#")
        else:
            terms.append(value if op == "skip_connect" else f"({value})@{op}")
        if source == target - 1:  # the last edge into this node
            nodes.append("+".join(sorted(terms)))
            terms = []
    return nodes[-1]


def function_topology(arch: str) -> str:
    """Return a text that is equal for cells that compute the same function: 4,660 classes.

    Isomorphic cells have equal texts, and further cells too: an empty edge adds nothing to a node,
    a sum of sums is one sum, and average pooling of a sum is the sum of the poolings, because it is
    linear. The text does not record whether two equal convolutions of one input share their
    weights, so it may merge cells that differ in that alone, but it never separates cells that
    compute the same function.

    Raises:
        DataError: ``arch`` is not a cell of this space.
    """
    # A node is a sum of terms; a term is a number of poolings of the input or of a convolution.
    nodes: list[list[tuple[int, str]]] = [[(0, "input")], [], [], []]
    for (source, target), op in zip(EDGES, parse_topology(arch), strict=True):
        value = nodes[source]
        if op == "skip_connect":
            nodes[target] += value
        elif op == "avg_pool_3x3":
            nodes[target] += [(poolings + 1, term) for poolings, term in value]
        elif op != "none" and value:
            nodes[target].append((0, f"{op}({_sum(value)})"))
    return _sum(nodes[-1])


def _sum(terms: list[tuple[int, str]]) -> str:
    return "+".join(f"{poolings}*{term}" for poolings, term in sorted(terms))


def live_topology(arch: str) -> bool:
    """Return whether every operation lies on a path from the input of the cell to its output.

    This is true for 9,445 of the 15,625 cells. The others have an unused operation: a convolution,
    pool or skip without input, or whose result is not read. ``none`` does not count as an
    operation, so the result is also true for the cell with six of them.

    Raises:
        DataError: ``arch`` is not a cell of this space.
    """
    edges = [e for e, op in zip(EDGES, parse_topology(arch), strict=True) if op != "none"]
    reached, read = {0}, {3}
    # Sources come before targets in EDGES, so one forward and one backward pass find all of both.
    for source, target in edges:
        if source in reached:
            reached.add(target)
    for source, target in reversed(edges):
        if target in read:
            read.add(source)
    return all(source in reached and target in read for source, target in edges)


def build_topology(
    arch: str, *, num_classes: int = 10, channels: int = 16, cells: int = 5
) -> nn.Module:
    """Return the network of a cell: images (B, 3, S, S) to logits (B, num_classes).

    Three stages of ``cells`` equal cells (the benchmark has 5) at ``channels``, twice and
    four times ``channels`` (the benchmark starts at 16), with a residual block of stride 2
    between them. ``S`` is a multiple of 4. Weights are drawn from torch's global generator.

    Raises:
        DataError: ``arch`` is not a cell of this space.
    """
    ops = parse_topology(arch)
    layers: list[nn.Module] = [stem(channels)]
    for stage in range(3):
        width = channels << stage
        if stage:
            layers.append(ResidualBlock(width // 2, width))
        layers.append(Cell(ops, width, width))
        layers.extend(redrawn(layers[-1]) for _ in range(cells - 1))
    layers.append(Head(channels << 2, num_classes))
    return nn.Sequential(*layers)
