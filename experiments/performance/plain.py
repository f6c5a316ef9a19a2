"""Two ways to evaluate a tree without an engine, for comparison with the engine.

Plain: DEAP's ``gp.compile`` makes a function of the signals of one network. Each of its primitives
is applied to the layers of this network one by one. Nothing is shared between trees, networks or
layers. The primitives are the project's own.

Recomputed: as in published code of similar methods (EZNAS), the network is built and its forward
and backward pass run for every individual, in torch's default layout (NCHW).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from deap import gp
from torch import Tensor, nn
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from greenmachine.language import KIND_TYPES, TERMINALS, Expression
from greenmachine.language.grammar import Grammar
from greenmachine.primitives import Primitive, eigenvalues, registry
from greenmachine.primitives.registry import LAYER_SCALAR, NETWORK_MATRIX, NETWORK_SCALAR
from greenmachine.signals.capture import Layer
from greenmachine.signals.registry import is_weight

__all__ = ["PlainLanguage", "Signals", "of_layers", "recompute"]

Signals = dict[str, list[Tensor]]
"""Of one network: by terminal, the tensor of every layer, with a stack dimension of 1."""


class PlainLanguage:
    """Compile the trees of a grammar to functions of one network's signals.

    Args:
        grammar: grammar of the trees.
    """

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        kinds = [KIND_TYPES[TERMINALS[name]] for name in grammar.terminals]
        self.pset = gp.PrimitiveSetTyped("plain", kinds, KIND_TYPES[NETWORK_SCALAR])
        names = {f"ARG{place}": name for place, name in enumerate(grammar.terminals)}
        self.pset.renameArguments(**names)
        for name, node in grammar.pset.mapping.items():
            if isinstance(node, gp.Primitive):
                word = registry[name.rpartition("__")[0]]  # a name of the grammar ends in a number
                result = grammar.node_kind(node)
                self.pset.addPrimitive(_lifted(word, result), node.args, node.ret, name=name)

    def compile(self, expression: Expression) -> Callable[[Signals], float]:
        """Return a function that computes an expression for a network; NaN if it has no value."""
        function = gp.compile(self.grammar.tree(expression), self.pset)

        def score(signals: Signals) -> float:
            try:
                with torch.no_grad():
                    return float(function(*(signals[name] for name in self.grammar.terminals)))
            except LinAlgError:
                return float("nan")

        return score


def _lifted(word: Primitive, result: str) -> Callable[..., Any]:
    """Return a primitive that is applied to the layers of a network one by one.

    Values of layers are lists with one entry per layer, and values of a network are tensors.
    """

    def across(values: list[Tensor]) -> Any:
        together = torch.cat(values).double()[None]
        found = word.function(together)
        return list(found[0, :, None]) if result == LAYER_SCALAR else found

    def function(*args: Any) -> Tensor:
        found = word.function(*(eigenvalues(args[0]), *args[1:]) if word.spectral else args)
        return found.double() if result == LAYER_SCALAR else found

    def over_layers(*args: Any) -> Any:
        if result in (NETWORK_SCALAR, NETWORK_MATRIX):
            return function(*args)
        layers = range(len(args[0]))
        return [function(*(a[i] if isinstance(a, list) else a for a in args)) for i in layers]

    return across if word.across_layers else over_layers


def of_layers(layers: list[Layer], names: list[str]) -> Signals:
    """Return the signals of the project's own capture, in the memory layout of the engine."""
    device = next(iter(layers[0].signals.values())).device
    found: Signals = {"depth": _depths(len(layers), device)}
    for name in names:
        if name != "depth":
            tensors = [layer.signals[name] for layer in layers]
            found[name] = [
                (tensor if is_weight(name) else tensor.permute(0, 3, 1, 2))[None]
                for tensor in tensors
            ]
    return found


def _depths(count: int, device: torch.device) -> list[Tensor]:
    places = range(1, count + 1)
    return [torch.tensor([place], dtype=torch.float64, device=device) for place in places]


def recompute(model: nn.Module, noise: Tensor) -> Signals:
    """Run a forward and a backward pass of ``model`` in train mode and return its signals.

    The network must have no in-place operations; the networks of this project have none.

    Args:
        model: network of 2-d convolutions, linear layers and batch norms.
        noise: (B, C, H, W) images.
    """
    fired: list[tuple[Any, Tensor, Tensor]] = []
    normalised: dict[int, Tensor] = {}

    def layer_hook(module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        fired.append((module, args[0], output))

    def norm_hook(module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        normalised[id(args[0])] = output

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(layer_hook)
        elif isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(norm_hook)
    output = model.train()(noise.clone().requires_grad_())
    ends = [end for module, given, made in fired for end in (module.weight, given, made)]
    # A tensor that does not depend on the images or does not reach the output has no gradient.
    reached = [end for end in ends if end.requires_grad]
    found = iter(torch.autograd.grad(output.sum(), reached, allow_unused=True))
    gradients = (next(found) if end.requires_grad else None for end in ends)
    signals: Signals = {"depth": _depths(len(fired), noise.device)}
    for module, given, made in fired:
        tensors = {
            "weight": module.weight,
            "noise_input": given,
            "noise_output": made,
            "noise_norm_output": normalised.get(id(made), made),
        }
        for name, end in (("weight", module.weight), ("input", given), ("output", made)):
            gradient = next(gradients)
            tensors[f"noise_{name}_grad"] = torch.zeros_like(end) if gradient is None else gradient
        for name, tensor in tensors.items():
            whole = tensor.detach()
            four = whole.reshape(*whole.shape, *(1,) * (4 - whole.dim()))
            signals.setdefault(name, []).append(four[None])
    return signals
