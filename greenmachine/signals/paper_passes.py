"""The four modes of the paper language and their signals.

| mode | images | gradient of |
|---|---|---|
| ``random`` | none: the network after initialisation | - |
| ``pass`` | N(0, 1) | sum of the outputs |
| ``pass_noise`` | a fresh sample of N(0, 1) | the same |
| ``pass_perturbation`` | a fresh sample, plus sqrt(0.1)·N(0, 1) | the same |

Signals keep the shape that torch gives them: weights (O, I, kh, kw) or (O, I), feature maps
(B, C, H, W), (B, F) or (B, T, F). A signal that a layer does not have is the tensor [1.]: every
gradient of ``random``, and those of a layer on which the output does not depend. The modes do not
change the weights, so all of them share ``random_wt``.

There are three deviations from the framework of GreenMachine (arXiv 2411.15290). It reads every
module with a ``.weight``, batch norms too; this reads convolutions and linear layers. The
positions of a layer of tokens with more than one axis of positions are flattened into one axis.
The first layer has a ``bwd_input``, because the gradient reaches the images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from greenmachine.networks.layers import CONVOLUTIONS, WEIGHTED
from greenmachine.networks.untouched import float_like
from greenmachine.signals.capture import Layer, run_pass, weights_of

__all__ = ["MODES", "MODE_SIGNALS", "RANDOM", "add_random", "mode_passes", "modes_of"]

MODES = ("pass", "pass_noise", "pass_perturbation")  # those that run the network, in this order
SHIFT = math.sqrt(0.1)  # standard deviation of the perturbation

MODE_SIGNALS: dict[str, tuple[str, str]] = {
    "random_wt": ("random", "weight"),
    "random_grad": ("random", "weight_grad"),
    **{
        f"{mode}_{name}": (mode, signal)
        for mode in MODES
        for name, signal in {
            "grad": "weight_grad",
            "fwd_input": "input",
            "fwd_output": "output",
            "bwd_input": "input_grad",
            "bwd_output": "output_grad",
        }.items()
    },
}
"""For each terminal its mode, and the name of the signal in ``capture.py``."""

RANDOM = {"random_wt", "random_grad"}  # those that need no pass


def modes_of(terminals: set[str]) -> tuple[str, ...]:
    """Return the modes that ``terminals`` need and that run the network, in order."""
    needed = {MODE_SIGNALS[name][0] for name in terminals & MODE_SIGNALS.keys()}
    return tuple(mode for mode in MODES if mode in needed)


def mode_passes(
    model: nn.Module, terminals: set[str], shape: tuple[int, ...], seed: int
) -> Iterator[tuple[str, list[Layer]]]:
    """Yield every mode that ``terminals`` need, with its layers.

    The keys of ``signals`` are terminals without the mode: ``fwd_input`` for ``pass_fwd_input``.

    Args:
        model: the network; it is left unchanged.
        terminals: names of ``MODE_SIGNALS``; others are ignored.
        shape: (B, C, H, W) of the images.
        seed: seed of the images, and of randomness inside the network.
    """
    like = float_like(model)
    generator = torch.Generator("cpu").manual_seed(seed)
    # All are drawn, in this order, so that a mode's images do not depend on the other modes.
    images = dict(zip(MODES, (_noise(shape, generator) for _ in MODES), strict=True))
    images["pass_perturbation"] += SHIFT * _noise(shape, generator)
    for mode in modes_of(terminals):
        names = {
            terminal.removeprefix(f"{mode}_"): signal
            for terminal, (of, signal) in MODE_SIGNALS.items()
            if of == mode and terminal in terminals
        }
        noise, wanted = images[mode].to(like), set(names.values())
        with own_inputs(model):
            layers = run_pass(model, noise, torch.sum, wanted, absent_as_zero=False, seed=seed)
        for layer in layers:
            layer.signals = {
                name: native(layer.signals[signal], layer.module, signal)
                if signal in layer.signals
                else missing(like)
                for name, signal in names.items()
            }
        yield mode, layers


def native(value: Tensor, module: nn.Module, signal: str) -> Tensor:
    """Return a captured signal in the shape that it has in torch.

    Signals of one- and three-dimensional convolutions keep the two axes of positions that
    ``capture.py`` gives them.
    """
    if isinstance(module, CONVOLUTIONS):
        return value if signal.startswith("weight") else value.permute(0, 3, 1, 2).contiguous()
    if signal.startswith("weight"):
        return value.flatten(1)
    rows = value.squeeze(2)  # (B, T, 1, F)
    return rows.squeeze(1) if rows.shape[1] == 1 else rows


def add_random(layers: list[Layer], wanted: set[str]) -> None:
    """Add the signals ``wanted`` of mode ``random`` to each layer."""
    for layer in layers:
        weight = layer.module.weight
        assert isinstance(weight, Tensor)
        if "random_wt" in wanted:
            values = weights_of(weight, layer.module)
            layer.signals["random_wt"] = native(values, layer.module, "weight")
        if "random_grad" in wanted:
            layer.signals["random_grad"] = missing(weight)


def missing(like: Tensor) -> Tensor:
    """Return the value of a signal that a layer does not have."""
    return like.detach().new_ones(1)


@contextmanager
def own_inputs(model: nn.Module) -> Iterator[None]:
    """Give every weighted module its own view of its input.

    The gradient of the view is the one that this module alone sends back, as in a full backward
    hook. Without it, the gradients of all modules that read the same tensor would add up.
    """

    def hook(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        if args:
            return (args[0].view_as(args[0]), *args[1:]), kwargs
        name, given = next(iter(kwargs.items()))
        return args, {**kwargs, name: given.view_as(given)}

    handles = [
        module.register_forward_pre_hook(hook, with_kwargs=True)
        for module in model.modules()
        if isinstance(module, WEIGHTED)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
