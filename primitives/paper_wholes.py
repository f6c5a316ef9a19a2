"""The paper language: functions of a layer's whole tensor or of its matrices, and the score.

The other functions, the open questions and the deviations are in ``paper.py``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from greenmachine.primitives._paper import (
    DoesNotFitError,
    has_raised,
    is_square,
    protected,
    rows,
    spectrum,
    square_matrices,
)
from greenmachine.primitives._paper_words import ANY, ONE, of
from greenmachine.primitives.registry import LAYER_SCALAR, NETWORK_SCALAR, PAPER_TENSOR, primitive


@primitive(ONE, **of(ANY))
@protected
def paper_transpose(x: Tensor) -> Tensor:
    """Transpose over the last two dimensions; a tensor with fewer dimensions stays the same."""
    return x.mT if x.ndim > 2 else x


@primitive(ONE, **of(ANY))
@protected
def paper_mean(x: Tensor) -> Tensor:
    """Mean of all elements; the result is one number."""
    return rows(x).mean(dim=1)


@primitive(ONE, **of(ANY))
@protected
def paper_mean_abs(x: Tensor) -> Tensor:
    """Mean of |x| over all elements; the result is one number."""
    return rows(x).abs().mean(dim=1)


@primitive(ONE, **of(ANY))
@protected
def paper_numel(x: Tensor) -> Tensor:
    """Number of elements; the result is one number."""
    return x.new_full((len(x),), float(rows(x).shape[1]))


@primitive(ONE, **of(ANY))
@protected
def paper_norm(x: Tensor) -> Tensor:
    """Frobenius norm; the result is one number."""
    norm: Tensor = torch.linalg.vector_norm(rows(x), dim=1)
    return norm


@primitive(ONE, **of(f"{ANY}; x itself where not square"))
@protected
def paper_determinant(x: Tensor) -> Tensor:
    """Determinants over the last two dimensions, which disappear."""
    return torch.det(x) if is_square(x) else x


@primitive(ONE, **of(f"{ANY}; 0 where the determinant is negative; raises where not square"))
@protected
def paper_logdet(x: Tensor) -> Tensor:
    """Logarithms of the determinants over the last two dimensions, which disappear."""
    return torch.nan_to_num(torch.logdet(square_matrices(x)), 0.0, math.inf, -math.inf)


@primitive(ONE, **of(f"{ANY}; NaN for a matrix with infinities; raises where not square"))
@protected
def paper_eigenvalue_ratio(x: Tensor) -> Tensor:
    """First divided by last eigenvalue of A + Aᵀ over the last two dimensions, which disappear."""
    values = spectrum(square_matrices(x) + x.mT)
    return values[..., 0] / values[..., -1]


@primitive(ONE, **of(f"{ANY}; NaN for a matrix with infinities; raises on a number"))
@protected
def paper_gram_eigenvalue_ratio(x: Tensor) -> Tensor:
    """Last divided by first eigenvalue of A·Aᵀ, with dimension 0 as the rows of A; one number."""
    if x.ndim == 1:
        raise DoesNotFitError
    flat = x.flatten(2) if x.ndim > 2 else x.unsqueeze(2)
    values = spectrum(flat @ flat.mT)
    return values[..., -1] / values[..., 0]


# --- the score -----------------------------------------------------------------------------


@primitive(
    ((PAPER_TENSOR,), LAYER_SCALAR),
    **of("NaN for a layer that raised, infinite for one whose mean is not finite"),
)
def layer_mean(x: Tensor) -> Tensor:
    """Mean over the elements: the score of a layer in the paper."""
    if has_raised(x):
        return x.new_full((len(x),), math.nan)
    mean = rows(x).mean(dim=1)
    return torch.where(mean.isnan(), math.inf, mean)


@primitive(
    ((LAYER_SCALAR,), NETWORK_SCALAR),
    **of("NaN where a layer is infinite, or every layer raised"),
    across_layers=True,
)
def mean_valid_layers(x: Tensor) -> Tensor:
    """Mean over the layers that did not fail: the score of a network in the paper."""
    valid = ~x.isnan()
    mean = torch.where(valid, x, 0.0).sum(dim=-1) / valid.sum(dim=-1)
    return torch.where(mean.isfinite(), mean, math.nan)
