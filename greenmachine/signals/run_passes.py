"""Run the passes that an expression needs, and collect their signals."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from greenmachine.networks.untouched import untouched
from greenmachine.signals.capture import Layer, weights_of
from greenmachine.signals.paper_passes import RANDOM, add_random, mode_passes, modes_of
from greenmachine.signals.passes import Inputs
from greenmachine.signals.registry import PASSES, wanted_of

__all__ = ["run_passes"]


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
        model: the network; it is left unchanged.
        terminals: ``weight``, names such as ``noise_input`` or ``data_weight_grad``, and those
            of the paper language (``paper_passes.py``).
        shape: (B, C, H, W) of the noise images; ``ones`` takes batch 1 of it.
        images: (B, C, H, W), for the data pass.
        labels: (B,) class indices, for the data pass.
        seed: seed of the noise, the perturbation, and randomness inside the network.

    Returns:
        The layers in execution order; the keys of ``signals`` are terminals.

    Raises:
        ValueError: the data pass is needed and images or labels are missing, no convolution
            or linear layer ran, or different layers run in different passes.
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
    """Run the passes and return the layers with the signals of all passes."""
    merged: list[Layer] = []
    inputs = Inputs(shape, images, labels)
    needed = {name: wanted_of(name, terminals) for name in PASSES}
    if not any(needed.values()) and not modes_of(terminals):
        needed["noise"] = {"firing order"}  # no signal; the pass shows which layers run, in order
    for name, wanted in needed.items():
        if wanted:
            layers = PASSES[name].function(model, inputs, wanted, seed)
            merged = _merge(merged, layers, name)
    for name, layers in mode_passes(model, terminals, shape, seed):
        merged = _merge(merged, layers, name)
    if not merged:
        raise ValueError("no convolution or linear layer ran in the forward pass")
    return merged


def _merge(merged: list[Layer], layers: list[Layer], name: str) -> list[Layer]:
    """Add the signals of one more pass to the layers of the passes so far, by terminal name."""
    for layer in layers:
        layer.signals = {f"{name}_{key}": value for key, value in layer.signals.items()}
    if not merged:
        return layers
    if [layer.name for layer in layers] != [layer.name for layer in merged]:
        raise ValueError(
            f"the layers that run in the {name} pass differ from those of earlier passes"
        )
    for layer, more in zip(merged, layers, strict=True):
        layer.signals.update(more.signals)
    return merged
