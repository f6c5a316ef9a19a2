"""Functions that several primitives share. An exported proxy inlines those that it uses.

Conventions:

- A *stack* has its layers (or networks) in dimension 0.
- Means and standard deviations divide by the number of elements (no Bessel correction), so the
  standard deviation of one element is 0. 0/0 is defined as 0.
- Arguments are never changed, but intermediate results are changed in place. A second buffer
  would evict the first from the processor's cache, which costs more than the arithmetic.
- Comparisons are slow in torch on a CPU: ``x > 0`` takes as long as four ``sign(x)``. This is why
  masks are computed by arithmetic.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8  # regularises division by elements near zero
FLOOR = 1e-10  # logarithms are taken of magnitudes that are at least this
CONSTANT = 1e-6  # a deviation below this share of the mean is the rounding error of a constant


def layer_dims(x: Tensor) -> tuple[int, ...]:
    """Return all dimensions except that of the stack."""
    return tuple(range(1, x.ndim))


def keep_failure(value: Tensor, source: Tensor) -> Tensor:
    """Set ``value`` to NaN, in place, where ``source`` is not finite (0·inf and 0·NaN are NaN)."""
    return value.add_(source, alpha=0.0)


def inverse_or_zero(x: Tensor) -> Tensor:
    """Return 1/x, and 0 where x = 0, elementwise."""
    return torch.where(x == 0, 0.0, 1 / x)


def softened_inverse(x: Tensor) -> Tensor:
    """Return x/(x² + ε²): close to 1/x away from zero, 0 at zero, at most 1/(2ε)."""
    energy = (x * x).add_(EPSILON**2)
    return torch.div(x, energy, out=energy)


def step(x: Tensor) -> Tensor:
    """Return 1 where x > 0, else 0, elementwise; NaN where x is not finite."""
    return keep_failure(torch.sign(x).relu_(), x)


def centred(x: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return x - mean(x) and std(x), both over ``dims``; std is 0 where x is constant."""
    mean = x.mean(dim=dims, keepdim=True)
    rest = x - mean
    std = rest.square().mean(dim=dims, keepdim=True).sqrt_()
    return rest, torch.where(std <= CONSTANT * mean.abs(), 0.0, std)


def positions(x: Tensor) -> Tensor:
    """Reshape (K, B, C, H, W) to (K, B·H·W, C); needs no copy in the channels-last layout."""
    return x.permute(0, 1, 3, 4, 2).flatten(1, 3)


def images(x: Tensor) -> Tensor:
    """Reshape (K, B, C, H, W) to (K, B, H·W·C); needs no copy in the channels-last layout."""
    return x.permute(0, 1, 3, 4, 2).flatten(2)


def gram(rows: Tensor) -> Tensor:
    """Return X·Xᵀ/features, (..., n, n), of rows X, (..., n, features)."""
    return (rows @ rows.mT).div_(rows.shape[-1])


def covariance(rows: Tensor) -> Tensor:
    """Return the covariance matrix, (..., n, n), of rows, (..., n, features)."""
    return gram(rows - rows.mean(dim=-1, keepdim=True))


def unit_rows(matrix: Tensor) -> Tensor:
    """Return m_ij / sqrt(|m_ii·m_jj|), and 0 where a diagonal element is 0."""
    scale = inverse_or_zero(matrix.diagonal(dim1=-2, dim2=-1).abs().sqrt())
    return matrix * scale.unsqueeze(-1) * scale.unsqueeze(-2)


def correlation_of_rows(rows: Tensor) -> Tensor:
    """Return the Pearson correlations, (..., n, n), of rows, (..., n, features); 0 if constant."""
    mean = rows.mean(dim=-1, keepdim=True)
    products = gram(rows - mean)
    std = products.diagonal(dim1=-2, dim2=-1).sqrt()
    scale = inverse_or_zero(torch.where(std <= CONSTANT * mean.squeeze(-1).abs(), 0.0, std))
    return products * scale.unsqueeze(-1) * scale.unsqueeze(-2)
