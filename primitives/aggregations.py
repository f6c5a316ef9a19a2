"""From the layers of a network to one number (or one matrix) for the network.

The functions take (n, L), n networks of L layers each in order of firing, and return (n,); on
matrices (n, L, B, B) and (n, B, B). Depth counts from 1 to L.
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
_WEIGHTS = "this project: late layers weigh more"
_HALVES = "this project: the halves share the middle of an odd number of layers"


def depths(x: Tensor) -> Tensor:
    """(L,): 1, 2, ..., L."""
    return torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)


def half(x: Tensor) -> int:
    """Number of layers in a half, rounded up."""
    return (x.shape[-1] + 1) // 2


@primitive(
    _SCALARS,
    domain=FITS,
    reference="most proxies",
    across_layers=True,
    notation=r"\sum_{\ell} #(1)",
)
def sum_layers(x: Tensor) -> Tensor:
    """Sum over the layers."""
    return x.sum(dim=-1)


@primitive(
    _SCALARS,
    domain=FITS,
    reference="EZNAS, Akhauri 2022",
    across_layers=True,
    notation=r"\frac{1}{L}\sum_{\ell} #(1)",
)
def mean_layers(x: Tensor) -> Tensor:
    """Mean over the layers."""
    return x.mean(dim=-1)


@primitive(
    _SCALARS,
    domain=_FLOORED,
    reference="ZiCo, Li 2023",
    across_layers=True,
    notation=r"\sum_{\ell} \log\left|#1\right|",
)
def sum_log_layers(x: Tensor) -> Tensor:
    """Sum over the layers of log|x|, floored."""
    return x.abs().clamp_min(FLOOR).log().sum(dim=-1)


@primitive(
    _SCALARS,
    domain=_FLOORED,
    reference="geometric mean",
    across_layers=True,
    notation=r"\frac{1}{L}\sum_{\ell} \log\left|#1\right|",
)
def mean_log_layers(x: Tensor) -> Tensor:
    """Mean over the layers of log|x|, floored."""
    return x.abs().clamp_min(FLOOR).log().mean(dim=-1)


@primitive(
    _SCALARS,
    domain=TOTAL,
    reference="bottleneck; AZ-NAS, Lee 2024",
    across_layers=True,
    notation=r"\min_{\ell} #(1)",
)
def min_layers(x: Tensor) -> Tensor:
    """Smallest value of a layer."""
    return x.amin(dim=-1)


@primitive(
    _SCALARS,
    domain=TOTAL,
    reference="extreme layer",
    across_layers=True,
    notation=r"\max_{\ell} #(1)",
)
def max_layers(x: Tensor) -> Tensor:
    """Largest value of a layer."""
    return x.amax(dim=-1)


@primitive(
    _SCALARS,
    domain=f"{FITS}; one layer gives 0",
    reference="spread",
    across_layers=True,
    notation=r"\operatorname{std}_{\ell}\left(#1\right)",
)
def std_layers(x: Tensor) -> Tensor:
    """Standard deviation over the layers."""
    return x.std(dim=-1, correction=0)


@primitive(
    _SCALARS,
    domain=FITS,
    reference="robust mean",
    across_layers=True,
    notation=r"\operatorname{med}_{\ell}\left(#1\right)",
)
def median_layers(x: Tensor) -> Tensor:
    """Median over the layers."""
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
    """Value of the first layer."""
    return x[..., 0]


@primitive(
    _SCALARS,
    domain=f"{TOTAL}; sees one layer",
    reference="head",
    across_layers=True,
    notation=r"\left[#1\right]_{L}",
)
def last_layer(x: Tensor) -> Tensor:
    """Value of the last layer."""
    return x[..., -1]


@primitive(
    _SCALARS,
    domain=FITS,
    reference=_WEIGHTS,
    across_layers=True,
    notation=r"\sum_{\ell} \ell\,#(1)",
)
def depth_weighted_sum(x: Tensor) -> Tensor:
    """Sum over the layers of depth·x."""
    return (x * depths(x)).sum(dim=-1)


@primitive(
    _SCALARS,
    domain=FITS,
    reference=_WEIGHTS,
    across_layers=True,
    notation=r"\sum_{\ell} \ell^{2}\,#(1)",
)
def depth2_weighted_sum(x: Tensor) -> Tensor:
    """Sum over the layers of depth²·x."""
    return (x * depths(x).square()).sum(dim=-1)


@primitive(
    _SCALARS,
    domain=FITS,
    reference=_WEIGHTS,
    across_layers=True,
    notation=r"\frac{\sum_{\ell} \ell\,#(1)}{\sum_{\ell} \ell}",
)
def depth_weighted_mean(x: Tensor) -> Tensor:
    """Mean over the layers of x, weighted by depth."""
    return (x * depths(x)).sum(dim=-1) / depths(x).sum()


@primitive(
    _SCALARS,
    domain=f"{FITS}; sees a half",
    reference=_HALVES,
    across_layers=True,
    notation=r"\sum_{\ell \le L/2} #(1)",
)
def early_half_sum(x: Tensor) -> Tensor:
    """Sum over the first half of the layers."""
    return x[..., : half(x)].sum(dim=-1)


@primitive(
    _SCALARS,
    domain=f"{FITS}; sees a half",
    reference=_HALVES,
    across_layers=True,
    notation=r"\sum_{\ell \ge L/2} #(1)",
)
def late_half_sum(x: Tensor) -> Tensor:
    """Sum over the last half of the layers."""
    return x[..., -half(x) :].sum(dim=-1)


@primitive(
    _SCALARS,
    domain=f"{FITS}; sees a half",
    reference=_HALVES,
    across_layers=True,
    notation=r"\operatorname{mean}_{\ell \le L/2}\left(#1\right)",
)
def early_half_mean(x: Tensor) -> Tensor:
    """Mean over the first half of the layers."""
    return x[..., : half(x)].mean(dim=-1)


@primitive(
    _SCALARS,
    domain=f"{FITS}; sees a half",
    reference=_HALVES,
    across_layers=True,
    notation=r"\operatorname{mean}_{\ell \ge L/2}\left(#1\right)",
)
def late_half_mean(x: Tensor) -> Tensor:
    """Mean over the last half of the layers."""
    return x[..., -half(x) :].mean(dim=-1)


@primitive(
    _SCALARS,
    domain=f"{FITS}; one layer gives 0",
    reference="trend",
    across_layers=True,
    notation=r"\operatorname{slope}_{\ell}\left(#1\right)",
)
def layer_slope(x: Tensor) -> Tensor:
    """Least-squares slope of x over the relative depth, from 0 at the first layer to 1."""
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
    """Number of layers."""
    return x.new_full(x.shape[:-1], float(x.shape[-1]))


@primitive(
    _MATRICES,
    domain=FITS,
    reference="NWOT, Mellor 2021",
    across_layers=True,
    notation=r"\sum_{\ell} #(1)",
)
def sum_matrices(x: Tensor) -> Tensor:
    """Sum of the matrices of the layers."""
    return x.sum(dim=1)


@primitive(
    _MATRICES,
    domain=FITS,
    reference="mean kernel",
    across_layers=True,
    notation=r"\frac{1}{L}\sum_{\ell} #(1)",
)
def mean_matrices(x: Tensor) -> Tensor:
    """Mean of the matrices of the layers."""
    return x.mean(dim=1)
