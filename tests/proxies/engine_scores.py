"""The engine's score of a single module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from greenmachine.engine.graph import boundary_of
from greenmachine.engine.lower import evaluate_shard
from greenmachine.engine.upper import Layout, evaluate_vectors
from greenmachine.language import canonical, parse
from greenmachine.signals.passes import run_passes
from greenmachine.signals.stack import stack_layers
from primitives.registry import LAYER_SCALAR


def engine_score(
    text: str,
    model: nn.Module,
    shape: tuple[int, ...],
    images: Tensor | None = None,
    labels: Tensor | None = None,
    seed: int = 0,
) -> float:
    """Return what the engine makes of ``text`` on ``model``."""
    expression = canonical(parse(text))
    terminals = expression.terminals - {"depth"}
    layers = run_passes(model, terminals, shape, images=images, labels=labels, seed=seed)
    shard = stack_layers({0: layers}, shape[0])
    layout = Layout([len(layers)])
    boundary = boundary_of([expression])
    with torch.no_grad():
        values = evaluate_shard(shard, boundary)
        vectors = {
            piece.text: layout.join([([0], value)], per_layer=piece.kind == LAYER_SCALAR)
            for piece, value in zip(boundary, values, strict=True)
        }
        (score,) = evaluate_vectors([expression], vectors, layout)
    return float(score)
