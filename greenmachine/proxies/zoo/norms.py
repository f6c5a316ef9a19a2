"""Norms of weights and gradients.

Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021.
"""

from __future__ import annotations

from greenmachine.proxies.types import ExpressionProxy

__all__ = ["PROXIES"]

_REFERENCE = "Abdelfattah et al., ICLR 2021"

PROXIES = (
    ExpressionProxy(
        name="l2_norm",
        expression="sum_layers(l2_norm(weight))",
        reference=_REFERENCE,
        description="Sum over the layers of the Euclidean norm of the weights.",
    ),
    ExpressionProxy(
        name="grad_norm",
        expression="sum_layers(l2_norm(data_weight_grad))",
        reference=_REFERENCE,
        description="Sum over the layers of the Euclidean norm of the gradient of the "
        "cross-entropy with respect to the weights, on a labelled mini-batch.",
    ),
)
