"""What the report prints about a primitive or a signal: one line, and the group of its kind."""

from __future__ import annotations

from greenmachine.language import Expression
from greenmachine.language.kinds import ALIASES
from greenmachine.primitives import vocabulary
from greenmachine.primitives.registry import (
    BATCH_MATRIX,
    CHANNEL_MATRIX,
    INPUT_TENSOR,
    LAYER_SCALAR,
    NETWORK_MATRIX,
    NETWORK_SCALAR,
    NUMBER,
    OUTPUT_TENSOR,
    PAPER_TENSOR,
    WEIGHT_TENSOR,
)
from greenmachine.signals.paper_passes import MODE_SIGNALS
from greenmachine.signals.registry import PASSES

__all__ = ["KIND_GROUPS", "doc_of"]

KIND_GROUPS: dict[str, tuple[int, str]] = {
    NETWORK_SCALAR: (0, "one number per network"),
    NETWORK_MATRIX: (1, "one matrix per network"),
    LAYER_SCALAR: (2, "one number per layer"),
    CHANNEL_MATRIX: (3, "one matrix per layer"),
    BATCH_MATRIX: (3, "one matrix per layer"),
    WEIGHT_TENSOR: (4, "one tensor per layer"),
    INPUT_TENSOR: (4, "one tensor per layer"),
    OUTPUT_TENSOR: (4, "one tensor per layer"),
    PAPER_TENSOR: (4, "one tensor per layer"),
    NUMBER: (5, "a number"),
}
"""For each kind its colour, ``k0`` to ``k5`` of the palette, and its text in the legend."""

_SIGNAL_DOCS = {
    "weight": "Weights of the layer",
    "input": "Input of the layer",
    "output": "Output of the layer",
    "norm_output": "Output of the normalisation that follows the layer",
    "weight_grad": "Gradient of the weights",
    "input_grad": "Gradient of the layer's input",
    "output_grad": "Gradient of the layer's output",
}
_PASS_DOCS = {
    "data": "in the pass of a labelled mini-batch",
    "noise": "in the pass of noise images",
    "perturbed": "change under a small perturbation of the noise images",
    "ones": "in the pass of ones through absolute weights",
    "random": "before any pass",
    "pass": "in mode pass, of noise images",
    "pass_noise": "in mode pass_noise, of fresh noise images",
    "pass_perturbation": "in mode pass_perturbation, of perturbed fresh noise images",
}


def doc_of(node: Expression) -> str:
    """Return one line about the primitive or signal at the root of ``node``."""
    if node.args:
        return vocabulary[node.op].doc
    if node.kind == NUMBER:
        return "A number."
    if node.op == "weight":
        return "Weights of the layer."
    if node.op == "depth":
        return "Position of the layer in the execution order, from 1."
    if node.kind == PAPER_TENSOR:
        name, signal = MODE_SIGNALS[ALIASES.get(node.op, node.op)]
    else:
        found = next(each for each in PASSES.values() if node.op in each.terminals)
        name, signal = found.name, node.op.removeprefix(f"{found.name}_")
    where = _PASS_DOCS.get(name, f"in pass {name}")
    return f"{_SIGNAL_DOCS.get(signal, f'Signal {signal}')}, {where}."
