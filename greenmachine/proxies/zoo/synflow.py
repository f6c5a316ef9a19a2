"""Synaptic flow: no data, an image of ones through absolute weights, batch norm off.

Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic
flow", NeurIPS 2020; logsynflow: Cavagnero et al., "FreeREA", WACV 2023.
"""

from __future__ import annotations

from greenmachine.proxies.types import ExpressionProxy

__all__ = ["PROXIES"]

_PASS = (
    "R is the sum of the outputs for one image of ones, with every parameter (biases too) "
    "replaced by its magnitude and batch normalisation handing on what it gets, as in the "
    "published code, in float64. Other normalisations work as ever."
)

PROXIES = (
    ExpressionProxy(
        name="synflow",
        expression="sum_layers(l1_norm(mul(ones_weight_grad, weight)))",
        reference="Tanaka et al., NeurIPS 2020",
        words="Sum over all weights of |w * dR/dw|, with R the sum of the outputs for ones.",
        notes=_PASS,
    ),
    ExpressionProxy(
        name="logsynflow",
        expression="sum_layers(dot(abs(weight), log1p_abs(ones_weight_grad)))",
        reference="Cavagnero et al., WACV 2023",
        words="Sum over all weights of |w| * log(1 + dR/dw), with R the sum of the outputs "
        "for ones.",
        notes=f"{_PASS} The logarithm takes |dR/dw|, which differs only where an activation "
        "falls (ReLU, pooling and sums never make dR/dw negative).",
    ),
)
