"""An expression as straight-line Python: first the values of a layer, then those of the network.

The code computes the same as the engine for a stack of one network: the layer stage one layer at a
time, the network stage on (1, L) vectors over its layers. Repeated sub-expressions are computed
once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from string import ascii_lowercase

from greenmachine.engine.graph import EIGENVALUES, Graph, Node, boundary_of
from greenmachine.export.layout import WIDTH
from greenmachine.language import Expression, canonical
from greenmachine.primitives.registry import LAYER_SCALAR, NUMBER
from greenmachine.signals.paper_passes import MODE_SIGNALS
from greenmachine.signals.registry import PASSES, is_weight

__all__ = ["Formula", "double_nodes", "layer_sources", "write_formula"]

_NESTED = 40  # longer code is assigned to a name instead of being nested


@dataclass(frozen=True)
class Formula:
    """The code of an expression.

    Attributes:
        layer: body of ``layer_values(layer, batch)``; empty if no layer's tensors are read.
        network: body of ``formula(layers, batch)``.
        primitives: names of the primitives called, and ``EIGENVALUES`` if one needs it.
        runtime: names of the functions of ``runtime.py`` called.
    """

    layer: tuple[str, ...]
    network: tuple[str, ...]
    primitives: frozenset[str]
    runtime: frozenset[str]


def write_formula(expression: Expression) -> Formula:
    """Return the code of ``expression``, of kind ``NetworkScalar``."""
    expression = canonical(expression)
    boundary = boundary_of([expression])
    lower = _Writer(Graph(boundary), _names())
    sources = layer_sources(lower.graph)
    distinct = list(dict.fromkeys(sources))
    for number in lower.leaves():
        name = lower.graph.nodes[number].op
        lower.code[number] = lower.assign(_read(name, lower), name)
    results = [lower.value(number) for number in distinct]
    layer = [*lower.lines, _return_tuple(results)] if results else []

    names = _names()
    columns = {source: next(names) for source in distinct}
    stops: dict[str, str] = {}
    for piece, root, source in zip(boundary, lower.graph.roots, sources, strict=True):
        stops[piece.text] = columns[source]
        if root != source:  # a sum of matrices
            lower.called.add(piece.op)
            stops[piece.text] = f"{piece.op}({columns[source]})"
    upper = _Writer(Graph([expression], stops=stops), names, wide=True)
    if columns:
        upper.lines += _gather(list(columns.values()), "repeated_maps" in lower.runtime)
        upper.runtime.add("over_layers")
    for number in upper.leaves():
        op = upper.graph.nodes[number].op
        if op not in stops:
            depth = "torch.arange(1, len(layers) + 1, dtype=torch.float64).unsqueeze(0)"
            upper.code[number] = upper.assign(depth, op)
        elif stops[op] in columns.values() or upper.graph.uses[number] == 1:
            upper.code[number] = stops[op]
        else:
            upper.code[number] = upper.assign(stops[op])
    score = upper.value(upper.graph.roots[0])
    return Formula(
        tuple(layer),
        (*upper.lines, f"return float({score})"),
        frozenset(lower.called | upper.called),
        frozenset(lower.runtime | upper.runtime),
    )


class _Writer:
    """Writes the nodes of one graph as assignments and nested calls."""

    def __init__(self, graph: Graph, names: Iterator[str], *, wide: bool = False) -> None:
        self.graph = graph
        self.names = names
        self.code: dict[int, str] = {}
        self.lines: list[str] = []
        self.called: set[str] = set()
        self.runtime: set[str] = set()
        # If all is float64 nothing has to be converted.
        self._wide = [True] * len(graph.nodes) if wide else double_nodes(graph.nodes)

    def leaves(self) -> list[int]:
        """Return the numbers of the nodes that read a signal."""
        return [i for i, n in enumerate(self.graph.nodes) if not n.args and n.constant is None]

    def assign(self, code: str, name: str = "") -> str:
        """Add a line that assigns ``code`` to a name, and return the name."""
        name = name or next(self.names)
        self.lines.append(f"{name} = {code}")
        return name

    def value(self, number: int) -> str:
        """Return code for a node, after adding the lines that it needs."""
        known = self.code.get(number)
        if known is not None:
            return known
        node = self.graph.nodes[number]
        if node.constant is not None:
            return repr(node.constant)
        arguments = [self._argument(a) for a in node.args]
        tensors = [a for a in node.args if self.graph.nodes[a].kind != NUMBER]
        if len({self._wide[a] for a in tensors}) > 1:
            # The ones pass is float64; signals of another pass are converted to combine them.
            arguments = [
                f"{code}.double()" if a in tensors and not self._wide[a] else code
                for a, code in zip(node.args, arguments, strict=True)
            ]
        self.called.add(node.op)
        code = f"{node.op}({', '.join(arguments)})"
        if self.graph.uses[number] > 1:
            code = self.assign(code)
        self.code[number] = code
        return code

    def _argument(self, number: int) -> str:
        code = self.value(number)
        if len(code) > _NESTED:
            code = self.code[number] = self.assign(code)
        return code


def layer_sources(graph: Graph) -> list[int]:
    """Return for every root the node that is computed per layer.

    As in the engine, a sum of matrices needs those of all layers, so its argument is computed per
    layer.
    """
    per_layer = [graph.nodes[root].kind == LAYER_SCALAR for root in graph.roots]
    return [
        root if alone else graph.nodes[root].args[0]
        for root, alone in zip(graph.roots, per_layer, strict=True)
    ]


def _gather(columns: list[str], batch: bool) -> list[str]:
    """Return the lines that build a (1, L, ...) tensor of each value computed per layer."""
    arguments = "layer, batch" if batch else "layer"
    targets = ", ".join(columns) if len(columns) > 1 else f"({columns[0]},)"
    return [
        f"each = [layer_values({arguments}) for layer in layers]",
        f"{targets} = (over_layers(values) for values in zip(*each, strict=True))",
    ]


def _read(name: str, writer: _Writer) -> str:
    """Return code that reads terminal ``name`` of ``layer``."""
    function, rest = "maps", ""
    if name in MODE_SIGNALS:
        function = "tensor"
    elif is_weight(name):
        function = "weights"
    elif any(each.single and name in each.terminals for each in PASSES.values()):
        function, rest = "repeated_maps", ", batch"
    writer.runtime.add(function)
    return f'{function}(layer, "{name}"{rest})'


def double_nodes(nodes: Sequence[Node]) -> list[bool]:
    """Return for each node of a float32 network whether it is float64.

    Nodes are float64 if they are computed from the ones pass or from a spectrum.
    """
    double = {name for each in PASSES.values() if each.double for name in each.terminals}
    wide: list[bool] = []
    for node in nodes:
        leaf = not node.args and node.op in double
        wide.append(leaf or node.op == EIGENVALUES or any(wide[a] for a in node.args))
    return wide


def _return_tuple(results: Sequence[str]) -> str:
    if len(results) == 1:
        return f"return ({results[0]},)"
    line = f"return {', '.join(results)}"
    return line if len(line) + 4 <= WIDTH else f"return ({', '.join(results)},)"


def _names() -> Iterator[str]:
    """Yield a, b, ..., z, aa, ab, ... without Python keywords and the letter l."""
    yield from ascii_lowercase.replace("l", "")
    for first, second in product(ascii_lowercase, repeat=2):
        if (name := first + second) not in ("as", "if", "in", "is", "or"):
            yield name
