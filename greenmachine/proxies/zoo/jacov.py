"""Covariance of the Jacobian: do images pull the network in different directions?

Mellor et al., "Neural architecture search without training", first version, arXiv 2006.04647v1
(2020).
"""

from __future__ import annotations

from greenmachine.proxies.base import ExpressionProxy

__all__ = ["PROXIES"]

PROXIES = (
    ExpressionProxy(
        name="jacov_noise",
        expression="first_layer(jacov_score(batch_correlation(noise_input_grad)))",
        reference="Mellor et al., arXiv 2006.04647v1, 2020",
        words="Minus the sum of log(v + 1e-5) + 1/(v + 1e-5) over the eigenvalues v of the "
        "correlation of the images' gradients of the sum of outputs.",
        notes="On N(0, 1) images, where the paper takes images of the data set: the gradient "
        "of the sum of outputs belongs to the noise pass. The gradient is that of the input of "
        "the layer that fires first, so that layer must read the images, and alone. Eigenvalues "
        "below 1e-6 of the largest count as 0, and an image without gradient as uncorrelated.",
    ),
)
