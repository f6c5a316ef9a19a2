"""Symmetric matrices over channels, filters or images, and functions of such matrices.

- Channels: (K, B, C, H, W) → (K, C, C). One observation is one position of one image.
- Filters: (K, O, I, kh, kw) → (K, O, O). One observation is one weight of the filter.
- Images: (K, B, C, H, W) → (K, B, B). One observation is one feature (channel and position).
"""

from __future__ import annotations

import torch
from torch import Tensor

from greenmachine.primitives._helpers import (
    correlation_of_rows,
    covariance,
    gram,
    images,
    inverse_or_zero,
    positions,
    step,
    unit_rows,
)
from greenmachine.primitives._signatures import ACTIVATIONS, FITS, MATRICES, TOTAL, same
from greenmachine.primitives.registry import BATCH_MATRIX, CHANNEL_MATRIX, WEIGHT_TENSOR, primitive

_CHANNELS = [((kind,), CHANNEL_MATRIX) for kind in ACTIVATIONS]
_CHANNEL_PAIRS = [((kind, kind), CHANNEL_MATRIX) for kind in ACTIVATIONS]
_FILTERS = ((WEIGHT_TENSOR,), CHANNEL_MATRIX)
_IMAGES = [((kind,), BATCH_MATRIX) for kind in ACTIVATIONS]
_IMAGE_PAIRS = [((kind, kind), BATCH_MATRIX) for kind in ACTIVATIONS]
_ZEROS = f"{FITS}; a zero row gives 0"
_CONSTANT = f"{FITS}; a constant row gives 0"


def codes(x: Tensor) -> Tensor:
    """Return 1 where x > 0, else -1, elementwise."""
    return step(x).mul_(2).sub_(1)


# --- channels ------------------------------------------------------------------------------


@primitive(
    *_CHANNELS,
    domain=FITS,
    reference="Gram matrix; Gatys 2016",
    notation=r"\operatorname{gram}_{C}\left(#1\right)",
)
def channel_gram(x: Tensor) -> Tensor:
    """Gram matrix of the channels, divided by the number of positions: X·Xᵀ/(B·H·W)."""
    return gram(positions(x).mT)


@primitive(
    *_CHANNELS,
    domain=FITS,
    reference="covariance matrix; AZ-NAS, Lee 2024",
    notation=r"\operatorname{cov}_{C}\left(#1\right)",
)
def channel_covariance(x: Tensor) -> Tensor:
    """Covariance matrix of the channels over all positions of all images."""
    return covariance(positions(x).mT)


@primitive(
    *_CHANNELS,
    domain=_CONSTANT,
    reference="MeCo, Jiang 2023",
    notation=r"\operatorname{corr}_{C}\left(#1\right)",
)
def channel_correlation(x: Tensor) -> Tensor:
    """Pearson correlation matrix of the channels over all positions of all images."""
    return correlation_of_rows(positions(x).mT)


@primitive(
    *_CHANNELS,
    domain=_CONSTANT,
    reference="MeCo, Jiang 2023, one image at a time",
    notation=r"\operatorname{corr}_{C|B}\left(#1\right)",
)
def channel_correlation_per_image(x: Tensor) -> Tensor:
    """Pearson correlation matrix of the channels of one image, averaged over the images."""
    return correlation_of_rows(x.permute(0, 1, 3, 4, 2).flatten(2, 3).mT).mean(dim=1)


@primitive(
    *_CHANNELS, domain=_ZEROS, reference="cosine similarity", notation=r"\cos_{C}\left(#1\right)"
)
def channel_cosine(x: Tensor) -> Tensor:
    """Cosine similarity matrix of the channels over all positions of all images."""
    return unit_rows(gram(positions(x).mT))


@primitive(
    *_CHANNELS,
    domain=TOTAL,
    reference="NWOT, Mellor 2021, over channels",
    notation=r"\operatorname{agree}_{C}\left(#1\right)",
)
def channel_sign_agreement(x: Tensor) -> Tensor:
    """Fraction of positions at which two channels agree on x > 0, for each pair of channels."""
    return (1 + gram(codes(positions(x)).mT)) / 2


@primitive(
    *_CHANNEL_PAIRS,
    domain=FITS,
    reference="cross-covariance",
    commutative=True,
    notation=r"\operatorname{gram}_{C}\left(#1, #2\right)",
)
def channel_cross_gram(x: Tensor, y: Tensor) -> Tensor:
    """Symmetrised cross-Gram matrix of the channels: (X·Yᵀ + Y·Xᵀ)/(2·B·H·W)."""
    product = positions(x).mT @ positions(y) / positions(x).shape[1]
    return (product + product.mT) / 2


# --- filters -------------------------------------------------------------------------------


@primitive(
    _FILTERS,
    domain=FITS,
    reference="Gram matrix",
    notation=r"\operatorname{gram}_{F}\left(#1\right)",
)
def filter_gram(w: Tensor) -> Tensor:
    """Gram matrix of the filters, divided by the weights of a filter: W·Wᵀ/(I·kh·kw)."""
    return gram(w.flatten(2))


@primitive(
    _FILTERS,
    domain=_CONSTANT,
    reference="MeCo, Jiang 2023, over filters",
    notation=r"\operatorname{corr}_{F}\left(#1\right)",
)
def filter_correlation(w: Tensor) -> Tensor:
    """Pearson correlation matrix of the filters over their weights."""
    return correlation_of_rows(w.flatten(2))


@primitive(
    _FILTERS,
    domain=_ZEROS,
    reference="orthogonality of filters; Bansal 2018",
    notation=r"\cos_{F}\left(#1\right)",
)
def filter_cosine(w: Tensor) -> Tensor:
    """Cosine similarity matrix of the filters over their weights."""
    return unit_rows(gram(w.flatten(2)))


# --- images --------------------------------------------------------------------------------


@primitive(
    *_IMAGES,
    domain=FITS,
    reference="linear kernel of the images; Kornblith 2019",
    notation=r"\operatorname{gram}_{B}\left(#1\right)",
)
def batch_gram(x: Tensor) -> Tensor:
    """Gram matrix of the images, divided by the number of features: X·Xᵀ/(C·H·W)."""
    return gram(images(x))


@primitive(
    *_IMAGES,
    domain=FITS,
    reference="covariance matrix",
    notation=r"\operatorname{cov}_{B}\left(#1\right)",
)
def batch_covariance(x: Tensor) -> Tensor:
    """Covariance matrix of the images over their features."""
    return covariance(images(x))


@primitive(
    *_IMAGES,
    domain=_CONSTANT,
    reference="jacov, Mellor 2020",
    notation=r"\operatorname{corr}_{B}\left(#1\right)",
)
def batch_correlation(x: Tensor) -> Tensor:
    """Pearson correlation matrix of the images over their features."""
    return correlation_of_rows(images(x))


@primitive(
    *_IMAGES, domain=_ZEROS, reference="cosine similarity", notation=r"\cos_{B}\left(#1\right)"
)
def batch_cosine(x: Tensor) -> Tensor:
    """Cosine similarity matrix of the images over their features."""
    return unit_rows(gram(images(x)))


@primitive(*_IMAGES, domain=TOTAL, reference="NWOT, Mellor 2021: c·cᵀ + (1-c)·(1-c)ᵀ")
def sign_agreement(x: Tensor) -> Tensor:
    """Number of features at which two images agree on x > 0, for each pair of images."""
    signs = codes(images(x))
    return (signs.shape[-1] + signs @ signs.mT) / 2


@primitive(
    *_IMAGES,
    domain=TOTAL,
    reference="NWOT, Mellor 2021, independent of the layer's size",
    notation=r"\operatorname{agree}_{B}\left(#1\right)",
)
def sign_agreement_rate(x: Tensor) -> Tensor:
    """Fraction of features at which two images agree on x > 0, for each pair of images."""
    return (1 + gram(codes(images(x)))) / 2


@primitive(
    *_IMAGE_PAIRS,
    domain=FITS,
    reference="cross-covariance",
    commutative=True,
    notation=r"\operatorname{gram}_{B}\left(#1, #2\right)",
)
def batch_cross_gram(x: Tensor, y: Tensor) -> Tensor:
    """Symmetrised cross-Gram matrix of the images: (X·Yᵀ + Y·Xᵀ)/(2·C·H·W)."""
    product = images(x) @ images(y).mT / images(x).shape[-1]
    return (product + product.mT) / 2


# --- functions of matrices -----------------------------------------------------------------


@primitive(*same(MATRICES), domain=TOTAL, reference="matrix algebra", idempotent=True)
def remove_diagonal(matrix: Tensor) -> Tensor:
    """Matrix with its diagonal set to zero: M - diag(M)."""
    return matrix - torch.diag_embed(matrix.diagonal(dim1=-2, dim2=-1))


@primitive(
    *same(MATRICES), domain=f"{FITS}; a diagonal entry 0 gives a zero row", reference="correlation"
)
def unit_diagonal(matrix: Tensor) -> Tensor:
    """Matrix normalised by its diagonal: m_ij/√|m_ii·m_jj|."""
    return unit_rows(matrix)


@primitive(*same(MATRICES), domain=f"{FITS}; trace 0 gives 0", reference="density matrix")
def unit_trace(matrix: Tensor) -> Tensor:
    """Matrix divided by its trace: M/tr(M)."""
    trace_of_matrix = matrix.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    return matrix * inverse_or_zero(trace_of_matrix)[..., None, None]


@primitive(*same(MATRICES), domain=FITS, reference="double centring; CKA, Kornblith 2019")
def centre_matrix(matrix: Tensor) -> Tensor:
    """Double-centred matrix: M minus its row and column means, plus its overall mean."""
    rest = matrix - matrix.mean(dim=-1, keepdim=True)
    return rest - rest.mean(dim=-2, keepdim=True)
