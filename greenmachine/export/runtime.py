"""Functions that every exported proxy needs besides the capture and its primitives.

Exported files inline the functions of this module that they use, word for word; like
``signals/capture.py`` it imports only torch.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from greenmachine.networks.batches import image_batch
from greenmachine.networks.layers import coverage
from greenmachine.networks.untouched import all_finite, float_like
from greenmachine.signals.capture import Layer, weights_of
from greenmachine.signals.passes import noise_images

__all__ = [
    "add_weights",
    "maps",
    "merged",
    "over_layers",
    "repeated_maps",
    "shape_for",
    "tensor",
    "warned",
    "weights",
]


def shape_for(images: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the (B, C, H, W) of the noise: that of the images, or ``shape`` without images."""
    return tuple(shape) if images is None else tuple(torch.as_tensor(images).shape)


def warned(
    model: nn.Module,
    layers: list[Layer],
    score: float,
    images: Any,
    shape: tuple[int, ...],
    seed: int,
) -> float:
    """Return the score, NaN if a weight is not finite; warn if the layers are only a part."""
    if images is None:
        batch = noise_images(shape, seed).to(float_like(model))
    else:
        batch = image_batch(images, model)
    fired = {layer.module for layer in layers}
    coverage(model, fired, lambda: model(batch), seed).warn()
    return score if all_finite(model) else math.nan


def merged(passes: dict[str, list[Layer]]) -> list[Layer]:
    """Return the layers in execution order, with the signals of each pass as ``pass_signal``."""
    firings = [[layer.name for layer in layers] for layers in passes.values()]
    if not firings[0]:
        raise ValueError("no convolution or linear layer ran in the forward pass")
    if any(firing != firings[0] for firing in firings):
        raise ValueError("different layers run in different passes")
    layers = next(iter(passes.values()))
    signals: list[dict[str, Tensor]] = [{} for _ in layers]
    for name, fired in passes.items():
        for collected, layer in zip(signals, fired, strict=True):
            collected.update({f"{name}_{key}": value for key, value in layer.signals.items()})
    for layer, collected in zip(layers, signals, strict=True):
        layer.signals = collected
    return layers


def add_weights(layers: list[Layer]) -> None:
    """Add the weights of each layer as the signal ``weight``."""
    for layer in layers:
        weight = layer.module.weight
        assert isinstance(weight, Tensor)
        layer.signals["weight"] = weights_of(weight, layer.module)


def weights(layer: Layer, name: str) -> Tensor:
    """Return a signal with the shape of the weights, (1, O, I, kh, kw)."""
    return layer.signals[name].unsqueeze(0)


def tensor(layer: Layer, name: str) -> Tensor:
    """Return a signal of the paper language, (1, ...), in torch's shape."""
    return layer.signals[name].unsqueeze(0)


def maps(layer: Layer, name: str) -> Tensor:
    """Return a signal with the shape of feature maps, (1, B, C, H, W), channels last in memory."""
    return layer.signals[name].unsqueeze(0).permute(0, 1, 4, 2, 3)


def repeated_maps(layer: Layer, name: str, batch: int) -> Tensor:
    """Return feature maps of the ones pass, repeated to the batch size of the others."""
    return maps(layer, name).expand(-1, batch, -1, -1, -1)


def over_layers(values: tuple[Tensor, ...]) -> Tensor:
    """Return the values of the layers, each (1, ...), as one network: (1, L, ...) float64."""
    return torch.cat(values).to("cpu", torch.float64).unsqueeze(0)
