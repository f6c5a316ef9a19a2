"""ZiCo: are gradients large, and alike from one mini-batch to the next?

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
        model: the network; run in train mode on either half of the images.
        images: (B, C, H, W), two or more; the mini-batches are the first B // 2 and the rest.
        labels: (B,) class indices.
        seed: of randomness inside the network (dropout).

    Returns:
        The score; 0 where no weight has a gradient that varies.

    Raises:
        ValueError: there is one image alone, or labels or weights are missing.
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
    """Return a layer's share of the score from its gradients (mini-batches, ...)."""
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
        words="Sum over the layers of the logarithm of the sum over the weights of mean |g| by "
        "standard deviation of g, with g the gradient of the cross-entropy on each mini-batch.",
        notes="Two mini-batches: the first half of the batch and the rest. With two, the "
        "standard deviation (divided by their number, not one less) is half the difference. "
        "Train mode. Weights of convolutions and linear layers; one whose gradient does not "
        "vary is left out, and so is a layer of such weights alone. Deviations close to 0 weigh "
        "most, so in float32 rounding alone moves a score by about a percent.",
    ),
)
