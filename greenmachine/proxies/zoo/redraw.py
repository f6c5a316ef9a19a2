"""Draw new random weights for a network; shared by the proxies that ignore its own weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from greenmachine.networks.layers import WEIGHTED

__all__ = ["redraw"]

_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_MOMENTUM = 0.1  # of running variances; torch's default, which both papers' networks use


@torch.no_grad()
def redraw(
    network: nn.Module,
    images: Tensor,
    generator: torch.Generator,
    scale: Callable[[Tensor], float] = lambda weight: 1.0,
) -> None:
    """Draw normal weights for convolutions and linear layers; reset biases and norms.

    Biases become 0, scales of normalisation layers 1, and running statistics those of a network
    that has never run. Call it inside ``greenmachine.networks.untouched``, which restores all.

    Args:
        network: the network.
        images: a batch; its device and dtype are used for the statistics of a norm without weight.
        generator: a generator on the CPU, so that the draws are equal on every device.
        scale: returns the standard deviation of the draws for a weight.
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
            like = images if weight is None else weight  # layers may have different precisions
            module.running_mean = like.new_zeros(module.num_features)
            module.running_var = like.new_ones(module.num_features)
            module.track_running_stats, module.momentum = True, _MOMENTUM
