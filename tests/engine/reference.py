"""The engine's meaning, plainly: one network, one layer, one node at a time; nothing is shared.

No stacks of layers, no graph, no cache, no chunks; only the primitives themselves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from greenmachine.language import Expression
from greenmachine.primitives import eigenvalues, registry
from greenmachine.primitives.registry import LAYER_SCALAR, NETWORK_MATRIX, NETWORK_SCALAR, NUMBER
from greenmachine.signals.capture import Layer
from greenmachine.signals.registry import is_weight

NETWORK_KINDS = {NETWORK_MATRIX, NETWORK_SCALAR}


def score(expression: Expression, layers: list[Layer], batch: int) -> float:
    """Return the score of one network from the signals of its layers."""
    value = network_value(expression, layers, batch)
    return float(value)


def network_value(expression: Expression, layers: list[Layer], batch: int) -> Any:
    """Return a number, a (1, B, B) matrix, or a (1,) score of one network."""
    if expression.kind == NUMBER:
        return expression.value
    trait = registry[expression.op]
    if trait.across_layers:
        (argument,) = expression.args
        values = [layer_value(argument, layers, place, batch) for place in range(len(layers))]
        return trait.function(torch.stack([value[0].double() for value in values])[None])
    return applied(expression, [network_value(a, layers, batch) for a in expression.args])


def layer_value(expression: Expression, layers: list[Layer], place: int, batch: int) -> Any:
    """Return the value at one layer, with a stack dimension of 1."""
    if expression.kind == NUMBER:
        return expression.value
    if expression.op == "depth":
        return torch.tensor([place + 1.0], dtype=torch.float64)
    if not expression.args:
        signal = layers[place].signals[expression.op]
        if is_weight(expression.op):
            return signal[None]
        return signal.expand(batch, -1, -1, -1).permute(0, 3, 1, 2)[None]
    trait = registry[expression.op]
    if trait.across_layers:
        (argument,) = expression.args
        values = [layer_value(argument, layers, other, batch) for other in range(len(layers))]
        return trait.function(torch.cat(values).double()[None])[0, place : place + 1]
    value = applied(expression, [layer_value(a, layers, place, batch) for a in expression.args])
    return value.double() if expression.kind == LAYER_SCALAR else value


def applied(expression: Expression, args: list[Any]) -> Tensor:
    """Apply the root's function to its arguments' values."""
    trait = registry[expression.op]
    if trait.spectral:
        args = [eigenvalues(args[0]), *args[1:]]
    wide = any(isinstance(a, Tensor) and a.dtype == torch.float64 for a in args)
    return trait.function(*(a.double() if wide and isinstance(a, Tensor) else a for a in args))
