"""The paper language: the 38 untyped functions of GreenMachine (arXiv 2411.15290).

The published method evolves untyped trees over tensors of any shape, layer by layer. The list of
functions and their protection are those of the authors' framework. Here, a function takes stacks
(K, ...) of K layers and treats each layer independently. ``_paper.py`` holds the rules: NaN is read
as 1, two different shapes are padded to one, and a layer on which a function fails is skipped.
Besides the 38 functions, ``layer_mean`` and ``mean_valid_layers`` turn a tree into a score: the
score of a layer is the mean of its tensor, and that of a network the mean over its layers.

The papers leave some questions open, and this project chose: softmax runs over dimension 1, or
over dimension 0 in a layer of 0, 1 or 3 dimensions (torch's own rule); transpose, determinants and
the eigenvalues of A + Aᵀ treat the last two dimensions as matrices; Hamming's distance is the
number of elements whose signs differ; logdet and A + Aᵀ fail where the matrices are not square.

There are two deviations from the authors' code. No function changes its argument; theirs does in
``log``. Noise depends only on a fixed seed and the shape of the layer; theirs is drawn anew at
every call, so no score can be reproduced. The mean of fixed noise differs from shape to shape, so a
tree with ``paper_gaussian_init`` can rank networks by nothing but the shapes of their layers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from greenmachine.primitives._paper import (
    NOISE_SEED,
    fixed_noise,
    meeting,
    padded,
    protected,
    rows,
    square_matrices,
    truncated,
)
from greenmachine.primitives._paper_words import ANY, ONE, PADDED, TRUNCATED, TWO, of
from greenmachine.primitives.registry import primitive

# --- two tensors ---------------------------------------------------------------------------


@primitive(TWO, **of(PADDED))
@protected
def paper_sum(x: Tensor, y: Tensor) -> Tensor:
    """Sum x + y, elementwise."""
    x, y = padded(x, y)
    return x + y


@primitive(TWO, **of(PADDED))
@protected
def paper_subtract(x: Tensor, y: Tensor) -> Tensor:
    """Difference x - y, elementwise."""
    x, y = padded(x, y)
    return x - y


@primitive(TWO, **of(PADDED))
@protected
def paper_product(x: Tensor, y: Tensor) -> Tensor:
    """Product x·y, elementwise."""
    x, y = padded(x, y)
    return x * y


@primitive(
    TWO, **of(f"{PADDED}; raises on a number, and where the last two dimensions are not square")
)
@protected
def paper_matmul(x: Tensor, y: Tensor) -> Tensor:
    """Matrix product over the last two dimensions; the inner product of two vectors."""
    x, y = padded(x, y)
    if x.ndim == 2:
        return (x * y).sum(dim=1)
    return square_matrices(x) @ y


@primitive(TWO, **of(PADDED))
@protected
def paper_less(x: Tensor, y: Tensor) -> Tensor:
    """Indicator of x < y, elementwise: 1 or 0."""
    x, y = padded(x, y)
    return (x < y).to(x.dtype)


@primitive(TWO, **of(PADDED))
@protected
def paper_greater(x: Tensor, y: Tensor) -> Tensor:
    """Indicator of x > y, elementwise: 1 or 0."""
    x, y = padded(x, y)
    return (x > y).to(x.dtype)


@primitive(TWO, **of(PADDED))
@protected
def paper_equal(x: Tensor, y: Tensor) -> Tensor:
    """Indicator of x = y, elementwise: 1 or 0."""
    x, y = padded(x, y)
    return (x == y).to(x.dtype)


@primitive(TWO, **of(PADDED))
@protected
def paper_hamming(x: Tensor, y: Tensor) -> Tensor:
    """Hamming distance of the signs: the number of elements whose signs differ."""
    x, y = padded(x, y)
    return rows(torch.sign(x) != torch.sign(y)).sum(dim=1).to(x.dtype)


@primitive(TWO, **of(f"{PADDED}; NaN where an element of y is negative"))
@protected
def paper_kl(x: Tensor, y: Tensor) -> Tensor:
    """Kullback-Leibler divergence Σ y·(log y - x), divided by dimension 0; x holds logarithms."""
    x, y = padded(x, y)
    batch = x.shape[1] if x.ndim > 1 else 1
    return rows(functional.kl_div(x, y, reduction="none")).sum(dim=1) / batch


@primitive(TWO, **of(f"{PADDED}; zeros give 0"))
@protected
def paper_cosine(x: Tensor, y: Tensor) -> Tensor:
    """Cosine similarity over dimension 0, which disappears."""
    x, y = padded(x, y)
    if x.ndim == 1:  # of two numbers
        x, y = x[:, None], y[:, None]
    # The same as functional.cosine_similarity, which is slower in the channels-last layout.
    return (x / _length(x)).mul_(y / _length(y)).sum(1)


def _length(x: Tensor) -> Tensor:
    """Return the Euclidean norm over dimension 1, kept as size 1; at least 1e-8, as in torch."""
    return x.square().sum(1, keepdim=True).sqrt_().clamp_min_(1e-8)


@primitive(TWO, **of(TRUNCATED))
@protected
def paper_max(x: Tensor, y: Tensor) -> Tensor:
    """Maximum of x and y, elementwise."""
    return torch.maximum(*truncated(x, y))


@primitive(TWO, **of(TRUNCATED))
@protected
def paper_min(x: Tensor, y: Tensor) -> Tensor:
    """Minimum of x and y, elementwise."""
    return torch.minimum(*truncated(x, y))


# --- one tensor, element by element --------------------------------------------------------


@primitive(ONE, **of(ANY))
@protected
def paper_add_noise(x: Tensor) -> Tensor:
    """Tensor plus fixed noise: x + √0.1·N(0, 1)."""
    return x + math.sqrt(0.1) * fixed_noise(x, NOISE_SEED)


@primitive(ONE, **of(ANY))
@protected
def paper_gaussian_init(x: Tensor) -> Tensor:
    """Fixed noise N(0, 1) in the shape of x."""
    return fixed_noise(x, NOISE_SEED + 1).expand(x.shape)


@primitive(ONE, **of(ANY))
@protected
def paper_log(x: Tensor) -> Tensor:
    """Logarithm log(x), elementwise, where x ≤ 0 is read as 1."""
    return torch.where(x <= 0, 1.0, x).log_()


@primitive(ONE, **of(ANY), idempotent=True)
@protected
def paper_abs(x: Tensor) -> Tensor:
    """Absolute value |x|, elementwise."""
    return x.abs()


@primitive(ONE, **of(ANY))
@protected
def paper_square(x: Tensor) -> Tensor:
    """Square x², elementwise."""
    return x * x


@primitive(ONE, **of(ANY))
@protected
def paper_exp(x: Tensor) -> Tensor:
    """Exponential exp(x), elementwise."""
    return x.exp()


@primitive(ONE, **of(f"{ANY}; 0 where it is undefined"))
@protected
def paper_normalise(x: Tensor) -> Tensor:
    """Z-score over the layer, (x - mean)/std with Bessel's correction; 0 where it is NaN."""
    values = rows(x)
    rest = x - meeting(values.mean(dim=1), x)
    variance = rows(rest).square().sum(dim=1) / torch.tensor(values.shape[1] - 1.0).to(x)
    return torch.nan_to_num(rest / meeting(variance.sqrt(), x), 0.0, math.inf, -math.inf)


@primitive(ONE, **of(ANY), idempotent=True)
@protected
def paper_relu(x: Tensor) -> Tensor:
    """Rectifier max(x, 0), elementwise."""
    return torch.relu(x)


@primitive(ONE, **of(ANY), idempotent=True)
@protected
def paper_sign(x: Tensor) -> Tensor:
    """Sign of x, elementwise: -1, 0 or 1."""
    return torch.sign(x)


@primitive(ONE, **of(ANY), idempotent=True)
@protected
def paper_heaviside(x: Tensor) -> Tensor:
    """Heaviside step, elementwise: 1 where x > 0, else 0."""
    return torch.sign(x).relu_()


@primitive(ONE, **of(f"{ANY}; infinite at 0"))
@protected
def paper_invert(x: Tensor) -> Tensor:
    """Inverse 1/x, elementwise."""
    return 1 / x


@primitive(ONE, **of(ANY))
@protected
def paper_sigmoid(x: Tensor) -> Tensor:
    """Logistic function 1/(1 + exp(-x)), elementwise."""
    return torch.sigmoid(x)


@primitive(ONE, **of(ANY))
@protected
def paper_softmax(x: Tensor) -> Tensor:
    """Softmax over dimension 1, or over dimension 0 in a layer of 0, 1 or 3 dimensions."""
    if x.ndim == 1:  # of a number
        return torch.softmax(x[:, None], dim=1)[:, 0]
    return torch.softmax(x, dim=1 if x.ndim in (2, 4) else 2)


@primitive(ONE, **of(ANY), idempotent=True)
@protected
def paper_ones_like(x: Tensor) -> Tensor:
    """Tensor of ones in the shape of x."""
    return torch.ones_like(x)


@primitive(ONE, **of(ANY), idempotent=True)
@protected
def paper_zeros_like(x: Tensor) -> Tensor:
    """Tensor of zeros in the shape of x."""
    return torch.zeros_like(x)


@primitive(ONE, **of(ANY), idempotent=True)
@protected
def paper_positive(x: Tensor) -> Tensor:
    """Indicator of x > 0, elementwise: 1 or 0."""
    return torch.sign(x).relu_()


@primitive(ONE, **of(ANY))
@protected
def paper_negative(x: Tensor) -> Tensor:
    """Indicator of x < 0, elementwise: 1 or 0."""
    return torch.sign(x).neg_().relu_()
