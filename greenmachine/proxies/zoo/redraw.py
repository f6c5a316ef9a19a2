"""Give a network other random weights: what the proxies share that do not read its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from greenmachine.networks.layers import WEIGHTED

__all__ = ["redraw"]

_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_MOMENTUM = 0.1  # of running variances; torch's default, which the networks of both authors keep


@torch.no_grad()
def redraw(
    network: nn.Module,
    images: Tensor,
    generator: torch.Generator,
    scale: Callable[[Tensor], float] = lambda weight: 1.0,
) -> None:
    """Draw the weights of convolutions and linear layers; make biases and norms neutral.

    Running statistics become those of a network that has never run. Call it inside
    ``greenmachine.networks.untouched``, which puts everything back.

    Args:
        network: the network.
        images: a batch, whose device and dtype the statistics take where a norm has no weight.
        generator: on the CPU, for the same draws on every device.
        scale: standard deviation of the normal draws of a weight.
    """
    for module in network.modules():
        if not isinstance(module, (*WEIGHTED, *_NORMS)):
            continue
        weight, bias = module._parameters.get("weight"), module._parameters.get("bias")
        if weight is not None and isinstance(module, _NORMS):
            weight.data = torch.ones_like(weight)
        elif weight is not None:
            drawn = torch.randn(weight.shape, generator=generator) * scale(weight)
            weight.data = torch.empty_like(weight).copy_(drawn)  # keeps the memory layout
        if bias is not None:
            bias.data = torch.zeros_like(bias)
        if isinstance(module, _BatchNorm):
            like = images if weight is None else weight  # layers may differ in precision
            module.running_mean = like.new_zeros(module.num_features)
            module.running_var = like.new_ones(module.num_features)
            module.track_running_stats, module.momentum = True, _MOMENTUM
