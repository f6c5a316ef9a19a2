"""The four passes that leave signals, and what each sends through the network.

| pass | images | gradient of |
|---|---|---|
| ``data`` | a labelled mini-batch | mean cross-entropy |
| ``noise`` | N(0, 1) | sum of the outputs |
| ``perturbed`` | the noise images and a slightly moved copy | the same; signals are differences |
| ``ones`` | ones, batch 1, weights -> abs, batch norm off, float64 (synflow) | sum of outputs |

Like ``capture.py`` this file needs torch alone: exported proxies inline its source.
"""

from __future__ import annotations

import warnings
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from greenmachine.networks.batches import image_batch, label_batch, no_token_ids
from greenmachine.networks.untouched import float_like, untouched
from greenmachine.signals.capture import Layer, run_pass, weights_of
from greenmachine.signals.modes import RANDOM, add_random, mode_passes, modes_of

PASSES = ("data", "noise", "perturbed", "ones")
PERTURBATION = 0.01  # standard deviation of the move, as in Zen-NAS; this project's choice


def noise_images(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return N(0, 1) images of ``shape`` = (B, C, H, W), drawn on the CPU for every device."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")


def data_pass(
    model: nn.Module, images: Tensor, labels: Tensor, wanted: set[str], seed: int
) -> list[Layer]:
    """One mini-batch, gradient of the mean cross-entropy."""
    return run_pass(model, images, lambda output: class_loss(output, labels), wanted, seed=seed)


def class_loss(output: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (B, classes) and labels (B,).

    Raises:
        ValueError: the output is something else, or has fewer classes than a label says.
    """
    if output.dim() != 2 or len(output) != len(labels):
        shape = tuple(output.shape)
        raise ValueError(f"the network returned {shape}, not ({len(labels)}, classes)")
    if labels.max() >= output.shape[1]:
        raise ValueError(
            f"label {int(labels.max())} is no class of a network of {output.shape[1]} outputs"
        )
    return functional.cross_entropy(output, labels)


def noise_pass(model: nn.Module, noise: Tensor, wanted: set[str], seed: int) -> list[Layer]:
    """N(0, 1) images, gradient of the sum of the outputs."""
    with no_token_ids(model, tuple(noise.shape)):
        return run_pass(model, noise, torch.sum, wanted, seed=seed)


def perturbed_pass(model: nn.Module, noise: Tensor, wanted: set[str], seed: int) -> list[Layer]:
    """What moving every noise image by ``PERTURBATION`` x N(0, 1) changes."""
    move = noise_images(tuple(noise.shape), seed + 1).to(noise) * PERTURBATION
    with no_token_ids(model, tuple(noise.shape)):
        before = run_pass(model, noise, torch.sum, wanted, seed=seed)
        after = run_pass(model, noise + move, torch.sum, wanted, seed=seed)
    for first, second in zip(before, after, strict=True):
        for name, value in second.signals.items():
            first.signals[name] = value - first.signals[name]
    return before


def ones_pass(model: nn.Module, shape: tuple[int, ...], wanted: set[str], seed: int) -> list[Layer]:
    """The synflow pass (Tanaka et al. 2020): one image of ones through absolute weights.

    Batch normalisation is off, as in the published code; other normalisations work. Warns where
    a network grows beyond what float64 can hold.
    """
    with untouched(model, seed), no_token_ids(model, shape):
        absolute_doubles(model)
        ones = torch.ones((1, *shape[1:]), dtype=torch.float64, device=float_like(model).device)
        layers = run_pass(model, ones, torch.sum, wanted, norms=False, seed=seed)
    if not all(value.isfinite().all() for layer in layers for value in layer.signals.values()):
        warnings.warn(
            "the ones pass (synflow) overflows: the network grows beyond 1e308 there", stacklevel=2
        )
    return layers


@torch.no_grad()
def absolute_doubles(model: nn.Module) -> None:
    """Make all parameters |w| and all floating tensors float64, inside ``untouched``."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.detach().double().abs()
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                module._buffers[name] = buffer.double()


def run_passes(
    model: nn.Module,
    terminals: set[str],
    shape: tuple[int, ...],
    *,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    seed: int = 0,
) -> list[Layer]:
    """Run the passes that ``terminals`` need and collect their signals by terminal name.

    Args:
        model: the network; it is left as it was found.
        terminals: ``weight``, names such as ``noise_input`` or ``data_weight_grad``, and those
            of the paper language (``modes.py``).
        shape: (B, C, H, W) of the noise images; ``ones`` takes batch 1 of it.
        images: (B, C, H, W), for the data pass.
        labels: (B,) class indices, for the data pass.
        seed: of the noise, the perturbation, and randomness inside the network.

    Returns:
        The layers in order of firing, ``signals`` keyed by terminal.

    Raises:
        ValueError: the data pass is needed and images or labels are missing, no convolution
            or linear layer fired, or the layers that fire differ between passes.
    """
    with untouched(model, seed):  # once for all passes
        merged = _run(model, terminals, shape, images, labels, seed)
        if "weight" in terminals:
            for layer in merged:
                weight = cast(Tensor, layer.module.weight)
                layer.signals["weight"] = weights_of(weight, layer.module)
        if random := terminals & RANDOM:
            add_random(merged, random)
    return merged


def _run(
    model: nn.Module,
    terminals: set[str],
    shape: tuple[int, ...],
    images: Tensor | None,
    labels: Tensor | None,
    seed: int,
) -> list[Layer]:
    """Run the passes and return the layers with the signals that passes leave."""
    noise = noise_images(shape, seed).to(float_like(model))
    merged: list[Layer] = []
    needed = {name: wanted_of(name, terminals) for name in PASSES}
    if not any(needed.values()) and not modes_of(terminals):
        needed["noise"] = {"firing order"}  # no signal, but which layers fire, and when
    for name, wanted in needed.items():
        if not wanted:
            continue
        if name == "data":
            if images is None or labels is None:
                raise ValueError("the data pass needs images and labels")
            batch = image_batch(images, model)
            target = label_batch(labels, len(batch)).to(batch.device)
            layers = data_pass(model, batch, target, wanted, seed)
        elif name == "noise":
            layers = noise_pass(model, noise, wanted, seed)
        elif name == "perturbed":
            layers = perturbed_pass(model, noise, wanted, seed)
        else:
            layers = ones_pass(model, shape, wanted, seed)
        merged = _merge(merged, layers, name)
    for name, layers in mode_passes(model, terminals, shape, seed):
        merged = _merge(merged, layers, name)
    if not merged:
        raise ValueError("no convolution or linear layer fired")
    return merged


def _merge(merged: list[Layer], layers: list[Layer], name: str) -> list[Layer]:
    """Return the layers of the passes so far with the signals of one more, by terminal name."""
    for layer in layers:
        layer.signals = {f"{name}_{key}": value for key, value in layer.signals.items()}
    if not merged:
        return layers
    if [layer.name for layer in layers] != [layer.name for layer in merged]:
        raise ValueError(f"the layers that fire in the {name} pass differ from the others'")
    for layer, more in zip(merged, layers, strict=True):
        layer.signals.update(more.signals)
    return merged


def wanted_of(name: str, terminals: set[str]) -> set[str]:
    """Return the signals that ``terminals`` ask of pass ``name``, without its prefix."""
    prefix = f"{name}_"
    return {t.removeprefix(prefix) for t in terminals if t.startswith(prefix)}
