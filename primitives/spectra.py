"""Functions of the eigenvalues λ of a symmetric n×n matrix, which is decomposed only once.

Every primitive here is ``spectral``: in place of the matrix it takes the result of `eigenvalues`,
(..., n) in float64 and ascending order, and returns (...).

The matrices come from float32 products, whose rounding differs between machines. Eigenvalues
below 1e-6 of the largest magnitude are such rounding errors, and count as exactly 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from greenmachine.primitives._helpers import inverse_or_zero, keep_failure
from greenmachine.primitives._signatures import MATRICES, TOTAL, to_scalar
from greenmachine.primitives.registry import primitive

ROUNDING = 1e-6  # eigenvalues below this share of the largest are rounding errors
TINY = 1e-20  # logarithms are taken of at least this, so that a zero matrix has a logdet
JACOV = 1e-5  # the constant in the score of the Jacobian covariance

_SPECTRA = to_scalar(MATRICES)


def eigenvalues(matrix: Tensor) -> Tensor:
    """Return the eigenvalues of a stack of symmetric matrices, ascending, float64; not a primitive.

    Args:
        matrix: (..., n, n). Only its symmetric part is used.

    Returns:
        (..., n). They are NaN for a matrix that has an element which is not finite, and exactly 0
        where the magnitude is below 1e-6 of the matrix's largest.
    """
    exact = matrix.double()
    exact = (exact + exact.mT) / 2
    failed = ~torch.isfinite(exact).flatten(-2).all(dim=-1)
    values: Tensor = torch.linalg.eigvalsh(exact.masked_fill(failed[..., None, None], 0.0))
    sizes = values.abs()
    values = values.masked_fill(sizes < ROUNDING * sizes.amax(dim=-1, keepdim=True), 0.0)
    return values.masked_fill(failed[..., None], math.nan)


def shares(spectrum: Tensor) -> Tensor:
    """Return |λ_i|/Σ_j |λ_j|; 0 for a zero matrix."""
    sizes = spectrum.abs()
    return sizes * inverse_or_zero(sizes.sum(dim=-1, keepdim=True))


def information(share: Tensor) -> Tensor:
    """Return the entropy -Σ p·log p of shares p that sum to 1, in nats."""
    terms: Tensor = torch.special.entr(share)
    return terms.sum(dim=-1)


def floored(spectrum: Tensor) -> Tensor:
    """Return |λ|, raised to at least 1e-6 of the largest and at least 1e-20."""
    sizes = spectrum.abs()
    return torch.maximum(sizes, ROUNDING * sizes.amax(dim=-1, keepdim=True)).clamp_min(TINY)


@primitive(
    *_SPECTRA,
    domain=TOTAL,
    reference="MeCo, Jiang 2023",
    spectral=True,
    notation=r"\lambda_{\min}\left(#1\right)",
)
def min_eigenvalue(spectrum: Tensor) -> Tensor:
    """Smallest eigenvalue λ_min."""
    return spectrum[..., 0]


@primitive(
    *_SPECTRA,
    domain=TOTAL,
    reference="spectral radius",
    spectral=True,
    notation=r"\lambda_{\max}\left(#1\right)",
)
def max_eigenvalue(spectrum: Tensor) -> Tensor:
    """Largest eigenvalue λ_max."""
    return spectrum[..., -1]


@primitive(
    *_SPECTRA,
    domain=TOTAL,
    reference="spectrum",
    spectral=True,
    notation=r"\lambda_{\mathrm{med}}\left(#1\right)",
)
def median_eigenvalue(spectrum: Tensor) -> Tensor:
    """Median of the eigenvalues."""
    n = spectrum.shape[-1]
    return (spectrum[..., (n - 1) // 2] + spectrum[..., n // 2]) / 2


@primitive(*_SPECTRA, domain=TOTAL, reference="spectral clustering", spectral=True)
def spectral_gap(spectrum: Tensor) -> Tensor:
    """Largest eigenvalue minus the second largest; 0 for a 1×1 matrix."""
    return spectrum[..., -1] - spectrum[..., -2:][..., 0]


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}; log|det| with magnitudes of at least 1e-6 of the largest and 1e-20",
    reference="NWOT, Mellor 2021",
    spectral=True,
    notation=r"\log\left|\det\left(#1\right)\right|",
)
def logdet(spectrum: Tensor) -> Tensor:
    """Logarithm of the absolute determinant: Σ log|λ|, floored."""
    return floored(spectrum).log().sum(dim=-1)


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}; at most log(1e6), and 0 for a zero matrix",
    reference="condition number; NTK, Chen 2021 (TE-NAS)",
    spectral=True,
    notation=r"\log\kappa\left(#1\right)",
)
def log_condition(spectrum: Tensor) -> Tensor:
    """Logarithm of the condition number: log(max|λ|/min|λ|)."""
    sizes = floored(spectrum)
    return (sizes.amax(dim=-1) / sizes.amin(dim=-1)).log()


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}; 0 for a zero matrix",
    reference="AZ-NAS",
    spectral=True,
    notation=r"\operatorname{H}_{\lambda}\left(#1\right)",
)
def spectral_entropy(spectrum: Tensor) -> Tensor:
    """Shannon entropy -Σ p·log p of the shares p = |λ|/Σ|λ|."""
    return information(shares(spectrum))


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}, in [0, 1]; 0 for a zero or 1x1 matrix",
    reference="Pielou 1966",
    spectral=True,
)
def spectral_evenness(spectrum: Tensor) -> Tensor:
    """Shannon entropy of the shares p = |λ|/Σ|λ|, divided by its maximum log n."""
    n = spectrum.shape[-1]
    largest_entropy = math.log(n) if n > 1 else 1.0
    return information(shares(spectrum)) / largest_entropy


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}, in [1, n]; 0 for a zero matrix",
    reference="Roy and Vetterli 2007",
    spectral=True,
    notation=r"\operatorname{erank}\left(#1\right)",
)
def effective_rank(spectrum: Tensor) -> Tensor:
    """Effective rank: the exponential of the Shannon entropy of the shares |λ|/Σ|λ|."""
    share = shares(spectrum)
    not_zero = share.sum(dim=-1).round()  # 1, or 0 for a zero matrix
    return information(share).exp() * not_zero


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}; magnitudes above 1e-6 of the largest",
    reference="rank",
    spectral=True,
    notation=r"\operatorname{rank}\left(#1\right)",
)
def numerical_rank(spectrum: Tensor) -> Tensor:
    """Number of eigenvalues that are not 0."""
    return keep_failure(torch.sign(spectrum).abs(), spectrum).sum(dim=-1)


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}, in [1, n]; 0 for a zero matrix",
    reference="participation ratio; Gao 2017",
    spectral=True,
)
def participation_ratio(spectrum: Tensor) -> Tensor:
    """Participation ratio (Σ|λ|)²/Σλ²."""
    return inverse_or_zero(shares(spectrum).square().sum(dim=-1))


@primitive(
    *_SPECTRA,
    domain=TOTAL,
    reference="trace norm",
    spectral=True,
    notation=r"\left\|#1\right\|_{*}",
)
def nuclear_norm(spectrum: Tensor) -> Tensor:
    """Nuclear norm Σ|λ|."""
    return spectrum.abs().sum(dim=-1)


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}, in [1/n, 1]; 0 for a zero matrix",
    reference="explained variance of the first principal component",
    spectral=True,
)
def leading_share(spectrum: Tensor) -> Tensor:
    """Share of the largest eigenvalue: max|λ|/Σ|λ|."""
    return shares(spectrum).amax(dim=-1)


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}; v = magnitude of an eigenvalue, k = 1e-5",
    reference="jacov, Mellor 2020",
    spectral=True,
)
def jacov_score(spectrum: Tensor) -> Tensor:
    """Score of the Jacobian covariance: -Σ (log(|λ| + k) + 1/(|λ| + k))."""
    sizes = spectrum.abs() + JACOV
    return -(sizes.log() + 1 / sizes).sum(dim=-1)
