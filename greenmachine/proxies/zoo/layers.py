"""Numbers of layers: baselines that need no gradient.

Tybl and Neumann, "Training-free neural architecture search through variance of knowledge of deep
network weights", CVPR 2025, use the first as a baseline beside parameters and FLOPs.
"""

from __future__ import annotations

from torch import Tensor, nn

from greenmachine.networks.untouched import untouched
from greenmachine.proxies.types import ExpressionProxy, FunctionProxy

__all__ = ["PROXIES", "parameter_tensors"]


def parameter_tensors(
    model: nn.Module, images: Tensor | None = None, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the number of parameter tensors; images, labels and seed are not read."""
    with untouched(model, seed):
        return float(len(list(model.parameters())))


PROXIES = (
    FunctionProxy(
        name="trainable_layers",
        function=parameter_tensors,
        passes=(),
        reference="Tybl and Neumann, CVPR 2025",
        description="Number of parameter tensors: a convolution with its batch normalisation has "
        "three.",
        notes="Counted as in the authors' code. A tensor that two modules share counts once. A "
        "tensor that is frozen, or that the forward pass does not use, counts too.",
    ),
    ExpressionProxy(
        name="fired_layers",
        expression="layer_count(numel(noise_output))",
        reference="this project, after Tybl and Neumann, CVPR 2025",
        description="Number of convolutions and linear layers that run in a forward pass.",
        notes="A module that runs twice counts twice; a module that never runs does not count.",
    ),
)
