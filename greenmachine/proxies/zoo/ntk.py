"""Condition number of the neural tangent kernel, a measure of trainability.

Chen et al., "Neural architecture search on ImageNet in four GPU hours: a theoretically inspired
perspective" (TE-NAS), ICLR 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from greenmachine.networks.untouched import untouched
from greenmachine.proxies.types import FunctionProxy
from greenmachine.proxies.zoo.gradients import gradients, logits, weights

__all__ = ["IMAGES", "PROXIES", "condition_number"]

IMAGES = 8
"""Number of images that are used; each needs its own backward pass through the whole batch."""


def condition_number(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return λ_max/λ_min of the kernel K, K_ij = <g_i, g_j>.

    g_i is the gradient of the sum of the logits of image i with respect to all weights.

    Args:
        model: the network; run in train mode, with the statistics of the images used.
        images: (B, C, H, W), two or more; the first ``IMAGES`` are used.
        labels: not read.
        seed: seed of randomness inside the network (dropout).

    Returns:
        The condition number; infinity if K is singular at the precision of the network, as it is
        for two equal images.

    Raises:
        ValueError: there is only one image, or no weight.
    """
    if len(images) < 2:
        raise ValueError("ntk compares images: give 2 or more")
    images = images[:IMAGES]
    with untouched(model, seed):
        ends = weights(model)
        sums = logits(model, images).sum(dim=1)
        by_image = [gradients(one, ends, keep_graph=True) for one in sums]
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)
    for layer in zip(*by_image, strict=True):
        rows = torch.stack(layer).flatten(1).to("cpu", torch.float64)
        kernel += rows @ rows.mT
    values = torch.linalg.eigvalsh(kernel)
    # Rows that should be equal differ by rounding: eps in the rows becomes eps² in their products,
    # and the products are rounded themselves.
    eps = len(images) * torch.finfo(images.dtype).eps
    floor = max(eps**2, len(images) * torch.finfo(kernel.dtype).eps)
    if not values[0] > floor * values[-1]:
        return torch.inf
    return float(values[-1] / values[0])


PROXIES = (
    FunctionProxy(
        name="ntk",
        layers_only=True,
        function=condition_number,
        passes=("data",),
        direction=-1,
        reference="Chen et al., ICLR 2021",
        description="Largest eigenvalue divided by smallest eigenvalue of G * G^T, where each row "
        "of G is the gradient of the summed logits of one image with respect to all weights. A "
        "low score is good.",
        notes=f"Only the first {IMAGES} images of the batch are used. They are passed forward "
        "together in train mode, as in the authors' code, so batch normalisation couples them; "
        "then one backward pass follows for each image. Only weights of convolutions and linear "
        "layers count; the authors include the scales of normalisation layers, and take the mean "
        "over several initialisations. Layers without a gradient count as 0. The score is "
        "infinite, which counts as failed, if the matrix is singular.",
    ),
)
