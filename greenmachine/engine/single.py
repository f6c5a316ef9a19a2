"""One network that is at hand: its passes, both floors, a score for every expression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from greenmachine.engine.graph import boundary_of
from greenmachine.engine.lower import CHUNK_ELEMENTS, evaluate_shard
from greenmachine.engine.upper import Layout, evaluate_vectors
from greenmachine.language import Expression, canonical
from greenmachine.signals.passes import run_passes
from greenmachine.signals.stack import stack_layers
from greenmachine.workers import one_thread
from primitives.registry import LAYER_SCALAR

__all__ = ["score_model"]


def score_model(
    model: nn.Module,
    expressions: Sequence[Expression],
    shape: tuple[int, ...],
    *,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return the score of ``model`` by each expression, (expressions,); NaN where it has no value.

    Every pass runs once, whatever the number of expressions. The scores are those of an
    :class:`Evaluator` whose sample is this network, bit for bit; torch runs on one thread here
    too, or rounding would move them with the number of cores.

    Args:
        model: any network with convolutions or linear layers, on any device; it is left as it
            was found.
        expressions: of kind ``NetworkScalar``.
        shape: (B, C, H, W) of the noise images.
        images: (B, C, H, W), for the data pass.
        labels: (B,) class indices, for the data pass.
        seed: of the noise, and of randomness inside the network.

    Raises:
        ValueError: the data pass is needed and images or labels are missing, no convolution
            or linear layer fired, or the layers that fire differ between passes.
        Exception: whatever the network raises.
    """
    forms = [canonical(expression) for expression in expressions]
    terminals = set().union(*(form.terminals for form in forms)) - {"depth"}
    boundary = boundary_of(forms)
    device = str(next(model.parameters(), torch.zeros(())).device)
    if torch.device(device).type not in CHUNK_ELEMENTS:
        device = "cpu"  # the passes run where the model is, but not every device has float64
    with one_thread(), torch.inference_mode(False):
        # Copies: autograd refuses tensors that were made in inference mode.
        layers = run_passes(
            model,
            terminals,
            shape,
            images=None if images is None else images.clone(),
            labels=None if labels is None else labels.clone(),
            seed=seed,
        )
        layout = Layout([len(layers)])
        with torch.no_grad():
            values = evaluate_shard(stack_layers({0: layers}, shape[0]), boundary, device)
            vectors = {
                piece.text: layout.join([([0], value)], per_layer=piece.kind == LAYER_SCALAR)
                for piece, value in zip(boundary, values, strict=True)
            }
            scores = evaluate_vectors(forms, vectors, layout)
    return np.array([float(score) for score in scores])
