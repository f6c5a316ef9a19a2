"""GraSP: how much each weight preserves the gradient flow.

Wang et al., "Picking winning tickets before training by preserving gradient flow", ICLR 2020; as
a score of networks: Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from greenmachine.networks.untouched import untouched
from greenmachine.proxies.types import FunctionProxy
from greenmachine.proxies.zoo.gradients import cross_entropy, given, gradients, weights

__all__ = ["PROXIES", "gradient_flow"]


def gradient_flow(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return -sum over the weights of w * (Hg), H the Hessian and g the gradient of the loss.

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W).
        labels: (B,) class indices.
        seed: seed of randomness inside the network (dropout).

    Raises:
        ValueError: labels or weights are missing.
    """
    with untouched(model, seed):
        ends = weights(model)
        loss = cross_entropy(model, images, given(labels))
        found = gradients(loss, ends, create_graph=True)
        # The gradient of ½‖g‖² is Hg.
        squares = [gradient.square().sum() for gradient in found]
        products = gradients(sum(squares, loss.new_zeros(())) / 2, ends)
    return -sum(
        float((weight.detach() * product).to("cpu", torch.float64).sum())
        for weight, product in zip(ends, products, strict=True)
    )


PROXIES = (
    FunctionProxy(
        name="grasp",
        layers_only=True,
        function=gradient_flow,
        passes=("data",),
        needs_labels=True,
        reference="Wang et al., ICLR 2020; Abdelfattah et al., ICLR 2021",
        description="Minus the sum over all weights of w * (Hg), where g is the gradient and H the "
        "Hessian of the cross-entropy on a labelled mini-batch.",
        notes="The sign is that of both papers: high is good. Hg is the gradient of half of "
        "|g|^2, computed by differentiating twice through one forward pass in train mode, without "
        "the temperature of GraSP. Only weights of convolutions and linear layers count in g, H "
        "and the sum; those without a gradient contribute nothing. A layer before a batch "
        "normalisation contributes its own |g|^2, because the loss does not depend on the scale "
        "of its weights.",
    ),
)
