"""ZiCo: the inverse coefficient of variation of gradients over mini-batches.

Li et al., "ZiCo: zero-shot NAS via inverse coefficient of variation on gradients", ICLR 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from greenmachine.networks.untouched import untouched
from greenmachine.proxies.types import FunctionProxy
from greenmachine.proxies.zoo.gradients import cross_entropy, given, gradients, weights

__all__ = ["PROXIES", "inverse_variation"]


def inverse_variation(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the sum over the layers of log(sum over the weights of mean|g| / std(g)).

    Args:
        model: the network; run in train mode, once on each half of the images.
        images: (B, C, H, W), two or more; the mini-batches are the first B // 2 and the rest.
        labels: (B,) class indices.
        seed: seed of randomness inside the network (dropout).

    Returns:
        The score; 0 if no weight has a gradient that varies.

    Raises:
        ValueError: there is only one image, or labels or weights are missing.
    """
    if len(images) < 2:
        raise ValueError("zico needs two mini-batches: give 2 images or more")
    classes, half = given(labels), len(images) // 2
    with untouched(model, seed):
        ends = weights(model)
        first, second = (
            gradients(cross_entropy(model, images[part], classes[part]), ends)
            for part in (slice(half), slice(half, None))
        )
    return sum(_log_ratio(torch.stack(layer)) for layer in zip(first, second, strict=True))


def _log_ratio(found: Tensor) -> float:
    """Return the contribution of a layer from its gradients (mini-batches, ...)."""
    found = found.flatten(1).to("cpu", torch.float64)
    spread = found.std(dim=0, correction=0)
    varies = spread > 0
    ratios = found.abs().mean(dim=0)[varies] / spread[varies]
    return float(ratios.sum().log()) if len(ratios) else 0.0


PROXIES = (
    FunctionProxy(
        name="zico",
        layers_only=True,
        function=inverse_variation,
        passes=("data",),
        needs_labels=True,
        reference="Li et al., ICLR 2023",
        description="Sum over the layers of the logarithm of the sum over the weights of mean|g| / "
        "std(g), where g is the gradient of the cross-entropy on each mini-batch.",
        notes="The two mini-batches are the first half of the batch and the rest, so the standard "
        "deviation (without Bessel's correction) is half the difference. Train mode. Only weights "
        "of convolutions and linear layers count; a weight whose gradient does not vary is left "
        "out, and so is a layer that has only such weights. Standard deviations close to 0 "
        "dominate, so rounding in float32 alone changes a score by about one percent.",
    ),
)
