"""Synaptic flow: gradients on an image of ones, with absolute weights and without batch norm.

Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic
flow", NeurIPS 2020; logsynflow: Cavagnero et al., "FreeREA", WACV 2023.
"""

from __future__ import annotations

from greenmachine.proxies.types import ExpressionProxy

__all__ = ["PROXIES"]

_PASS = (
    "R is the sum of the outputs for one image of ones, with every parameter (biases too) "
    "replaced by its absolute value and batch normalisation replaced by the identity, as in the "
    "published code, in float64. Other normalisations stay."
)

PROXIES = (
    ExpressionProxy(
        name="synflow",
        expression="sum_layers(l1_norm(mul(ones_weight_grad, weight)))",
        reference="Tanaka et al., NeurIPS 2020",
        description="Sum over all weights of |w * dR/dw|, where R is the sum of the outputs for "
        "an image of ones.",
        notes=_PASS,
    ),
    ExpressionProxy(
        name="logsynflow",
        expression="sum_layers(dot(abs(weight), log1p_abs(ones_weight_grad)))",
        reference="Cavagnero et al., WACV 2023",
        description="Sum over all weights of |w| * log(1 + dR/dw), where R is the sum of the "
        "outputs for an image of ones.",
        notes=f"{_PASS} The logarithm is that of 1 + |dR/dw|, which differs only if an activation "
        "function decreases somewhere (with ReLU, pooling and sums, dR/dw is never negative).",
    ),
)
