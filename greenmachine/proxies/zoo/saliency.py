"""Saliency of weights: how much the loss changes if a weight is removed.

plain: Mozer and Smolensky, "Skeletonization", NeurIPS 1989; snip: Lee et al., "SNIP:
single-shot network pruning", ICLR 2019; both as scores of networks: Abdelfattah et al., ICLR 2021.
"""

from __future__ import annotations

from greenmachine.proxies.types import ExpressionProxy

__all__ = ["PROXIES"]

PROXIES = (
    ExpressionProxy(
        name="plain",
        expression="sum_layers(dot(data_weight_grad, weight))",
        reference="Mozer and Smolensky, NeurIPS 1989; Abdelfattah et al., ICLR 2021",
        description="Sum over all weights of gradient times weight, cross-entropy on a labelled "
        "mini-batch.",
        notes="The direction is that of the paper; the measured tau is negative on the topology "
        "space. The sum over a layer before a batch normalisation is 0 except for rounding, "
        "because the loss does not depend on the scale of its weights, so only layers without a "
        "batch normalisation contribute.",
    ),
    ExpressionProxy(
        name="snip",
        expression="sum_layers(l1_norm(mul(data_weight_grad, weight)))",
        reference="Lee et al., ICLR 2019; Abdelfattah et al., ICLR 2021",
        description="Sum over all weights of |gradient times weight|, cross-entropy on a labelled "
        "mini-batch.",
        notes="Not divided by the sum over the network, as a pruning criterion would be.",
    ),
)
