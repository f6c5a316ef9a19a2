"""Jacobian covariance: the correlation of input gradients between the images of a batch.

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
    "Minus the sum of log(v + 1e-5) + 1/(v + 1e-5) over the eigenvalues v of the correlation "
    "between images of the gradients of the sum of outputs with respect to the images"
)
_FLOOR = 1e-5


def jacobian_score(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return -Σ (log(v + 1e-5) + 1/(v + 1e-5)) over the eigenvalues v of the correlation matrix.

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W), two or more.
        labels: not read.
        seed: seed of randomness inside the network (dropout).

    Raises:
        ValueError: there is only one image, or the gradient of an image is 0, constant or not
            finite.
    """
    if len(images) < 2:
        raise ValueError("jacov compares images: give 2 or more")
    rows, _ = input_gradients(model, images, seed)
    # The matrix has no negative eigenvalue; a rounding error of -1e-16 is far below the floor.
    values = torch.linalg.eigvalsh(image_correlation(rows)) + _FLOOR
    return -float((values.log() + 1 / values).sum())


PROXIES = (
    FunctionProxy(
        name="jacov",
        function=jacobian_score,
        passes=("data",),
        reference=_REFERENCE,
        description=f"{_WORDS}, on images of the data set.",
        notes="Train mode, as published: batch normalisation uses the statistics of the batch, "
        "so the gradient of an image includes its effect on the outputs of the other images. No "
        "labels. One forward and one backward pass; correlation and eigenvalues in float64. "
        "A network fails if the gradient of an image is 0 (no path to the output) or constant.",
    ),
    ExpressionProxy(
        name="jacov_noise",
        expression="first_layer(jacov_score(batch_correlation(noise_input_grad)))",
        reference=_REFERENCE,
        description=f"{_WORDS}.",
        notes="On N(0, 1) images, while the paper uses images of the data set, because the "
        "gradient of the sum of outputs belongs to the noise pass. It is the gradient with respect "
        "to the input of the first layer, so this must be the only layer that reads the images. "
        "Eigenvalues below 1e-6 of the largest count as 0, and an image without a gradient counts "
        "as uncorrelated.",
    ),
)
