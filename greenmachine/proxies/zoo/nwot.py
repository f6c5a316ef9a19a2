"""Naswot: can the rectifiers tell the images apart?

Mellor et al., "Neural architecture search without training", ICML 2021.
"""

from __future__ import annotations

from greenmachine.proxies.base import Proxy

__all__ = ["PROXIES"]

PROXIES = (
    Proxy(
        name="nwot_inputs",
        expression="logdet(sum_matrices(sign_agreement(noise_input)))",
        reference="Mellor et al., ICML 2021, at the layer inputs",
        words="log|det K|, where K counts for each two images the inputs of convolutions and "
        "linear layers that are positive for both or for neither.",
        notes="The paper counts the outputs of ReLUs, on images of the data set; here the images "
        "are N(0, 1). Where a ReLU stands before a convolution (every cell of NATS-Bench) its "
        "code is the sign of that convolution's input; but a ReLU that two layers read counts "
        "twice, one that no layer reads directly (before the global pool) does not count, and "
        "inputs that no ReLU made (the image, pooled shortcuts) count too. Eigenvalues are "
        "floored at 1e-6 of the largest.",
    ),
)
