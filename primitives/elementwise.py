"""Elementwise functions, and normalisations of a layer's tensor. The kind and shape stay the same.

NaN stays NaN. Infinity stays infinite or becomes NaN, except where the function is bounded there:
relu(-inf) is 0, and minimum(inf, 1) is 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from greenmachine.primitives._helpers import (
    centred,
    inverse_or_zero,
    keep_failure,
    layer_dims,
    softened_inverse,
    step,
)
from greenmachine.primitives._signatures import (
    ACTIVATIONS,
    FITS,
    MATRICES,
    SCALARS,
    TENSORS,
    TOTAL,
    same,
    same_pair,
)
from greenmachine.primitives.registry import BATCH_MATRIX, NETWORK_MATRIX, primitive

_EVERY = same((*TENSORS, *MATRICES, *SCALARS))
_EVERY_TENSOR = same(TENSORS)
_PAIRS = same_pair((*TENSORS, BATCH_MATRIX, NETWORK_MATRIX, *SCALARS))
_ALGEBRA = "elementary algebra"


@primitive(*_EVERY, domain=TOTAL, reference=_ALGEBRA, idempotent=True, notation=r"\left|#1\right|")
def abs(x: Tensor) -> Tensor:
    """Absolute value |x|, elementwise."""
    return x.abs()


@primitive(
    *_EVERY,
    domain=TOTAL,
    reference=_ALGEBRA,
    involution=True,
    rank_preserving=True,
    notation="-#(1)",
)
def neg(x: Tensor) -> Tensor:
    """Negative -x, elementwise."""
    return -x


@primitive(*_EVERY, domain=FITS, reference=_ALGEBRA, notation="#(1)^{2}")
def square(x: Tensor) -> Tensor:
    """Square x², elementwise."""
    return x * x


@primitive(*_EVERY, domain=FITS, reference=_ALGEBRA, rank_preserving=True, notation="#(1)^{3}")
def cube(x: Tensor) -> Tensor:
    """Cube x³, elementwise."""
    return (x * x).mul_(x)


@primitive(*_EVERY, domain=TOTAL, reference=_ALGEBRA, notation=r"\sqrt{\left|#1\right|}")
def sqrt_abs(x: Tensor) -> Tensor:
    """Square root of the absolute value, √|x|, elementwise."""
    return x.abs().sqrt_()


@primitive(
    *_EVERY, domain=TOTAL, reference=_ALGEBRA, rank_preserving=True, notation=r"\sqrt[\pm]{#1}"
)
def signed_sqrt(x: Tensor) -> Tensor:
    """Square root that keeps the sign, sign(x)·√|x|, elementwise."""
    return x.abs().sqrt_().mul_(torch.sign(x))


@primitive(
    *_EVERY, domain=TOTAL, reference=_ALGEBRA, notation=r"\log\left(1 + \left|#1\right|\right)"
)
def log1p_abs(x: Tensor) -> Tensor:
    """Logarithm log(1 + |x|), elementwise."""
    return x.abs().log1p_()


@primitive(
    *_EVERY,
    domain=TOTAL,
    reference="symmetric logarithm",
    rank_preserving=True,
    notation=r"\log^{\pm}\left(1 + \left|#1\right|\right)",
)
def signed_log1p(x: Tensor) -> Tensor:
    """Logarithm that keeps the sign, sign(x)·log(1 + |x|), elementwise."""
    return x.abs().log1p_().mul_(torch.sign(x))


@primitive(
    *_EVERY,
    domain=TOTAL,
    reference="rectified linear unit",
    idempotent=True,
    notation=r"\left[#1\right]_{+}",
)
def relu(x: Tensor) -> Tensor:
    """Rectifier max(x, 0), elementwise."""
    return torch.relu(x)


@primitive(
    *_EVERY,
    domain=TOTAL,
    reference=_ALGEBRA,
    idempotent=True,
    notation=r"\operatorname{sgn}\left(#1\right)",
)
def sign(x: Tensor) -> Tensor:
    """Sign of x, elementwise: -1, 0 or 1."""
    return keep_failure(torch.sign(x), x)


@primitive(
    *_EVERY,
    domain=TOTAL,
    reference="Heaviside step, 0 at 0",
    idempotent=True,
    notation=r"\mathbf{1}\left[#1 > 0\right]",
)
def positive(x: Tensor) -> Tensor:
    """Indicator of x > 0, elementwise: 1 or 0."""
    return step(x)


@primitive(*_EVERY, domain=TOTAL, reference="hyperbolic tangent", notation=r"\tanh\left(#1\right)")
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, elementwise."""
    # (1 - e)/(1 + e) with e = exp(-2|x|) is exact for small x too, and faster than torch.tanh.
    less = x.abs().mul_(-2).expm1_()
    more = less + 2
    return keep_failure(torch.div(less, more, out=more).neg_().mul_(torch.sign(x)), x)


@primitive(*_EVERY, domain=TOTAL, reference="logistic function", notation=r"\sigma\left(#1\right)")
def sigmoid(x: Tensor) -> Tensor:
    """Logistic function 1/(1 + exp(-x)), elementwise."""
    return keep_failure(torch.sigmoid(x), x)


@primitive(
    *same((*TENSORS, *SCALARS)),
    domain=f"{TOTAL}: x/(x² + 1e-16), 1/x down to |x| = 1e-8; 0 where x² overflows",
    reference="Tikhonov-regularised inverse",
    notation=r"\frac{1}{#1}",
)
def reciprocal(x: Tensor) -> Tensor:
    """Regularised inverse x/(x² + 1e-16), elementwise: about 1/x, and 0 at 0."""
    return softened_inverse(x)


@primitive(*_PAIRS, domain=FITS, reference=_ALGEBRA, commutative=True, notation="#1 + #2")
def add(x: Tensor, y: Tensor) -> Tensor:
    """Sum x + y, elementwise."""
    return x + y


@primitive(*_PAIRS, domain=FITS, reference=_ALGEBRA, notation="#1 - #(2)")
def sub(x: Tensor, y: Tensor) -> Tensor:
    """Difference x - y, elementwise."""
    return x - y


@primitive(*_PAIRS, domain=FITS, reference=_ALGEBRA, commutative=True, notation=r"#(1) \cdot #(2)")
def mul(x: Tensor, y: Tensor) -> Tensor:
    """Product x·y, elementwise."""
    return x * y


@primitive(
    *_PAIRS,
    domain=f"{FITS}: x·y/(y² + 1e-16), x/y down to |y| = 1e-8; 0 where y² overflows",
    reference="Tikhonov-regularised division",
    notation=r"\frac{#1}{#2}",
)
def div(x: Tensor, y: Tensor) -> Tensor:
    """Regularised quotient x·y/(y² + 1e-16), elementwise: about x/y, and 0 where y = 0."""
    return softened_inverse(y).mul_(x)


@primitive(
    *_PAIRS, domain=TOTAL, reference=_ALGEBRA, commutative=True, notation=r"\min\left(#1, #2\right)"
)
def minimum(x: Tensor, y: Tensor) -> Tensor:
    """Minimum of x and y, elementwise."""
    return torch.minimum(x, y)


@primitive(
    *_PAIRS, domain=TOTAL, reference=_ALGEBRA, commutative=True, notation=r"\max\left(#1, #2\right)"
)
def maximum(x: Tensor, y: Tensor) -> Tensor:
    """Maximum of x and y, elementwise."""
    return torch.maximum(x, y)


@primitive(*_PAIRS, domain=FITS, reference=_ALGEBRA, notation=r"\mathbf{1}\left[#1 > #2\right]")
def greater(x: Tensor, y: Tensor) -> Tensor:
    """Indicator of x > y, elementwise: 1 or 0."""
    return step(x - y)


@primitive(
    *_EVERY_TENSOR,
    domain=f"{FITS}; a constant gives 0",
    reference="z-score",
    notation=r"\operatorname{z}\left(#1\right)",
)
def standardise(x: Tensor) -> Tensor:
    """Z-score over the layer: (x - mean(x))/std(x)."""
    rest, std = centred(x, layer_dims(x))
    return rest.mul_(inverse_or_zero(std))


@primitive(*_EVERY_TENSOR, domain=f"{FITS}; zeros stay zeros", reference="unit vector")
def unit_norm(x: Tensor) -> Tensor:
    """Tensor divided by its Euclidean norm over the layer: x/‖x‖₂."""
    return x * inverse_or_zero(torch.linalg.vector_norm(x, dim=layer_dims(x), keepdim=True))


@primitive(*same(ACTIVATIONS), domain=FITS, reference="batch normalisation (Ioffe 2015)")
def centre_channels(x: Tensor) -> Tensor:
    """Tensor minus the mean of each channel, taken over images and positions."""
    return x - x.mean(dim=(1, 3, 4), keepdim=True)


@primitive(
    *same(ACTIVATIONS),
    domain=f"{FITS}; a constant channel gives 0",
    reference="batch normalisation (Ioffe 2015)",
)
def standardise_channels(x: Tensor) -> Tensor:
    """Z-score of each channel over images and positions: (x - mean_c)/std_c."""
    rest, std = centred(x, (1, 3, 4))
    return rest.mul_(inverse_or_zero(std))


@primitive(*same(ACTIVATIONS), domain=FITS, reference="this project: keeps what differs by image")
def centre_batch(x: Tensor) -> Tensor:
    """Tensor minus its mean over the images of the batch."""
    # Reduce in the channels-last order: torch is far slower in the other.
    rows = x.permute(0, 1, 3, 4, 2)
    return x - rows.mean(dim=1, keepdim=True).permute(0, 1, 4, 2, 3)
