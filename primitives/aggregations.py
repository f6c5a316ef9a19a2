"""Aggregations: from one value per layer to one value per network.

The functions take (n, L): n networks of L layers each, in the order in which the layers run. They
return (n,). For matrices the shapes are (n, L, B, B) and (n, B, B). The depth l runs from 1 to L.
"""

from __future__ import annotations

import torch
from torch import Tensor

from greenmachine.primitives._helpers import FLOOR, keep_failure
from greenmachine.primitives._signatures import FITS, TOTAL
from greenmachine.primitives.registry import (
    BATCH_MATRIX,
    LAYER_SCALAR,
    NETWORK_MATRIX,
    NETWORK_SCALAR,
    primitive,
)

_SCALARS = ((LAYER_SCALAR,), NETWORK_SCALAR)
_MATRICES = ((BATCH_MATRIX,), NETWORK_MATRIX)
_FLOORED = f"{TOTAL}; log(max(|x|, 1e-10))"
_WEIGHTS = "this project: late layers have larger weights"
_HALVES = "this project; if L is odd, both halves contain the middle layer"


def depths(x: Tensor) -> Tensor:
    """Return the depths 1, 2, ..., L as a tensor (L,)."""
    return torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)


def half(x: Tensor) -> int:
    """Return the number of layers in one half, rounded up."""
    return (x.shape[-1] + 1) // 2


@primitive(
    _SCALARS,
    domain=FITS,
    reference="most proxies",
    across_layers=True,
    notation=r"\sum_{\ell} #(1)",
)
def sum_layers(x: Tensor) -> Tensor:
    """Sum over the layers: Σ_l x_l."""
    return x.sum(dim=-1)


@primitive(
    _SCALARS,
    domain=FITS,
    reference="EZNAS, Akhauri 2022",
    across_layers=True,
    notation=r"\frac{1}{L}\sum_{\ell} #(1)",
)
def mean_layers(x: Tensor) -> Tensor:
    """Mean over the layers: (1/L)·Σ_l x_l."""
    return x.mean(dim=-1)


@primitive(
    _SCALARS,
    domain=_FLOORED,
    reference="ZiCo, Li 2023",
    across_layers=True,
    notation=r"\sum_{\ell} \log\left|#1\right|",
)
def sum_log_layers(x: Tensor) -> Tensor:
    """Sum over the layers of log|x_l|, with |x_l| at least 1e-10."""
    return x.abs().clamp_min(FLOOR).log().sum(dim=-1)


@primitive(
    _SCALARS,
    domain=_FLOORED,
    reference="geometric mean",
    across_layers=True,
    notation=r"\frac{1}{L}\sum_{\ell} \log\left|#1\right|",
)
def mean_log_layers(x: Tensor) -> Tensor:
    """Mean over the layers of log|x_l|, with |x_l| at least 1e-10."""
    return x.abs().clamp_min(FLOOR).log().mean(dim=-1)


@primitive(
    _SCALARS,
    domain=TOTAL,
    reference="bottleneck; AZ-NAS, Lee 2024",
    across_layers=True,
    notation=r"\min_{\ell} #(1)",
)
def min_layers(x: Tensor) -> Tensor:
    """Minimum over the layers: min_l x_l."""
    return x.amin(dim=-1)


@primitive(
    _SCALARS,
    domain=TOTAL,
    reference="extreme layer",
    across_layers=True,
    notation=r"\max_{\ell} #(1)",
)
def max_layers(x: Tensor) -> Tensor:
    """Maximum over the layers: max_l x_l."""
    return x.amax(dim=-1)


@primitive(
    _SCALARS,
    domain=f"{FITS}; one layer gives 0",
    reference="spread",
    across_layers=True,
    notation=r"\operatorname{std}_{\ell}\left(#1\right)",
)
def std_layers(x: Tensor) -> Tensor:
    """Standard deviation over the layers, without Bessel correction."""
    return x.std(dim=-1, correction=0)


@primitive(
    _SCALARS,
    domain=FITS,
    reference="robust mean",
    across_layers=True,
    notation=r"\operatorname{med}_{\ell}\left(#1\right)",
)
def median_layers(x: Tensor) -> Tensor:
    """Median over the layers; the mean of the middle two if L is even."""
    ordered = x.sort(dim=-1).values
    middle = (ordered[..., half(x) - 1] + ordered[..., x.shape[-1] // 2]) / 2
    return keep_failure(middle, ordered[..., -1])  # NaN sorts last


@primitive(
    _SCALARS,
    domain=f"{TOTAL}; sees one layer",
    reference="stem",
    across_layers=True,
    notation=r"\left[#1\right]_{1}",
)
def first_layer(x: Tensor) -> Tensor:
    """Value of the first layer: x_1."""
    return x[..., 0]


@primitive(
    _SCALARS,
    domain=f"{TOTAL}; sees one layer",
    reference="head",
    across_layers=True,
    notation=r"\left[#1\right]_{L}",
)
def last_layer(x: Tensor) -> Tensor:
    """Value of the last layer: x_L."""
    return x[..., -1]


@primitive(
    _SCALARS,
    domain=FITS,
    reference=_WEIGHTS,
    across_layers=True,
    notation=r"\sum_{\ell} \ell\,#(1)",
)
def depth_weighted_sum(x: Tensor) -> Tensor:
    """Sum over the layers, weighted by depth: Σ_l l·x_l."""
    return (x * depths(x)).sum(dim=-1)


@primitive(
    _SCALARS,
    domain=FITS,
    reference=_WEIGHTS,
    across_layers=True,
    notation=r"\sum_{\ell} \ell^{2}\,#(1)",
)
def depth2_weighted_sum(x: Tensor) -> Tensor:
    """Sum over the layers, weighted by squared depth: Σ_l l²·x_l."""
    return (x * depths(x).square()).sum(dim=-1)


@primitive(
    _SCALARS,
    domain=FITS,
    reference=_WEIGHTS,
    across_layers=True,
    notation=r"\frac{\sum_{\ell} \ell\,#(1)}{\sum_{\ell} \ell}",
)
def depth_weighted_mean(x: Tensor) -> Tensor:
    """Mean over the layers, weighted by depth: Σ_l l·x_l / Σ_l l."""
    return (x * depths(x)).sum(dim=-1) / depths(x).sum()


@primitive(
    _SCALARS,
    domain=f"{FITS}; sees a half",
    reference=_HALVES,
    across_layers=True,
    notation=r"\sum_{\ell \le L/2} #(1)",
)
def early_half_sum(x: Tensor) -> Tensor:
    """Sum over the first half of the layers, l ≤ (L+1)/2."""
    return x[..., : half(x)].sum(dim=-1)


@primitive(
    _SCALARS,
    domain=f"{FITS}; sees a half",
    reference=_HALVES,
    across_layers=True,
    notation=r"\sum_{\ell \ge L/2} #(1)",
)
def late_half_sum(x: Tensor) -> Tensor:
    """Sum over the last half of the layers, l ≥ (L+1)/2."""
    return x[..., -half(x) :].sum(dim=-1)


@primitive(
    _SCALARS,
    domain=f"{FITS}; sees a half",
    reference=_HALVES,
    across_layers=True,
    notation=r"\operatorname{mean}_{\ell \le L/2}\left(#1\right)",
)
def early_half_mean(x: Tensor) -> Tensor:
    """Mean over the first half of the layers, l ≤ (L+1)/2."""
    return x[..., : half(x)].mean(dim=-1)


@primitive(
    _SCALARS,
    domain=f"{FITS}; sees a half",
    reference=_HALVES,
    across_layers=True,
    notation=r"\operatorname{mean}_{\ell \ge L/2}\left(#1\right)",
)
def late_half_mean(x: Tensor) -> Tensor:
    """Mean over the last half of the layers, l ≥ (L+1)/2."""
    return x[..., -half(x) :].mean(dim=-1)


@primitive(
    _SCALARS,
    domain=f"{FITS}; one layer gives 0",
    reference="trend",
    across_layers=True,
    notation=r"\operatorname{slope}_{\ell}\left(#1\right)",
)
def layer_slope(x: Tensor) -> Tensor:
    """Least-squares slope of x_l over the relative depth (l-1)/(L-1)."""
    depth = (depths(x) - 1) / (x.shape[-1] - 1 or 1)
    depth = depth - depth.mean()
    return (x * depth).sum(dim=-1) / depth.square().sum().clamp_min(FLOOR)


@primitive(
    _SCALARS,
    domain="total: sees the shape only",
    reference="depth",
    across_layers=True,
    notation="L",
)
def layer_count(x: Tensor) -> Tensor:
    """Number of layers L, whatever their values."""
    return x.new_full(x.shape[:-1], float(x.shape[-1]))


@primitive(
    _MATRICES,
    domain=FITS,
    reference="NWOT, Mellor 2021",
    across_layers=True,
    notation=r"\sum_{\ell} #(1)",
)
def sum_matrices(x: Tensor) -> Tensor:
    """Sum of the layers' matrices: Σ_l M_l."""
    return x.sum(dim=1)


@primitive(
    _MATRICES,
    domain=FITS,
    reference="mean kernel",
    across_layers=True,
    notation=r"\frac{1}{L}\sum_{\ell} #(1)",
)
def mean_matrices(x: Tensor) -> Tensor:
    """Mean of the layers' matrices: (1/L)·Σ_l M_l."""
    return x.mean(dim=1)
