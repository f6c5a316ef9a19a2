"""Zen-score: how much the features of a Gaussian network change if the images are perturbed.

Lin et al., "Zen-NAS: a zero-shot NAS for high-performance image recognition", ICCV 2021.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.pooling import (
    _AdaptiveAvgPoolNd,
    _AdaptiveMaxPoolNd,
    _AvgPoolNd,
    _MaxPoolNd,
)

from greenmachine.networks.layers import WEIGHTED
from greenmachine.networks.untouched import untouched
from greenmachine.proxies.types import FunctionProxy
from greenmachine.proxies.zoo.redraw import redraw
from greenmachine.signals.capture import BATCH_NORMS, Normalisation, fresh_copy
from greenmachine.signals.passes import PERTURBATION

__all__ = ["PROXIES", "zen_score"]

_POOLS = (_AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd)


def zen_score(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return log(mean over images of ‖f(x) - f(x + 0.01 x')‖) plus the scales of the batch norms.

    The scale of a batch norm is ½·log(mean over channels of its running variance).

    Args:
        model: the network; it runs with weights N(0, 1), in train mode.
        images: x, (B, C, H, W), N(0, 1) in the paper; x' is drawn here.
        labels: not read.
        seed: seed of x' and of the weights, drawn on the CPU for every device; of dropout.

    Returns:
        The score; minus infinity if the perturbation changes nothing, not finite if N(0, 1)
        weights without normalisation overflow.

    Raises:
        ValueError: no global pooling and no linear layer ran, so it is unknown where the features
            end; or batch normalisation is called as a function, so its scale is unknown.
    """
    # Not `seed` itself: noise images of that seed are made of the same random numbers.
    generator = torch.Generator("cpu").manual_seed(seed + 1)
    moved = images + PERTURBATION * torch.randn(images.shape, generator=generator).to(images)
    with untouched(model, seed), torch.no_grad():
        redraw(model, images, generator)
        before = _features(model, images)
        torch.manual_seed(seed)  # dropout drops the same units again
        after = _features(model, moved)
        change = (after - before).flatten(1).double().norm(dim=1).mean().log()
        variances = [
            module.running_var.double().mean().log()
            for module in model.modules()
            if isinstance(module, _BatchNorm) and module.running_var is not None
        ]
    return float(change) + sum(float(variance) / 2 for variance in variances)


def _features(network: nn.Module, images: Tensor) -> Tensor:
    """Return the input of the global pooling, or else of the last linear layer, (B, ...).

    Raises:
        ValueError: the network has neither, or batch_norm was called as a function.
    """
    pooled: Tensor | None = None
    read: Tensor | None = None

    norms = called = 0

    def count(given: Tensor, output: Tensor) -> None:
        nonlocal called
        called += 1

    def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        nonlocal pooled, read, norms
        if isinstance(module, _BatchNorm):
            norms += 1
            return
        given: Tensor = args[0] if args else next(iter(kwargs.values()))
        if isinstance(module, nn.Linear):
            read = given.clone()
        elif isinstance(module, _POOLS):
            # Max pools may return indices too.
            result = output if isinstance(output, Tensor) else output[0]
            if _positions(result) == 1 < _positions(given):
                pooled = given.clone()
        elif _positions(given) > 1:
            pooled = None  # maps follow, so that pool belonged to a gate (squeeze-and-excite)

    handles = [
        module.register_forward_hook(hook, with_kwargs=True)
        for module in network.modules()
        if isinstance(module, (*_POOLS, *WEIGHTED, _BatchNorm))
    ]
    try:
        with Normalisation(count, BATCH_NORMS):
            network(fresh_copy(images))
    finally:
        for handle in handles:
            handle.remove()
    if called > norms:
        raise ValueError(
            "zen needs batch norms as modules: this network calls batch_norm as a function"
        )
    features = read if pooled is None else pooled
    if features is None:
        raise ValueError("no global pooling and no linear layer ran: zen reads their input")
    return features


def _positions(maps: Tensor) -> int:
    """Return the number of positions of (B, C, ...) maps."""
    return maps.shape[2:].numel()


PROXIES = (
    FunctionProxy(
        name="zen",
        layers_only=True,
        function=zen_score,
        passes=("noise",),
        reference="Lin et al., ICCV 2021",
        description="Logarithm of the mean over images of the norm of f(x) - f(x + 0.01 x'), plus "
        "the sum over batch norms of log sqrt(mean over channels of the running variance).",
        notes="x and x' are N(0, 1). The network runs in train mode with the statistics of the "
        "batch. Weights of convolutions and linear layers are N(0, 1), their biases 0, scales of "
        "normalisation layers 1 and shifts 0; other parameters stay. f is the input of the last "
        "pooling module that reduces several positions to one, unless a convolution reads a larger "
        "map after it. Without such a module, f is the input of the last linear layer (which is "
        "after the pooling, if that is not a module). The norm is Euclidean per image, as in the "
        "paper; the authors' code sums absolute values. Running variances are those of their code: "
        "they start at 1, have momentum 0.1, and are read after both passes, so a batch norm with "
        "a constant input adds a small term instead of minus infinity. A batch norm that never "
        "runs adds 0.",
    ),
)
