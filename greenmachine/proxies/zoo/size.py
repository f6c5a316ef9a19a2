"""The size of the network: baselines that every other proxy should exceed.

White et al., "A deeper look at zero-cost proxies for lightweight NAS", ICLR blog track 2022.
"""

from __future__ import annotations

from torch import Tensor, nn

from greenmachine.networks.untouched import untouched
from greenmachine.proxies.types import ExpressionProxy, FunctionProxy

__all__ = ["PROXIES", "parameter_count"]

_REFERENCE = "White et al., ICLR blog track 2022"


def parameter_count(
    model: nn.Module, images: Tensor | None = None, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the number of parameters, frozen ones too; images, labels and seed are not read.

    Raises:
        ValueError: the network is lazy or quantised.
    """
    with untouched(model, seed):
        return float(sum(parameter.numel() for parameter in model.parameters()))


PROXIES = (
    FunctionProxy(
        name="params",
        function=parameter_count,
        passes=(),
        reference=_REFERENCE,
        description="Number of parameters: all weights and biases, those of normalisation too.",
        notes="Equal to the column of the tables of NATS-Bench. A module that runs twice counts "
        "once. A module that never runs, and frozen parameters, count too. For a weight that is "
        "computed from others (weight normalisation, pruning), the computed weight counts.",
    ),
    ExpressionProxy(
        name="weight_count",
        expression="sum_layers(numel(weight))",
        reference=_REFERENCE,
        description="Number of weights of convolutions and linear layers.",
        notes="The number of parameters without those of normalisation layers and without "
        "biases, which are not signals of the language. A module that runs twice counts twice.",
    ),
    ExpressionProxy(
        name="flops",
        expression="sum_layers(mul(numel(weight), position_count(noise_output)))",
        reference=_REFERENCE,
        description="Number of multiply-accumulate operations of convolutions and linear layers "
        "for one image.",
        notes="It depends on the size of the noise images, which should be that of the data. The "
        "tables of NATS-Bench add one for each bias of the classifier. The count of a transposed "
        "convolution is too high by a factor of stride times stride.",
    ),
)
