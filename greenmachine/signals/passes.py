"""The four passes of the typed language, and their inputs.

| pass | images | gradient of |
|---|---|---|
| ``data`` | a labelled mini-batch | mean cross-entropy |
| ``noise`` | N(0, 1) | sum of the outputs |
| ``perturbed`` | noise images, and a perturbed copy | the same; signals are differences |
| ``ones`` | ones, batch 1, weights -> abs, batch norm off, float64 (synflow) | sum of outputs |

Like ``capture.py``, this file imports only torch, because exported proxies inline its source.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from greenmachine.networks.batches import image_batch, label_batch, no_token_ids
from greenmachine.networks.untouched import all_finite, float_like, untouched
from greenmachine.signals.capture import Layer, run_pass

PERTURBATION = 0.01  # standard deviation of the perturbation, as in Zen-NAS; this project's choice


@dataclass(frozen=True)
class Inputs:
    """The inputs that a pass may use.

    Attributes:
        shape: (B, C, H, W) of the images that it draws, or the shape that the network takes.
        images: a mini-batch of the data set, or None.
        labels: (B,) class indices of ``images``, or None.
    """

    shape: tuple[int, ...]
    images: Any = None
    labels: Any = None


def noise_images(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return N(0, 1) images of ``shape`` = (B, C, H, W), drawn on the CPU for every device."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")


def data_pass(model: nn.Module, inputs: Inputs, wanted: set[str], seed: int) -> list[Layer]:
    """A labelled mini-batch; gradient of the mean cross-entropy."""
    if inputs.images is None or inputs.labels is None:
        raise ValueError("the data pass needs a labelled mini-batch: give images and labels")
    batch = image_batch(inputs.images, model)
    labels = label_batch(inputs.labels, len(batch)).to(batch.device)
    return run_pass(model, batch, lambda output: class_loss(output, labels), wanted, seed=seed)


def class_loss(output: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (B, classes) and labels (B,).

    Raises:
        ValueError: the output has another shape, or a label is not below the number of classes.
    """
    if output.dim() != 2 or len(output) != len(labels):
        shape = tuple(output.shape)
        raise ValueError(f"the network returned {shape}, not ({len(labels)}, classes)")
    if labels.max() >= output.shape[1]:
        raise ValueError(
            f"label {int(labels.max())} is too large for a network with {output.shape[1]} outputs"
        )
    return functional.cross_entropy(output, labels)


def noise_pass(model: nn.Module, inputs: Inputs, wanted: set[str], seed: int) -> list[Layer]:
    """N(0, 1) images; gradient of the sum of the outputs."""
    noise = noise_images(inputs.shape, seed).to(float_like(model))
    with no_token_ids(model, inputs.shape):
        return run_pass(model, noise, torch.sum, wanted, seed=seed)


def perturbed_pass(model: nn.Module, inputs: Inputs, wanted: set[str], seed: int) -> list[Layer]:
    """Change of every signal when 0.01 x N(0, 1) is added to the noise images."""
    noise = noise_images(inputs.shape, seed).to(float_like(model))
    move = noise_images(inputs.shape, seed + 1).to(noise) * PERTURBATION
    with no_token_ids(model, inputs.shape):
        before = run_pass(model, noise, torch.sum, wanted, seed=seed)
        after = run_pass(model, noise + move, torch.sum, wanted, seed=seed)
    for first, second in zip(before, after, strict=True):
        for name, value in second.signals.items():
            first.signals[name] = value - first.signals[name]
    return before


def ones_pass(model: nn.Module, inputs: Inputs, wanted: set[str], seed: int) -> list[Layer]:
    """One image of ones through absolute weights in float64: synflow (Tanaka et al. 2020).

    Batch normalisation is off, as in the published code; other normalisations stay. It warns if a
    signal exceeds the range of float64, unless a weight is not finite, for which the score is NaN.
    """
    with untouched(model, seed), no_token_ids(model, inputs.shape):
        absolute_doubles(model)
        ones = torch.ones(
            (1, *inputs.shape[1:]), dtype=torch.float64, device=float_like(model).device
        )
        layers = run_pass(model, ones, torch.sum, wanted, norms=False, seed=seed)
    signals = [value for layer in layers for value in layer.signals.values()]
    if not all(value.isfinite().all() for value in signals) and all_finite(model):
        warnings.warn(
            "the ones pass (synflow) overflows: values of the network exceed 1e308", stacklevel=2
        )
    return layers


@torch.no_grad()
def absolute_doubles(model: nn.Module) -> None:
    """Replace all parameters w by |w|, and convert all floating tensors to float64.

    Call it inside ``untouched``, which restores them.
    """
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.detach().double().abs()
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                module._buffers[name] = buffer.double()
