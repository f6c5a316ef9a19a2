"""GradSign: do the images agree on the way in which each weight should move?

Zhang and Jia, "GradSign: model performance inference with theoretical insights", ICLR 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from greenmachine.networks.untouched import untouched
from greenmachine.proxies.types import FunctionProxy
from greenmachine.proxies.zoo.gradients import cross_entropy, given, gradients, weights

__all__ = ["PROXIES", "sign_agreement"]


def sign_agreement(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the sum over the weights of |sum over the images of sign(gradient)|.

    Args:
        model: the network; run in train mode on one image after the other.
        images: (B, C, H, W).
        labels: (B,) class indices.
        seed: of randomness inside the network (dropout).

    Raises:
        ValueError: labels or weights are missing, or the network refuses a single image.
    """
    with untouched(model, seed):
        ends = weights(model)
        signs = [torch.zeros_like(weight) for weight in ends]
        for image, label in zip(images, given(labels), strict=True):
            found = gradients(cross_entropy(model, image[None], label[None]), ends)
            for total, gradient in zip(signs, found, strict=True):
                total += gradient.sign()
    # Whole numbers: in float64 their sum is exact.
    return sum(float(total.abs().to("cpu", torch.float64).sum()) for total in signs)


PROXIES = (
    FunctionProxy(
        name="gradsign",
        layers_only=True,
        function=sign_agreement,
        passes=("data",),
        needs_labels=True,
        reference="Zhang and Jia, ICLR 2022",
        words="Sum over all weights of |sum over the images of the sign of the gradient of "
        "that image's cross-entropy|.",
        notes="Every image goes forward and backward alone, in train mode: batch normalisation "
        "takes the statistics of that image, and the images do not mix. A network that "
        "normalises without positions to average over refuses that, and fails. Weights of "
        "convolutions and linear layers; those without gradient add nothing.",
    ),
)
