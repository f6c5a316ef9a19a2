"""Covariance of the Jacobian: do images pull the network in different directions?

Mellor et al., "Neural architecture search without training", first version, arXiv 2006.04647v1
(2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from greenmachine.proxies.types import ExpressionProxy, FunctionProxy
from greenmachine.proxies.zoo.gradients import image_correlation, input_gradients

__all__ = ["PROXIES", "jacobian_score"]

_REFERENCE = "Mellor et al., arXiv 2006.04647v1, 2020"
_WORDS = (
    "Minus the sum of log(v + 1e-5) + 1/(v + 1e-5) over the eigenvalues v of the "
    "correlation of the images' gradients of the sum of outputs"
)
_FLOOR = 1e-5


def jacobian_score(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return -sum of log(v + 1e-5) + 1/(v + 1e-5), v the eigenvalues of the correlation.

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W), two or more.
        labels: not read.
        seed: of randomness inside the network (dropout).

    Raises:
        ValueError: there is one image alone, or the gradient of an image is 0, constant or not
            finite.
    """
    if len(images) < 2:
        raise ValueError("jacov compares images: give 2 or more")
    rows, _ = input_gradients(model, images, seed)
    # The matrix has no negative eigenvalue; elimination may leave -1e-16, far below the floor.
    values = torch.linalg.eigvalsh(image_correlation(rows)) + _FLOOR
    return -float((values.log() + 1 / values).sum())


PROXIES = (
    FunctionProxy(
        name="jacov",
        function=jacobian_score,
        passes=("data",),
        reference=_REFERENCE,
        words=f"{_WORDS}, on images of the data set.",
        notes="Train mode, as published: batch normalisation takes the statistics of the batch, "
        "so the gradient of an image includes what it does to the outputs of the others. No "
        "labels. One forward and one backward pass; correlation and eigenvalues in float64. "
        "A network fails where the gradient of an image is 0 (no path to the output) or constant.",
    ),
    ExpressionProxy(
        name="jacov_noise",
        expression="first_layer(jacov_score(batch_correlation(noise_input_grad)))",
        reference=_REFERENCE,
        words=f"{_WORDS}.",
        notes="On N(0, 1) images, where the paper takes images of the data set: the gradient "
        "of the sum of outputs belongs to the noise pass. The gradient is that of the input of "
        "the layer that fires first, so that layer must read the images, and alone. Eigenvalues "
        "below 1e-6 of the largest count as 0, and an image without gradient as uncorrelated.",
    ),
)
