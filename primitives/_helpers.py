"""What several primitives share. An exported proxy inlines the ones that it uses.

Conventions: a *stack* has its layers (or networks) in dimension 0; means and deviations divide
by the number of elements (no Bessel correction), so one element has deviation 0; 0/0 is 0.
Comparisons are slow in torch on a CPU (`x > 0` costs four `sign(x)`), hence the arithmetic.
Arguments are never changed, but what was just made is changed in place: a second buffer would
push the first out of the processor's cache, which costs more than the arithmetic.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8  # softens division by elements near zero
FLOOR = 1e-10  # smallest magnitude whose logarithm is taken
CONSTANT = 1e-6  # a deviation below this share of the mean is rounding of a constant


def layer_dims(x: Tensor) -> tuple[int, ...]:
    """All dimensions but the stack's."""
    return tuple(range(1, x.ndim))


def keep_failure(value: Tensor, source: Tensor) -> Tensor:
    """``value``, changed to NaN wherever ``source`` is not finite (0·inf and 0·NaN are NaN)."""
    return value.add_(source, alpha=0.0)


def inverse_or_zero(x: Tensor) -> Tensor:
    """1/x, with 0 where x is 0."""
    return torch.where(x == 0, 0.0, 1 / x)


def softened_inverse(x: Tensor) -> Tensor:
    """x/(x² + ε²): 1/x away from zero, 0 at zero, and never above 1/(2ε)."""
    energy = (x * x).add_(EPSILON**2)
    return torch.div(x, energy, out=energy)


def step(x: Tensor) -> Tensor:
    """1 where x > 0, else 0; NaN where x is not finite."""
    return keep_failure(torch.sign(x).relu_(), x)


def centred(x: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """x minus its mean over ``dims``, and its deviation there (0 where x is constant)."""
    mean = x.mean(dim=dims, keepdim=True)
    rest = x - mean
    std = rest.square().mean(dim=dims, keepdim=True).sqrt_()
    return rest, torch.where(std <= CONSTANT * mean.abs(), 0.0, std)


def positions(x: Tensor) -> Tensor:
    """(K, B, C, H, W) as (K, B·H·W, C): one row a position; no copy where channels are last."""
    return x.permute(0, 1, 3, 4, 2).flatten(1, 3)


def images(x: Tensor) -> Tensor:
    """(K, B, C, H, W) as (K, B, H·W·C): one row an image; no copy where channels are last."""
    return x.permute(0, 1, 3, 4, 2).flatten(2)


def gram(rows: Tensor) -> Tensor:
    """(..., n, features) to (..., n, n): mean over the features of products of two rows."""
    return (rows @ rows.mT).div_(rows.shape[-1])


def covariance(rows: Tensor) -> Tensor:
    """(..., n, features) to (..., n, n): covariance of each two rows."""
    return gram(rows - rows.mean(dim=-1, keepdim=True))


def unit_rows(matrix: Tensor) -> Tensor:
    """m_ij / sqrt(|m_ii·m_jj|), with 0 where the diagonal is 0."""
    scale = inverse_or_zero(matrix.diagonal(dim1=-2, dim2=-1).abs().sqrt())
    return matrix * scale.unsqueeze(-1) * scale.unsqueeze(-2)


def correlation_of_rows(rows: Tensor) -> Tensor:
    """(..., n, features) to (..., n, n): Pearson correlation, 0 where a row is constant."""
    mean = rows.mean(dim=-1, keepdim=True)
    products = gram(rows - mean)
    std = products.diagonal(dim1=-2, dim2=-1).sqrt()
    scale = inverse_or_zero(torch.where(std <= CONSTANT * mean.squeeze(-1).abs(), 0.0, std))
    return products * scale.unsqueeze(-1) * scale.unsqueeze(-2)
