"""Functions of one number per layer or network, and functions along the layers of a network.

Functions along the layers take (n, L), n networks of L layers each in the order in which the layers
run, and return (n, L). Numbers are passed as Python floats.
"""

from __future__ import annotations

import torch
from torch import Tensor

from greenmachine.primitives._helpers import FLOOR, inverse_or_zero, keep_failure
from greenmachine.primitives._signatures import FITS, SCALARS, TOTAL, same
from greenmachine.primitives.registry import LAYER_SCALAR, NUMBER, primitive

_NUMBERED = [((kind, NUMBER), kind) for kind in SCALARS]
_LAYERS = ((LAYER_SCALAR,), LAYER_SCALAR)
_ALGEBRA = "elementary algebra"


@primitive(
    *same(SCALARS),
    domain=f"{TOTAL}; log(max(|x|, 1e-10))",
    reference=_ALGEBRA,
    notation=r"\log\left|#1\right|",
)
def log_abs(x: Tensor) -> Tensor:
    """Logarithm log|x|, with |x| at least 1e-10."""
    return x.abs().clamp_min(FLOOR).log()


@primitive(
    *_NUMBERED,
    domain="p > 0, or x not 0; unless the result overflows",
    reference=_ALGEBRA,
    notation=r"\left(#1\right)^{\pm #2}",
)
def power(x: Tensor, p: float) -> Tensor:
    """Power that keeps the sign: sign(x)·|x|^p."""
    return keep_failure(torch.sign(x) * x.abs().pow(p), x)


@primitive(*_NUMBERED, domain=FITS, reference=_ALGEBRA, notation=r"#2 \cdot #(1)")
def scale(x: Tensor, c: float) -> Tensor:
    """Product with a number: c·x."""
    return x * c


@primitive(*_NUMBERED, domain=FITS, reference=_ALGEBRA, rank_preserving=True, notation="#1 + #(2)")
def shift(x: Tensor, c: float) -> Tensor:
    """Sum with a number: x + c."""
    return x + c


@primitive(
    _LAYERS,
    domain=FITS,
    reference="progressivity; AZ-NAS, Lee 2024",
    across_layers=True,
    notation=r"\Delta_{\ell}\left(#1\right)",
)
def difference_layers(x: Tensor) -> Tensor:
    """Difference to the previous layer: x_l - x_(l-1); 0 at the first layer."""
    return torch.diff(x, prepend=x[..., :1])


@primitive(
    _LAYERS,
    domain=TOTAL,
    reference="neighbouring layers",
    across_layers=True,
    notation=r"\left[#1\right]_{\ell-1}",
)
def previous_layer(x: Tensor) -> Tensor:
    """Value of the previous layer: x_(l-1); the first layer keeps its own."""
    return torch.cat([x[..., :1], x[..., :-1]], dim=-1)


@primitive(
    _LAYERS,
    domain=FITS,
    reference="path from the input",
    across_layers=True,
    notation=r"\sum_{k \le \ell} #(1)",
)
def cumulative_sum(x: Tensor) -> Tensor:
    """Cumulative sum over the layers: Σ_(k≤l) x_k."""
    return x.cumsum(dim=-1)


@primitive(_LAYERS, domain=FITS, reference="path from the input", across_layers=True)
def cumulative_mean(x: Tensor) -> Tensor:
    """Cumulative mean over the layers: (1/l)·Σ_(k≤l) x_k."""
    depth = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
    return x.cumsum(dim=-1) / depth


@primitive(_LAYERS, domain=f"{FITS}; zeros stay zeros", reference="share", across_layers=True)
def normalise_layers(x: Tensor) -> Tensor:
    """Values divided by the sum of their magnitudes over the layers: x_l/Σ_k |x_k|."""
    return x * inverse_or_zero(x.abs().sum(dim=-1, keepdim=True))


@primitive(
    _LAYERS,
    domain=f"{FITS}; a first layer 0 gives 0",
    reference="growth from the stem",
    across_layers=True,
)
def relative_to_first(x: Tensor) -> Tensor:
    """Values divided by the magnitude of the first layer: x_l/|x_1|."""
    return x * inverse_or_zero(x[..., :1].abs())


@primitive(
    _LAYERS,
    domain=FITS,
    reference="this project: late layers have larger weights",
    across_layers=True,
    notation=r"\frac{\ell}{L}\,#(1)",
)
def times_depth(x: Tensor) -> Tensor:
    """Values times relative depth: (l/L)·x_l."""
    n = x.shape[-1]
    return x * (torch.arange(1, n + 1, dtype=x.dtype, device=x.device) / n)
