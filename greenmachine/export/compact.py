"""Export an expression as a short file that needs only torch: one hook and straight-line code.

``templates/compact.py.jinja`` is the template; only the parts that the formula needs are written.
``straight.py`` writes the formula. The file works on a copy of the network. The copy needs memory
for the weights, but makes the 600 lines of ``networks/untouched.py`` unnecessary. Networks that the
compact code would read wrongly are refused with one line; the exact form can score them
(``docs/how_to/exports.md`` lists them).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from greenmachine.engine.graph import EIGENVALUES, Graph, boundary_of
from greenmachine.export.describe import better, clean
from greenmachine.export.formula import double_nodes, layer_sources
from greenmachine.export.inline import import_lines, inline
from greenmachine.export.layout import WIDTH, indented, pieces
from greenmachine.export.straight import Block, Function, Straight, written
from greenmachine.language import Expression, canonical
from greenmachine.primitives import eigenvalues, vocabulary
from greenmachine.primitives.registry import NUMBER
from greenmachine.proxies.resolve import EXPORTED
from greenmachine.signals.paper_passes import MODE_SIGNALS
from greenmachine.signals.registry import PASSES, is_weight, wanted_of

__all__ = ["compact_source", "fits_compact"]

_SHORT = 56  # longer code is given a name instead of standing inside other code
_KNOWN = ("data", "noise", "perturbed", "ones")  # the passes that the template can send
_DRAWN = "torch.randn(shape, generator=torch.Generator().manual_seed({})).to(like)"


def fits_compact(expression: Expression) -> bool:
    """Return whether the compact form can express ``expression``.

    It cannot if the expression uses a mode of the paper language or a pass of a plugin.
    """
    passes = [name for name in PASSES if wanted_of(name, expression.terminals)]
    return set(passes) <= set(_KNOWN) and expression.terminals.isdisjoint(MODE_SIGNALS)


def compact_source(
    expression: Expression, *, name: str, direction: int, shape: Sequence[int]
) -> str:
    """Return the source of the compact file of ``expression``.

    Args:
        expression: one for which :func:`fits_compact` is true.
        name: name of the proxy.
        direction: 1 or -1.
        shape: (B, C, H, W) of the noise.
    """
    good = f"A {better(direction)} score is good."
    reading = _Reading(canonical(expression))
    straight, formula = _formula(reading)
    copied = inline(sorted(straight.copied))
    lines = pieces(expression.text, WIDTH)
    return (
        _environment()
        .get_template("compact.py.jinja")
        .render(
            title=f"{clean(name)}: a zero-cost proxy {EXPORTED}. {good}",
            expression="\n".join(line.rstrip() for line in lines),
            imports=import_lines(reading.imports | straight.imports | copied.imports),
            constants=f"DIRECTION = {direction}\nSHAPE = {tuple(map(int, shape))}",
            definitions=[
                *(text for texts in copied.definitions.values() for text in texts),
                *straight.definitions(),
            ],
            formula=formula,
            reading=reading,
        )
        + "\n"
    )


@dataclass(frozen=True)
class _Reading:
    """What a file reads from a network; the template uses the attributes.

    Attributes:
        expression: canonical.
    """

    expression: Expression

    @cached_property
    def signals(self) -> set[str]:
        """Names of the signals that are kept for each layer, in any pass."""
        terminals = self.expression.terminals
        kept = {signal for name in PASSES for signal in wanted_of(name, terminals)}
        return kept | (terminals & {"weight"})

    @cached_property
    def sent(self) -> list[str]:
        """The inputs of the network, in order; ``perturbed`` needs two."""
        needed = [name for name in PASSES if wanted_of(name, self.expression.terminals)]
        names = {"perturbed": ("noise", "moved")}
        found = (name for each in needed or ["noise"] for name in names.get(each, (each,)))
        return list(dict.fromkeys(found))

    @property
    def several(self) -> bool:
        """Whether there is more than one input."""
        return len(self.sent) > 1

    @property
    def gradients(self) -> bool:
        """Whether a gradient is read."""
        return any(signal.endswith("_grad") for signal in self.signals)

    @property
    def weights(self) -> bool:
        """Whether weights or their gradients are read."""
        return any(signal.startswith("weight") for signal in self.signals)

    @property
    def maps(self) -> bool:
        """Whether feature maps or their gradients are read."""
        return any(not signal.startswith("weight") for signal in self.signals)

    @property
    def ones(self) -> bool:
        """Whether there is a ones pass."""
        return "ones" in self.sent

    @property
    def raw(self) -> bool:
        """Whether weights have to be copied before the ones pass makes them absolute."""
        return self.sent == ["ones"] and "weight" in self.signals

    @property
    def expands(self) -> bool:
        """Whether feature maps of the ones pass (one image) are repeated to the batch size."""
        signals = wanted_of("ones", self.expression.terminals)
        return any(not signal.startswith("weight") for signal in signals)

    @property
    def norms(self) -> str:
        """What the mode that watches normalisation layers does; empty if it is not needed."""
        does = ["finds the normalisation behind each layer"] * ("norm_output" in self.signals)
        return ", ".join(does + ["switches batch norms off in the ones pass"] * self.ones)

    @property
    def watching(self) -> str:
        """The line that switches that mode."""
        told = {"watch.fired": "fired"} if "norm_output" in self.signals else {}
        if self.ones:
            told["watch.off"] = 'name == "ones"' if self.several else "True"
        return f"{', '.join(told)} = {', '.join(told.values())}"

    @property
    def imports(self) -> set[tuple[str, str]]:
        """Imports of the file, besides those of its formula."""
        found = {
            ("copy", ""),
            ("random", ""),
            ("sys", ""),
            ("warnings", ""),
            ("contextlib", "ExitStack"),
            ("threading", "RLock"),
        }
        found |= {("torch", ""), ("torch", "nn")}
        if self.norms:
            found |= {("torch.overrides", "TorchFunctionMode"), ("threading", "get_ident")}
        return found | ({("torch.nn", "functional")} if "data" in self.sent else set())

    @property
    def shapes(self) -> str:
        """The shapes of the tensors that ``signal`` returns."""
        parts = ["weights as (1, O, I, kh, kw)"] * self.weights
        return ", ".join(parts + ["maps as (1, B, C, H, W)"] * self.maps)

    @property
    def doc(self) -> str:
        """The docstring of ``score``."""
        of = "of labelled images" if "data" in self.sent else "(images give the noise its shape)"
        return f"Return the score {of}; output picks one of several outputs."

    @property
    def hook(self) -> list[str]:
        """Body of the forward hook of a layer."""
        ends = {signal.removesuffix("_grad") for signal in self.signals}
        kept = {"module": "module"}
        kept |= {"place": "places[module]"} if self.several else {}
        kept |= {"given": "given.shape"} if self.maps else {}
        kept |= {"weight": "weight"} if "weight" in ends else {}
        kept |= {"weight_raw": "raw[module]"} if self.raw else {}
        # Where there is a backward pass, nothing may change the input in place.
        kept |= {"input": "given" if self.gradients else "given.clone()"} if "input" in ends else {}
        handed = bool(ends & {"output", "norm_output"})
        kept |= {"output": "returned"} if handed else {}
        if "norm_output" in ends:
            kept |= {"norm_output": "returned", "handed": "handed"}
        lines = ["handed = returned.clone()  # for what works in place"] if handed else []
        if "weight_grad" in self.signals:
            lines.append("weight.retain_grad()  # it may be computed from other parameters")
        if "input_grad" in self.signals:
            lines += ["if given.requires_grad:", "    given.retain_grad()"]
        if "output_grad" in self.signals:
            lines.append("returned.retain_grad()")
        groups = [""]
        for entry in (f'"{name}": {code}' for name, code in kept.items()):
            if len(groups[-1]) + len(entry) > 62:
                groups.append("")
            groups[-1] += ", " * bool(groups[-1]) + entry
        *first, last = groups
        lines += [f"layer {'|=' if n else '='} {{{group}}}" for n, group in enumerate(first)]
        lines.append(f"fired.append({'layer | ' * bool(first)}{{{last}}})")
        return lines + ["return handed"] * handed

    @property
    def inputs(self) -> list[str]:
        """The lines that make the inputs."""
        lines = _MINI_BATCH if "data" in self.sent else []
        codes = {
            "data": "batch",
            "noise": _DRAWN.format("seed"),
            "moved": f'sent["noise"] + 0.01 * {_DRAWN.format("seed + 1")}',
            "ones": "torch.ones((1, *shape[1:]), dtype=torch.float64, device=like.device)",
        }
        if not self.several:
            return [*lines, f"images = {codes[self.sent[0]]}"]
        made = [f'sent["{name}"] = {codes[name]}' for name in self.sent]
        return [*lines, "sent, layers = {}, {}", *made]

    @property
    def backward(self) -> list[str]:
        """The lines that compute the gradient; a method would end a mode of torch."""
        if "data" not in self.sent:
            return ["torch.autograd.backward(picked(returned, output).sum())"]
        loss = "functional.cross_entropy(found, classes)"
        loss += ' if name == "data" else found.sum()' * self.several
        return [
            "found = picked(returned, output)",
            f"loss = {loss}",
            "torch.autograd.backward(loss)",
        ]

    def signal(self, terminal: str) -> str:
        """Return code that reads a terminal of a layer, whose passes are variables."""
        first = self.sent[0]
        if terminal == "weight":
            return f'signal({first}, "{"weight_raw" if self.raw else "weight"}")'
        source = next(name for name in PASSES if terminal in PASSES[name].terminals)
        name = terminal.removeprefix(f"{source}_")
        if source == "perturbed":
            return f'signal(moved, "{name}") - signal(noise, "{name}")'
        expanded = ".expand(-1, shape[0], -1, -1, -1)"
        return f'signal({source}, "{name}")' + expanded * (
            source == "ones" and not is_weight(terminal)
        )


_MINI_BATCH = [
    "if images is None or labels is None:",
    '    raise ValueError("give a labelled mini-batch: images and labels")',
    "batch, labels = torch.as_tensor(images).clone(), torch.as_tensor(labels)",
    "embeds = any(isinstance(module, nn.Embedding) for module in model.modules())",
    "ids = embeds and batch.dim() == 2 and not batch.is_floating_point()",
    "batch, classes = batch.to(like.device if ids else like), labels.to(like.device).long()",
    "one_each = labels.shape == batch.shape[:1] and torch.equal(classes.to(labels), labels)",
    "if not (one_each and classes.min() >= 0 and batch.isfinite().all()):",
    '    raise ValueError("give finite images, and the class index of each as labels")',
]


def _formula(reading: _Reading) -> tuple[Straight, str]:
    """Return the source of ``formula(layers)`` and of the functions that it calls."""
    expression = reading.expression
    boundary = boundary_of([expression])
    lower = Graph(boundary)
    sources = layer_sources(lower)
    distinct = list(dict.fromkeys(sources))
    known = {
        piece.text: (piece.op, root == source, source)
        for piece, root, source in zip(boundary, lower.roots, sources, strict=True)
    }
    upper = Graph([expression], stops=known)
    nodes = [node for node in (*lower.nodes, *upper.nodes) if node.args]
    straight = Straight(_function(node.op) for node in nodes)

    inner = straight.block()
    below = _Walk(lower, inner, double_nodes(lower.nodes), distinct)
    for number in below.leaves():
        name = lower.nodes[number].op
        below.code[number] = inner.assign(ast.Name(reading.signal(name)), name, plain=True)
    results = ast.Tuple([below.value(number) for number in distinct])

    outer = straight.block()
    outer.taken |= inner.taken
    columns = {source: outer.name("v") for source in distinct}
    above = _Walk(upper, outer, [True] * len(upper.nodes), upper.roots)
    for number in above.leaves():
        op = upper.nodes[number].op
        if op in known:
            function, alone, source = known[op]
            code: ast.expr = ast.Name(columns[source])
            if not alone:  # a sum of matrices
                code = outer.call(_function(function), [code])
            above.code[number] = outer.assign(code, "a")
        else:
            depth = "torch.arange(1, len(layers) + 1, dtype=torch.float64).unsqueeze(0)"
            above.code[number] = outer.assign(ast.Name(depth), "depth", plain=True)
    score = written(outer.fitted(above.value(upper.roots[0])))

    text = [f"def formula(layers{', shape' if reading.expands else ''}):"]
    gathered = []
    if distinct:
        text += ["    each = []", f"    for {', '.join(reading.sent)} in layers:"]
        result = f"each.append({written(inner.fitted(results))})"
        text.append(indented([*inner.lines, result], 8))
        targets = ", ".join(columns.values())
        targets = targets if len(columns) > 1 else f"({targets},)"
        column = "torch.cat(v).cpu().double()[None]"
        gathered = [f"{targets} = ({column} for v in zip(*each, strict=True))"]
    text.append(indented([*gathered, *outer.lines, f"return float({score})"], 4))
    return straight, "\n".join(text)


class _Walk:
    """Writes the nodes of a graph into a block.

    Args:
        graph: the graph.
        block: the block.
        wide: whether each node is float64 in a float32 network.
        results: numbers of the nodes whose code needs no name.
    """

    def __init__(
        self, graph: Graph, block: Block, wide: Sequence[bool], results: Iterable[int]
    ) -> None:
        self.graph, self.block, self.wide = graph, block, wide
        self.results = set(results)
        self.code: dict[int, ast.expr] = {}

    def leaves(self) -> list[int]:
        """Return the numbers of the nodes that read something."""
        return [i for i, n in enumerate(self.graph.nodes) if not n.args and n.constant is None]

    def value(self, number: int) -> ast.expr:
        """Return code for a node; what it needs is in the block."""
        known = self.code.get(number)
        if known is not None:
            return known
        node = self.graph.nodes[number]
        if node.constant is not None:
            return ast.Constant(node.constant)
        arguments = [self.value(argument) for argument in node.args]
        tensors = [a for a in node.args if self.graph.nodes[a].kind != NUMBER]
        if len({self.wide[a] for a in tensors}) > 1:
            # The ones pass is float64; where it meets another pass, that one is widened.
            arguments = [
                ast.Call(ast.Attribute(code, "double"), [], [])
                if a in tensors and not self.wide[a]
                else code
                for a, code in zip(node.args, arguments, strict=True)
            ]
        code = self.block.call(_function(node.op), arguments)
        long = len(written(code)) > _SHORT and number not in self.results
        if self.graph.uses[number] > 1 or long:
            code = self.block.assign(code, "a")
        self.code[number] = code
        return code


def _function(op: str) -> Function:
    found = eigenvalues if op == EIGENVALUES else vocabulary[op].function
    return found.__module__, op


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
