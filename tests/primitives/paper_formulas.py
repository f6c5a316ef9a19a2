"""The 38 functions of the paper language for one layer's tensor, written plainly.

No stack, no shared helper: what torch raises, the formula raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Formula = Callable[..., Tensor]


def without_nan(a: Tensor) -> Tensor:
    a = a.clone()
    a[a.isnan()] = 1
    return a


def pad(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.shape == b.shape:
        return a, b
    longer = a if a.numel() >= b.numel() else b
    both = []
    for tensor in (a, b):
        full = torch.ones(longer.numel(), dtype=a.dtype)
        full[: tensor.numel()] = tensor.flatten()
        both.append(full.reshape(longer.shape))
    return both[0], both[1]


def cut(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.shape == b.shape:
        return a, b
    shorter = a if a.numel() <= b.numel() else b
    n = shorter.numel()
    return a.flatten()[:n].reshape(shorter.shape), b.flatten()[:n].reshape(shorter.shape)


def kl(a: Tensor, b: Tensor) -> Tensor:
    terms = torch.where(b == 0, 0 * b, b * b.log()) - b * a
    return terms.sum() / (a.shape[0] if a.ndim else 1)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return functional.cosine_similarity(a, b, dim=0)


def normalise(a: Tensor) -> Tensor:
    result = (a - a.mean()) / (a.std() if a.numel() > 1 else math.nan)
    return torch.where(result.isnan(), 0.0, result)


def noise(a: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(a.shape, generator=generator).to(a.dtype)


def log(a: Tensor) -> Tensor:
    a = a.clone()
    a[a <= 0] = 1
    return a.log()


def determinant(a: Tensor) -> Tensor:
    square = a.ndim >= 2 and a.shape[-1] == a.shape[-2]
    return torch.det(a) if square else a


def logdet(a: Tensor) -> Tensor:
    result = torch.logdet(a)
    return torch.where(result.isnan(), 0.0, result)


def eigenvalues(a: Tensor) -> Tensor:
    if not a.isfinite().all():  # a matrix at a time: one with an infinity has none
        if a.ndim > 2:
            return torch.stack([eigenvalues(matrix) for matrix in a])
        return a.new_full(a.shape[:1], math.nan)
    return torch.linalg.eigvalsh(a)


def symmetric_ratio(a: Tensor) -> Tensor:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:  # torch would broadcast 1 x n to n x n
        raise RuntimeError("not square")
    values = eigenvalues(a + a.transpose(-1, -2))
    return values[..., 0] / values[..., -1]


def gram_ratio(a: Tensor) -> Tensor:
    a = a.reshape(a.shape[0], -1)
    values = eigenvalues(a @ a.T)
    return values[-1] / values[0]


def softmax(a: Tensor) -> Tensor:
    return functional.softmax(a, dim=0 if a.ndim in (0, 1, 3) else 1)


def transpose(a: Tensor) -> Tensor:
    return a.transpose(-1, -2) if a.ndim >= 2 else a


BINARY: dict[str, Formula] = {
    "sum": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "product": lambda a, b: a * b,
    "matmul": torch.matmul,
    "less": lambda a, b: 1.0 * (a < b),
    "greater": lambda a, b: 1.0 * (a > b),
    "equal": lambda a, b: 1.0 * (a == b),
    "hamming": lambda a, b: 1.0 * (a.sign() != b.sign()).sum(),
    "kl": kl,
    "cosine": cosine,
}
TRUNCATING: dict[str, Formula] = {"max": torch.maximum, "min": torch.minimum}
UNARY: dict[str, Formula] = {
    "add_noise": lambda a: a + math.sqrt(0.1) * noise(a, 20151),
    "gaussian_init": lambda a: noise(a, 20152),
    "log": log,
    "abs": torch.abs,
    "square": lambda a: a**2,
    "exp": torch.exp,
    "normalise": normalise,
    "relu": lambda a: a.clamp_min(0),
    "sign": torch.sign,
    "heaviside": lambda a: torch.heaviside(a, torch.zeros((), dtype=a.dtype)),
    "invert": lambda a: 1 / a,
    "sigmoid": torch.sigmoid,
    "softmax": softmax,
    "ones_like": torch.ones_like,
    "zeros_like": torch.zeros_like,
    "positive": lambda a: 1.0 * (a > 0),
    "negative": lambda a: 1.0 * (a < 0),
    "transpose": transpose,
    "mean": torch.mean,
    "mean_abs": lambda a: a.abs().mean(),
    "numel": lambda a: torch.tensor(float(a.numel())),
    "norm": lambda a: a.square().sum().sqrt(),
    "determinant": determinant,
    "logdet": logdet,
    "eigenvalue_ratio": symmetric_ratio,
    "gram_eigenvalue_ratio": gram_ratio,
}
NAMES = [*BINARY, *TRUNCATING, *UNARY]


def plain(name: str, *tensors: Tensor) -> Tensor | None:
    """The value of ``paper_NAME`` on one layer's tensors; None where the layer raises."""
    given = [without_nan(a) for a in tensors]
    try:
        if name in UNARY:
            result = UNARY[name](*given)
        elif name in TRUNCATING:
            result = TRUNCATING[name](*cut(*given))
        else:
            result = BINARY[name](*pad(*given))
    except (RuntimeError, IndexError):
        return None
    return result.to(tensors[0].dtype)
