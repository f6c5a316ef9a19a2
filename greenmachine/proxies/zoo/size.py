"""How large the network is: the trivial proxies that every other one must beat.

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
        words="Number of parameters: all weights and biases, those of normalisation too.",
        notes="The column of the tables of NATS-Bench. A module that fires twice counts once, one "
        "that never fires counts too, and so do parameters that are frozen. A weight that is "
        "computed from others (weight normalisation, pruning) counts as itself, not as these.",
    ),
    ExpressionProxy(
        name="weight_count",
        expression="sum_layers(numel(weight))",
        reference=_REFERENCE,
        words="Number of weights of convolutions and linear layers.",
        notes="The number of parameters without those of normalisation layers and without "
        "biases, which the language does not see. A module that fires twice counts twice.",
    ),
    ExpressionProxy(
        name="flops",
        expression="sum_layers(mul(numel(weight), position_count(noise_output)))",
        reference=_REFERENCE,
        words="Multiply-accumulates of convolutions and linear layers for one image.",
        notes="Depends on the size of the noise images, which should be that of the data. The "
        "tables of NATS-Bench add one for each bias of the head. A transposed convolution counts "
        "as if it filled its output with zeros first: stride times stride too much.",
    ),
)
