"""Functions of each element, and normalisations of a layer's tensor; the kind stays.

NaN stays NaN. Infinity stays or becomes NaN, except where an order absorbs it: relu(-inf) is 0,
minimum(inf, 1) is 1.
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
    """Magnitude: |x|."""
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
    """Negative: -x."""
    return -x


@primitive(*_EVERY, domain=FITS, reference=_ALGEBRA, notation="#(1)^{2}")
def square(x: Tensor) -> Tensor:
    """Square: x²."""
    return x * x


@primitive(*_EVERY, domain=FITS, reference=_ALGEBRA, rank_preserving=True, notation="#(1)^{3}")
def cube(x: Tensor) -> Tensor:
    """Cube: x³."""
    return (x * x).mul_(x)


@primitive(*_EVERY, domain=TOTAL, reference=_ALGEBRA, notation=r"\sqrt{\left|#1\right|}")
def sqrt_abs(x: Tensor) -> Tensor:
    """Square root of |x|."""
    return x.abs().sqrt_()


@primitive(
    *_EVERY, domain=TOTAL, reference=_ALGEBRA, rank_preserving=True, notation=r"\sqrt[\pm]{#1}"
)
def signed_sqrt(x: Tensor) -> Tensor:
    """sign(x)·√|x|."""
    return x.abs().sqrt_().mul_(torch.sign(x))


@primitive(
    *_EVERY, domain=TOTAL, reference=_ALGEBRA, notation=r"\log\left(1 + \left|#1\right|\right)"
)
def log1p_abs(x: Tensor) -> Tensor:
    """log(1 + |x|)."""
    return x.abs().log1p_()


@primitive(
    *_EVERY,
    domain=TOTAL,
    reference="symmetric logarithm",
    rank_preserving=True,
    notation=r"\log^{\pm}\left(1 + \left|#1\right|\right)",
)
def signed_log1p(x: Tensor) -> Tensor:
    """sign(x)·log(1 + |x|)."""
    return x.abs().log1p_().mul_(torch.sign(x))


@primitive(
    *_EVERY,
    domain=TOTAL,
    reference="rectified linear unit",
    idempotent=True,
    notation=r"\left[#1\right]_{+}",
)
def relu(x: Tensor) -> Tensor:
    """x where x > 0, else 0."""
    return torch.relu(x)


@primitive(
    *_EVERY,
    domain=TOTAL,
    reference=_ALGEBRA,
    idempotent=True,
    notation=r"\operatorname{sgn}\left(#1\right)",
)
def sign(x: Tensor) -> Tensor:
    """Sign of x: -1, 0 or 1."""
    return keep_failure(torch.sign(x), x)


@primitive(
    *_EVERY,
    domain=TOTAL,
    reference="Heaviside step, 0 at 0",
    idempotent=True,
    notation=r"\mathbf{1}\left[#1 > 0\right]",
)
def positive(x: Tensor) -> Tensor:
    """1 where x > 0, else 0."""
    return step(x)


@primitive(*_EVERY, domain=TOTAL, reference="hyperbolic tangent", notation=r"\tanh\left(#1\right)")
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent of x."""
    # (1 - e)/(1 + e) with e = exp(-2|x|), exact for small x too, and faster than torch.tanh.
    less = x.abs().mul_(-2).expm1_()
    more = less + 2
    return keep_failure(torch.div(less, more, out=more).neg_().mul_(torch.sign(x)), x)


@primitive(*_EVERY, domain=TOTAL, reference="logistic function", notation=r"\sigma\left(#1\right)")
def sigmoid(x: Tensor) -> Tensor:
    """1/(1 + exp(-x))."""
    return keep_failure(torch.sigmoid(x), x)


@primitive(
    *same((*TENSORS, *SCALARS)),
    domain=f"{TOTAL}: x/(x² + 1e-16), 1/x down to |x| = 1e-8; 0 where x² overflows",
    reference="Tikhonov-regularised inverse",
    notation=r"\frac{1}{#1}",
)
def reciprocal(x: Tensor) -> Tensor:
    """1/x, softened near zero, and 0 at zero."""
    return softened_inverse(x)


@primitive(*_PAIRS, domain=FITS, reference=_ALGEBRA, commutative=True, notation="#1 + #2")
def add(x: Tensor, y: Tensor) -> Tensor:
    """Sum: x + y."""
    return x + y


@primitive(*_PAIRS, domain=FITS, reference=_ALGEBRA, notation="#1 - #(2)")
def sub(x: Tensor, y: Tensor) -> Tensor:
    """Difference: x - y."""
    return x - y


@primitive(*_PAIRS, domain=FITS, reference=_ALGEBRA, commutative=True, notation=r"#(1) \cdot #(2)")
def mul(x: Tensor, y: Tensor) -> Tensor:
    """Product: x·y."""
    return x * y


@primitive(
    *_PAIRS,
    domain=f"{FITS}: x·y/(y² + 1e-16), x/y down to |y| = 1e-8; 0 where y² overflows",
    reference="Tikhonov-regularised division",
    notation=r"\frac{#1}{#2}",
)
def div(x: Tensor, y: Tensor) -> Tensor:
    """x/y, softened near y = 0, and 0 where y is 0."""
    return softened_inverse(y).mul_(x)


@primitive(
    *_PAIRS, domain=TOTAL, reference=_ALGEBRA, commutative=True, notation=r"\min\left(#1, #2\right)"
)
def minimum(x: Tensor, y: Tensor) -> Tensor:
    """Smaller of x and y."""
    return torch.minimum(x, y)


@primitive(
    *_PAIRS, domain=TOTAL, reference=_ALGEBRA, commutative=True, notation=r"\max\left(#1, #2\right)"
)
def maximum(x: Tensor, y: Tensor) -> Tensor:
    """Larger of x and y."""
    return torch.maximum(x, y)


@primitive(*_PAIRS, domain=FITS, reference=_ALGEBRA, notation=r"\mathbf{1}\left[#1 > #2\right]")
def greater(x: Tensor, y: Tensor) -> Tensor:
    """1 where x > y, else 0."""
    return step(x - y)


@primitive(
    *_EVERY_TENSOR,
    domain=f"{FITS}; a constant gives 0",
    reference="z-score",
    notation=r"\operatorname{z}\left(#1\right)",
)
def standardise(x: Tensor) -> Tensor:
    """(x - mean)/std over the layer."""
    rest, std = centred(x, layer_dims(x))
    return rest.mul_(inverse_or_zero(std))


@primitive(*_EVERY_TENSOR, domain=f"{FITS}; zeros stay zeros", reference="unit vector")
def unit_norm(x: Tensor) -> Tensor:
    """x divided by its Euclidean norm over the layer."""
    return x * inverse_or_zero(torch.linalg.vector_norm(x, dim=layer_dims(x), keepdim=True))


@primitive(*same(ACTIVATIONS), domain=FITS, reference="batch normalisation (Ioffe 2015)")
def centre_channels(x: Tensor) -> Tensor:
    """x minus the mean of its channel over images and positions."""
    return x - x.mean(dim=(1, 3, 4), keepdim=True)


@primitive(
    *same(ACTIVATIONS),
    domain=f"{FITS}; a constant channel gives 0",
    reference="batch normalisation (Ioffe 2015)",
)
def standardise_channels(x: Tensor) -> Tensor:
    """(x - mean)/std of its channel over images and positions."""
    rest, std = centred(x, (1, 3, 4))
    return rest.mul_(inverse_or_zero(std))


@primitive(*same(ACTIVATIONS), domain=FITS, reference="what distinguishes the images")
def centre_batch(x: Tensor) -> Tensor:
    """x minus its mean over the images."""
    # Over images as rows: torch is far slower where the channels are not last.
    rows = x.permute(0, 1, 3, 4, 2)
    return x - rows.mean(dim=1, keepdim=True).permute(0, 1, 4, 2, 3)
