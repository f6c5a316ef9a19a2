"""How large the network is: the trivial proxies that every other one must beat.

White et al., "A deeper look at zero-cost proxies for lightweight NAS", ICLR blog track 2022.
"""

from __future__ import annotations

from greenmachine.proxies.base import ExpressionProxy

__all__ = ["PROXIES"]

_REFERENCE = "White et al., ICLR blog track 2022"

PROXIES = (
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
        "tables of NATS-Bench add one for each bias of the head.",
    ),
)
