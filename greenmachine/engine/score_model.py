"""Score one network with any number of expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from greenmachine.engine.graph import boundary_of
from greenmachine.engine.layer_stage import CHUNK_ELEMENTS, evaluate_shard
from greenmachine.engine.network_stage import Layout, evaluate_vectors
from greenmachine.language import Expression, canonical
from greenmachine.networks.batches import image_batch
from greenmachine.networks.layers import Coverage, coverage
from greenmachine.networks.outputs import Output, single_output
from greenmachine.networks.untouched import all_finite, float_like, untouched
from greenmachine.primitives.registry import LAYER_SCALAR
from greenmachine.signals.passes import noise_images
from greenmachine.signals.run_passes import run_passes
from greenmachine.signals.shard import stack_layers

__all__ = ["ModelScores", "evaluate_model", "score_model"]


@dataclass(frozen=True)
class ModelScores:
    """The scores of one network.

    Attributes:
        values: (expressions,) float64, NaN where an expression has no value.
        coverage: the part of the network's weights that belongs to its layers.
        finite: whether all weights of the network are finite.
    """

    values: NDArray[np.float64]
    coverage: Coverage
    finite: bool = True


def score_model(
    model: nn.Module, expressions: Sequence[Expression], shape: tuple[int, ...], **options: Any
) -> NDArray[np.float64]:
    """Return the values of :func:`evaluate_model`; warn if they cover only part of the network."""
    scores = evaluate_model(model, expressions, shape, **options)
    scores.coverage.warn()
    return scores.values


def evaluate_model(
    model: nn.Module,
    expressions: Sequence[Expression],
    shape: tuple[int, ...],
    *,
    images: Any = None,
    labels: Any = None,
    seed: int = 0,
    output: Output | None = None,
) -> ModelScores:
    """Return the score of ``model`` by each expression.

    Every pass runs once, whatever the number of expressions. The scores are those of an
    :class:`Evaluator` whose sample is this network, bit for bit, whatever torch's settings.

    Args:
        model: any network with convolutions or linear layers, on any device; it is left unchanged.
        expressions: of kind ``NetworkScalar``.
        shape: (B, C, H, W) of the noise images.
        images: (B, C, H, W), for the data pass.
        labels: (B,) class indices, for the data pass.
        seed: seed of the noise, and of randomness inside the network.
        output: which part of the returned value is the network's output; see ``pick_output``.

    Returns:
        The scores, all NaN if a weight of the network is not finite.

    Raises:
        ValueError: the data pass is needed and images or labels are missing, no convolution
            or linear layer ran, or different layers run in different passes.
        Exception: whatever the network raises.
    """
    forms = [canonical(expression) for expression in expressions]
    terminals = set().union(*(form.terminals for form in forms)) - {"depth"}
    boundary = boundary_of(forms)
    with untouched(model, seed), single_output(model, output):
        layers = run_passes(model, terminals, shape, images=images, labels=labels, seed=seed)
        like = float_like(model)
        # The passes run on the model's device, but not every device supports float64.
        device = str(like.device) if like.device.type in CHUNK_ELEMENTS else "cpu"
        layout = Layout([len(layers)])
        with torch.no_grad():
            values = evaluate_shard(stack_layers({0: layers}, shape[0]), boundary, device)
            vectors = {
                piece.text: layout.join([([0], value)], per_layer=piece.kind == LAYER_SCALAR)
                for piece, value in zip(boundary, values, strict=True)
            }
            scores = evaluate_vectors(forms, vectors, layout)
        batch = noise_images(shape, seed).to(like) if images is None else image_batch(images, model)
        fired = {layer.module for layer in layers}
        covered = coverage(model, fired, lambda: model(batch), seed)
        numbers = np.array([float(score) for score in scores])
        finite = all_finite(model)
        return ModelScores(numbers if finite else np.full_like(numbers, np.nan), covered, finite)
