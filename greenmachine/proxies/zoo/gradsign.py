"""GradSign: the agreement between images on the sign of each weight's gradient.

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
        model: the network; run in train mode on one image at a time.
        images: (B, C, H, W).
        labels: (B,) class indices.
        seed: seed of randomness inside the network (dropout).

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
    # These are integers, whose sum is exact in float64.
    return sum(float(total.abs().to("cpu", torch.float64).sum()) for total in signs)


PROXIES = (
    FunctionProxy(
        name="gradsign",
        layers_only=True,
        function=sign_agreement,
        passes=("data",),
        needs_labels=True,
        reference="Zhang and Jia, ICLR 2022",
        description="Sum over all weights of |sum over the images of the sign of the gradient of "
        "that image's cross-entropy|.",
        notes="Every image is passed forward and backward alone, in train mode, so batch "
        "normalisation uses the statistics of that image. A network with a batch normalisation "
        "over vectors cannot run on one image, and fails. Only weights of convolutions and linear "
        "layers count; those without a gradient contribute nothing.",
    ),
)
