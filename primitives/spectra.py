"""Functions of the eigenvalues of a symmetric matrix; one decomposition serves them all.

Every primitive here is ``spectral``: it takes what `eigenvalues` returns, (..., n) ascending in
float64, in the matrix's place.

The matrices come from float32 products, whose rounding differs between machines. Eigenvalues
below 1e-6 of the largest magnitude are such rounding, and count as exactly 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from greenmachine.primitives._helpers import inverse_or_zero, keep_failure
from greenmachine.primitives._signatures import MATRICES, TOTAL, to_scalar
from greenmachine.primitives.registry import primitive

ROUNDING = 1e-6  # eigenvalues below this share of the largest are rounding
TINY = 1e-20  # smallest magnitude whose logarithm is taken: that of a zero matrix
JACOV = 1e-5  # the constant in the score of the Jacobian covariance

_SPECTRA = to_scalar(MATRICES)


def eigenvalues(matrix: Tensor) -> Tensor:
    """Eigenvalues of a stack of symmetric matrices, ascending, float64; not a primitive.

    Args:
        matrix: (..., n, n). Its symmetric part counts.

    Returns:
        (..., n). All NaN for a matrix with an entry that is not finite; exactly 0 where the
        magnitude is below 1e-6 of the matrix's largest.
    """
    exact = matrix.double()
    exact = (exact + exact.mT) / 2
    failed = ~torch.isfinite(exact).flatten(-2).all(dim=-1)
    values: Tensor = torch.linalg.eigvalsh(exact.masked_fill(failed[..., None, None], 0.0))
    sizes = values.abs()
    values = values.masked_fill(sizes < ROUNDING * sizes.amax(dim=-1, keepdim=True), 0.0)
    return values.masked_fill(failed[..., None], math.nan)


def shares(spectrum: Tensor) -> Tensor:
    """Magnitudes divided by their sum; 0 for a zero matrix."""
    sizes = spectrum.abs()
    return sizes * inverse_or_zero(sizes.sum(dim=-1, keepdim=True))


def information(share: Tensor) -> Tensor:
    """Entropy of shares that sum to 1, in nats."""
    terms: Tensor = torch.special.entr(share)
    return terms.sum(dim=-1)


def floored(spectrum: Tensor) -> Tensor:
    """Magnitudes, at least 1e-6 of the largest and at least 1e-20."""
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
    """Smallest eigenvalue."""
    return spectrum[..., 0]


@primitive(
    *_SPECTRA,
    domain=TOTAL,
    reference="spectral radius",
    spectral=True,
    notation=r"\lambda_{\max}\left(#1\right)",
)
def max_eigenvalue(spectrum: Tensor) -> Tensor:
    """Largest eigenvalue."""
    return spectrum[..., -1]


@primitive(
    *_SPECTRA,
    domain=TOTAL,
    reference="spectrum",
    spectral=True,
    notation=r"\lambda_{\mathrm{med}}\left(#1\right)",
)
def median_eigenvalue(spectrum: Tensor) -> Tensor:
    """Median eigenvalue."""
    n = spectrum.shape[-1]
    return (spectrum[..., (n - 1) // 2] + spectrum[..., n // 2]) / 2


@primitive(*_SPECTRA, domain=TOTAL, reference="spectral clustering", spectral=True)
def spectral_gap(spectrum: Tensor) -> Tensor:
    """Largest eigenvalue minus the second largest; 0 for a 1x1 matrix."""
    return spectrum[..., -1] - spectrum[..., -2:][..., 0]


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}; log|det| with magnitudes of at least 1e-6 of the largest and 1e-20",
    reference="NWOT, Mellor 2021",
    spectral=True,
    notation=r"\log\left|\det\left(#1\right)\right|",
)
def logdet(spectrum: Tensor) -> Tensor:
    """Logarithm of the absolute determinant, floored."""
    return floored(spectrum).log().sum(dim=-1)


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}; at most log(1e6), and 0 for a zero matrix",
    reference="condition number; NTK, Chen 2021 (TE-NAS)",
    spectral=True,
    notation=r"\log\kappa\left(#1\right)",
)
def log_condition(spectrum: Tensor) -> Tensor:
    """Logarithm of the largest by the smallest magnitude of the eigenvalues."""
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
    """Entropy of the normalised magnitudes of the eigenvalues."""
    return information(shares(spectrum))


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}, in [0, 1]; 0 for a zero or 1x1 matrix",
    reference="Pielou 1966",
    spectral=True,
)
def spectral_evenness(spectrum: Tensor) -> Tensor:
    """Entropy of the normalised magnitudes of the eigenvalues, by its largest value log n."""
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
    """Exponential of the entropy of the normalised magnitudes of the eigenvalues."""
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
    """Squared sum of the magnitudes of the eigenvalues by the sum of their squares."""
    return inverse_or_zero(shares(spectrum).square().sum(dim=-1))


@primitive(
    *_SPECTRA,
    domain=TOTAL,
    reference="trace norm",
    spectral=True,
    notation=r"\left\|#1\right\|_{*}",
)
def nuclear_norm(spectrum: Tensor) -> Tensor:
    """Sum of the magnitudes of the eigenvalues."""
    return spectrum.abs().sum(dim=-1)


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}, in [1/n, 1]; 0 for a zero matrix",
    reference="explained variance of the first principal component",
    spectral=True,
)
def leading_share(spectrum: Tensor) -> Tensor:
    """Largest magnitude of the eigenvalues by the sum of all magnitudes."""
    return shares(spectrum).amax(dim=-1)


@primitive(
    *_SPECTRA,
    domain=f"{TOTAL}; v = magnitude of an eigenvalue, k = 1e-5",
    reference="jacov, Mellor 2020",
    spectral=True,
)
def jacov_score(spectrum: Tensor) -> Tensor:
    """Minus the sum of log(v + k) + 1/(v + k) over the eigenvalues v."""
    sizes = spectrum.abs() + JACOV
    return -(sizes.log() + 1 / sizes).sum(dim=-1)
