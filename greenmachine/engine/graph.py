"""A population as one graph, in which every distinct sub-expression is one node.

The graph has two stages. The layer stage works on tensors, a chunk of layers at a time, and ends at
the *boundary*. The network stage works on the boundary values, for all networks at once. Boundary
values are small: one number per layer and, depending on which kinds the layer stage evaluates
completely, a matrix over the batch per layer (:data:`TENSOR_KINDS`) or the sum of these matrices
per network (:data:`LOWER_KINDS`).
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass

from greenmachine.language import Expression
from greenmachine.primitives import vocabulary
from greenmachine.primitives.registry import (
    BATCH_MATRIX,
    CHANNEL_MATRIX,
    INPUT_TENSOR,
    NUMBER,
    OUTPUT_TENSOR,
    PAPER_TENSOR,
    WEIGHT_TENSOR,
)

__all__ = [
    "EIGENVALUES",
    "LOWER_KINDS",
    "TENSOR_KINDS",
    "Graph",
    "Node",
    "boundary_of",
    "spectrum_of",
]

TENSOR_KINDS = frozenset({WEIGHT_TENSOR, INPUT_TENSOR, OUTPUT_TENSOR, CHANNEL_MATRIX, PAPER_TENSOR})
LOWER_KINDS = TENSOR_KINDS | {BATCH_MATRIX}
EIGENVALUES = "eigenvalues"  # a node below spectral primitives, so that they share its value


def spectrum_of(matrix: str) -> str:
    """Return the key of the eigenvalues of expression ``matrix``; no expression has this text."""
    return f"{EIGENVALUES} of {matrix}"


def boundary_of(
    expressions: Iterable[Expression],
    below: Collection[str] = LOWER_KINDS,
    known: Container[str] = frozenset(),
) -> list[Expression]:
    """Return the distinct boundary sub-expressions, in order of appearance.

    Args:
        expressions: canonical expressions.
        below: kinds that stay in the layer stage: ``LOWER_KINDS`` or ``TENSOR_KINDS``.
        known: texts of sub-expressions whose values are already known.
    """
    found: list[Expression] = []
    seen: set[str] = set()
    stack = list(expressions)[::-1]
    while stack:
        node = stack.pop()
        if node.text in seen or node.text in known:
            continue
        seen.add(node.text)
        if node.kind not in below and any(a.kind in below for a in node.args):
            found.append(node)
        else:
            stack.extend(node.args[::-1])
    return found


@dataclass(frozen=True)
class Node:
    """One distinct sub-expression.

    Attributes:
        op: name of a primitive or terminal, text of a number, or ``EIGENVALUES``.
        args: numbers of the argument nodes, all smaller than its own.
        kind: kind of the value; that of eigenvalues is the kind of their matrix.
        constant: the value of a number.
    """

    op: str
    args: tuple[int, ...]
    kind: str
    constant: float | None = None


class Graph:
    """Hash-consed nodes, ordered so that arguments come first.

    Args:
        expressions: canonical expressions.
        stops: texts of sub-expressions whose values are known; each becomes a leaf with its text
            as ``op``.

    Attributes:
        nodes: the nodes.
        roots: number of the node of each expression.
        uses: how often each node is an argument; a value is freed after its last use.
        spectra: for the number of a node that computes eigenvalues, their key.
    """

    def __init__(
        self, expressions: Iterable[Expression], stops: Container[str] = frozenset()
    ) -> None:
        self._stops = stops
        self.nodes: list[Node] = []
        self._numbers: dict[tuple[str, tuple[int, ...]], int] = {}
        self._by_text: dict[str, int] = {}
        self.spectra: dict[int, str] = {}
        self.roots = [self._add(expression) for expression in expressions]
        self.uses = [0] * len(self.nodes)
        for node in self.nodes:
            for argument in node.args:
                self.uses[argument] += 1

    @property
    def terminals(self) -> list[str]:
        """Names of the signals that the graph reads."""
        return [n.op for n in self.nodes if not n.args and n.constant is None]

    def _add(self, expression: Expression) -> int:
        known = self._by_text.get(expression.text)
        if known is not None:
            return known
        stop = expression.text in self._stops
        args: tuple[int, ...]
        if stop:
            args = ()
        elif expression.args and vocabulary[expression.op].spectral:
            matrix, *rest = expression.args
            args = (self._spectrum(matrix), *[self._add(a) for a in rest])
        else:
            args = tuple([self._add(a) for a in expression.args])
        constant = expression.value if expression.kind == NUMBER else None
        op = expression.text if stop else expression.op
        added = self._intern(Node(op, args, expression.kind, constant))
        self._by_text[expression.text] = added
        return added

    def _spectrum(self, matrix: Expression) -> int:
        text = spectrum_of(matrix.text)
        if text in self._stops:
            return self._intern(Node(text, (), matrix.kind))
        number = self._intern(Node(EIGENVALUES, (self._add(matrix),), matrix.kind))
        self.spectra[number] = text
        return number

    def _intern(self, node: Node) -> int:
        key = (node.op, node.args)
        if key not in self._numbers:
            self._numbers[key] = len(self.nodes)
            self.nodes.append(node)
        return self._numbers[key]
