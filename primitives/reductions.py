"""Reductions: one number for each layer (or network), from one tensor or matrix or from two.

The statistics run over all elements of the layer unless they name channels, images or positions.
A tensor is (K, ...), a matrix (K, n, n), and the result (K,).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from greenmachine.primitives._helpers import centred, images, inverse_or_zero, layer_dims, step
from greenmachine.primitives._signatures import (
    ACTIVATIONS,
    FITS,
    MATRICES,
    TENSORS,
    TOTAL,
    to_scalar,
    to_scalar_pair,
)
from greenmachine.primitives.registry import BATCH_MATRIX, NETWORK_MATRIX, primitive

_EVERY = to_scalar((*TENSORS, *MATRICES))
_OF_TENSORS = to_scalar(TENSORS)
_OF_ACTIVATIONS = to_scalar(ACTIVATIONS)
_OF_MATRICES = to_scalar(MATRICES)
_PAIRS = to_scalar_pair((*TENSORS, BATCH_MATRIX, NETWORK_MATRIX))
_ACTIVATION_PAIRS = to_scalar_pair(ACTIVATIONS)
_STATISTICS = "descriptive statistics"
_CONSTANT = f"{FITS}; a constant gives 0"
SMALLEST_SHARE = 1e-30  # smallest share of the energy whose logarithm is taken


def euclidean(x: Tensor) -> Tensor:
    """Return the Euclidean norm of each layer, (K,)."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=layer_dims(x))
    return norm


def per_layer(value: float, x: Tensor) -> Tensor:
    """Return (K,) filled with ``value``."""
    return x.new_full((x.shape[0],), value)


def diagonal_of(matrix: Tensor) -> Tensor:
    """Return the diagonals (K, n) of (K, n, n)."""
    return matrix.diagonal(dim1=-2, dim2=-1)


def off_diagonal(matrix: Tensor) -> Tensor:
    """Return the mean of the off-diagonal elements, (K,); 0 for a 1×1 matrix."""
    n = matrix.shape[-1]
    rest = matrix - torch.diag_embed(diagonal_of(matrix))
    return rest.sum(dim=(-2, -1)) / (n * n - n or 1)


# --- location and spread -------------------------------------------------------------------


@primitive(
    *_EVERY, domain=FITS, reference=_STATISTICS, notation=r"\operatorname{mean}\left(#1\right)"
)
def mean(x: Tensor) -> Tensor:
    """Mean of all elements."""
    return x.mean(dim=layer_dims(x))


@primitive(
    *_EVERY, domain=FITS, reference=_STATISTICS, notation=r"\operatorname{sum}\left(#1\right)"
)
def sum(x: Tensor) -> Tensor:
    """Sum of all elements."""
    return x.sum(dim=layer_dims(x))


@primitive(
    *_EVERY, domain=_CONSTANT, reference=_STATISTICS, notation=r"\operatorname{std}\left(#1\right)"
)
def std(x: Tensor) -> Tensor:
    """Standard deviation of all elements, without Bessel correction."""
    return centred(x, layer_dims(x))[1].flatten()


@primitive(*_EVERY, domain=TOTAL, reference=_STATISTICS, notation=r"\max\left(#1\right)")
def largest(x: Tensor) -> Tensor:
    """Maximum of all elements."""
    return x.amax(dim=layer_dims(x))


@primitive(*_EVERY, domain=TOTAL, reference=_STATISTICS, notation=r"\min\left(#1\right)")
def smallest(x: Tensor) -> Tensor:
    """Minimum of all elements."""
    return x.amin(dim=layer_dims(x))


@primitive(
    *_OF_TENSORS,
    domain=_CONSTANT,
    reference=_STATISTICS,
    notation=r"\operatorname{skew}\left(#1\right)",
)
def skewness(x: Tensor) -> Tensor:
    """Skewness: mean of ((x - mean)/std)³."""
    rest, deviation = centred(x, layer_dims(x))
    return rest.mul_(inverse_or_zero(deviation)).pow_(3).mean(dim=layer_dims(x))


@primitive(
    *_OF_TENSORS,
    domain=_CONSTANT,
    reference=_STATISTICS,
    notation=r"\operatorname{kurt}\left(#1\right)",
)
def kurtosis(x: Tensor) -> Tensor:
    """Kurtosis: mean of ((x - mean)/std)⁴."""
    rest, deviation = centred(x, layer_dims(x))
    return rest.mul_(inverse_or_zero(deviation)).square_().square_().mean(dim=layer_dims(x))


# --- magnitude -----------------------------------------------------------------------------


@primitive(
    *_EVERY, domain=FITS, reference=_STATISTICS, notation=r"\operatorname{mean}\left|#1\right|"
)
def mean_abs(x: Tensor) -> Tensor:
    """Mean absolute value: mean of |x|."""
    return x.abs().mean(dim=layer_dims(x))


@primitive(
    *_EVERY,
    domain=FITS,
    reference=_STATISTICS,
    notation=r"\operatorname{mean}\left[\left(#1\right)^{2}\right]",
)
def mean_square(x: Tensor) -> Tensor:
    """Mean square: mean of x²."""
    return x.square().mean(dim=layer_dims(x))


@primitive(
    *_EVERY,
    domain=FITS,
    reference="SNIP, Lee 2019; SynFlow, Tanaka 2020",
    notation=r"\left\|#1\right\|_{1}",
)
def l1_norm(x: Tensor) -> Tensor:
    """L1 norm: Σ|x|."""
    return x.abs().sum(dim=layer_dims(x))


@primitive(
    *_EVERY, domain=FITS, reference="grad_norm, Abdelfattah 2021", notation=r"\left\|#1\right\|_{2}"
)
def l2_norm(x: Tensor) -> Tensor:
    """L2 (Euclidean or Frobenius) norm: √Σx²."""
    return euclidean(x)


# --- sparsity ------------------------------------------------------------------------------


@primitive(*_EVERY, domain=TOTAL, reference="activation rate")
def fraction_positive(x: Tensor) -> Tensor:
    """Fraction of the elements that are greater than 0."""
    return step(x).mean(dim=layer_dims(x))


@primitive(*_OF_TENSORS, domain=TOTAL, reference="dead units")
def fraction_zero(x: Tensor) -> Tensor:
    """Fraction of the elements that are exactly 0."""
    return 1 - step(x.abs()).mean(dim=layer_dims(x))


@primitive(
    *_OF_TENSORS,
    domain=f"{FITS}, in [0, 1]; zeros or one element give 0",
    reference="Hoyer 2004",
)
def sparsity(x: Tensor) -> Tensor:
    """Hoyer sparsity (√n - ‖x‖₁/‖x‖₂)/(√n - 1): 0 if all |x| are equal, 1 if one is not 0."""
    root = math.sqrt(math.prod(x.shape[1:]))
    l2 = euclidean(x)
    ratio = x.abs().sum(dim=layer_dims(x)) * inverse_or_zero(l2)
    return torch.sign(l2) * (root - ratio) / (root - 1 or 1)


@primitive(
    *_OF_TENSORS,
    domain=f"{FITS}; zeros give 0",
    reference="Shannon 1948",
    notation=r"\operatorname{H}\left(#1\right)",
)
def entropy(x: Tensor) -> Tensor:
    """Shannon entropy -Σ p·log p of the shares p = x²/Σx²."""
    energy = x.square()
    share = energy.mul_(inverse_or_zero(energy.sum(dim=layer_dims(x), keepdim=True)))
    return -share.clamp_min(SMALLEST_SHARE).log_().mul_(share).sum(dim=layer_dims(x))


# --- size ----------------------------------------------------------------------------------


@primitive(*_OF_TENSORS, domain="total: sees the shape only", reference="number of parameters")
def numel(x: Tensor) -> Tensor:
    """Number of elements of the tensor."""
    return per_layer(float(math.prod(x.shape[1:])), x)


@primitive(*_OF_ACTIVATIONS, domain="total: sees the shape only", reference="width; MeCo_opt")
def channel_count(x: Tensor) -> Tensor:
    """Number of channels C."""
    return per_layer(float(x.shape[2]), x)


@primitive(*_OF_ACTIVATIONS, domain="total: sees the shape only", reference="resolution")
def position_count(x: Tensor) -> Tensor:
    """Number of positions of the feature map, H·W."""
    return per_layer(float(x.shape[3] * x.shape[4]), x)


# --- spread over one axis ------------------------------------------------------------------


@primitive(*_OF_ACTIVATIONS, domain=_CONSTANT, reference="Zen-NAS, Lin 2021: channel statistics")
def channel_mean_std(x: Tensor) -> Tensor:
    """Standard deviation over the channels of each channel's mean."""
    return centred(x.mean(dim=(1, 3, 4)), (1,))[1].flatten()


@primitive(*_OF_ACTIVATIONS, domain=_CONSTANT, reference="this project: variation between images")
def batch_std(x: Tensor) -> Tensor:
    """Standard deviation over the images, averaged over the features."""
    return centred(images(x), (1,))[1].mean(dim=(1, 2))


@primitive(*_OF_ACTIVATIONS, domain=_CONSTANT, reference="local entropy; SED, Xu 2024")
def spatial_std(x: Tensor) -> Tensor:
    """Standard deviation over the positions, averaged over images and channels."""
    return centred(x.permute(0, 1, 3, 4, 2).flatten(2, 3), (2,))[1].mean(dim=(1, 2, 3))


# --- two of one kind -----------------------------------------------------------------------


@primitive(
    *_PAIRS,
    domain=FITS,
    reference="plain, Abdelfattah 2021",
    commutative=True,
    notation=r"\left\langle #1, #2\right\rangle",
)
def dot(x: Tensor, y: Tensor) -> Tensor:
    """Inner product Σ x·y."""
    return (x * y).sum(dim=layer_dims(x))


@primitive(
    *_PAIRS,
    domain=f"{FITS}; zeros give 0",
    reference="cosine similarity; kernel alignment, Cristianini 2001",
    commutative=True,
    notation=r"\cos\left(#1, #2\right)",
)
def cosine(x: Tensor, y: Tensor) -> Tensor:
    """Cosine similarity Σ x·y/(‖x‖₂·‖y‖₂)."""
    products = (x * y).sum(dim=layer_dims(x))
    return products * inverse_or_zero(euclidean(x)) * inverse_or_zero(euclidean(y))


@primitive(
    *_PAIRS,
    domain=_CONSTANT,
    reference="Pearson correlation",
    commutative=True,
    notation=r"\operatorname{corr}\left(#1, #2\right)",
)
def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson correlation of x and y over all elements."""
    dims = layer_dims(x)
    x, left = centred(x, dims)
    y, right = centred(y, dims)
    product = x.mul_(y).mean(dim=dims)
    return product * inverse_or_zero(left).flatten() * inverse_or_zero(right).flatten()


@primitive(
    *to_scalar_pair(TENSORS), domain=TOTAL, reference="Hamming distance; EZNAS", commutative=True
)
def sign_disagreement(x: Tensor, y: Tensor) -> Tensor:
    """Fraction of the elements at which x > 0 and y > 0 differ."""
    return step(x).sub_(step(y)).abs_().mean(dim=layer_dims(x))


@primitive(*_ACTIVATION_PAIRS, domain=FITS, reference="Fisher, Turner 2020", commutative=True)
def channel_fisher(x: Tensor, y: Tensor) -> Tensor:
    """Fisher information of the channels: ½·Σ_c mean_b (Σ_hw x·y)²."""
    return (x * y).sum(dim=(3, 4)).square().mean(dim=1).sum(dim=1) / 2


# --- matrices ------------------------------------------------------------------------------


@primitive(
    *_OF_MATRICES,
    domain=FITS,
    reference="matrix algebra",
    notation=r"\operatorname{tr}\left(#1\right)",
)
def trace(matrix: Tensor) -> Tensor:
    """Trace: the sum of the diagonal elements."""
    return diagonal_of(matrix).sum(dim=-1)


@primitive(*_OF_MATRICES, domain=f"{FITS}; 1x1 gives 0", reference="mean correlation")
def off_diagonal_mean(matrix: Tensor) -> Tensor:
    """Mean of the off-diagonal elements."""
    return off_diagonal(matrix)


@primitive(
    *_OF_MATRICES, domain=f"{FITS}; 1x1 gives 0", reference="redundancy; DeCov, Cogswell 2016"
)
def off_diagonal_mean_abs(matrix: Tensor) -> Tensor:
    """Mean absolute value of the off-diagonal elements."""
    return off_diagonal(matrix.abs())


@primitive(*_OF_MATRICES, domain=_CONSTANT, reference=_STATISTICS)
def diagonal_std(matrix: Tensor) -> Tensor:
    """Standard deviation of the diagonal elements."""
    return centred(diagonal_of(matrix), (1,))[1].flatten()
