"""The rules that every function of the paper language obeys: protection, padding, raising.

A value is a stack (K, ...) of K layers whose tensors have one shape, maybe the shape () of a
number. Where a function raises in the paper, because a shape does not fit, it does so on every
layer of the stack alike: the value is then the empty stack (K, 0), and so is whatever is made of
it, until the layers are skipped in the mean over the layers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

NOISE_SEED = 20151  # of add_noise and gaussian_init; any number does


class DoesNotFitError(ValueError):
    """The shape of a layer's tensor is none that the function takes: the layer raises."""


def protected(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make of a function of stacks one that reads NaN as 1 and hands on layers that raised."""

    @wraps(function)
    def guarded(*stacks: Tensor) -> Tensor:
        raised = next((x for x in stacks if has_raised(x)), None)
        if raised is not None:
            return raised
        try:
            return function(*(without_nan(x) for x in stacks))
        except DoesNotFitError:
            return stacks[0].new_empty((len(stacks[0]), 0))

    return guarded


def has_raised(x: Tensor) -> bool:
    """Whether the layers of the stack raised: no tensor of a network is empty."""
    return x.numel() == 0


def without_nan(x: Tensor) -> Tensor:
    """The stack with 1 for every NaN; itself where it has none."""
    if not x.sum().isnan():  # one pass that writes nothing; infinities of both signs are NaN too
        return x
    return torch.where(x.isnan(), 1.0, x)


def rows(x: Tensor) -> Tensor:
    """(K, ...) to (K, n): the elements of each layer."""
    return x.reshape(len(x), -1)


def meeting(value: Tensor, x: Tensor) -> Tensor:
    """(K,) to the number of dimensions of ``x``, so that it meets every element of its layer."""
    return value.reshape(-1, *(1,) * (x.ndim - 1))


def padded(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Two stacks in one shape: the longer's; the shorter is filled up with ones.

    Of two equally long ones the first gives the shape.
    """
    if x.shape == y.shape:
        return x, y
    left, right = rows(x), rows(y)
    shape = x.shape if left.shape[1] >= right.shape[1] else y.shape
    length = max(left.shape[1], right.shape[1])
    return filled(left, length).reshape(shape), filled(right, length).reshape(shape)


def filled(x: Tensor, length: int) -> Tensor:
    """(K, n) to (K, length), filled up with ones."""
    return torch.cat([x, x.new_ones(len(x), length - x.shape[1])], dim=1)


def truncated(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Two stacks in one shape: the shorter's; what the longer has more is dropped.

    Of two equally long ones the first gives the shape.
    """
    if x.shape == y.shape:
        return x, y
    left, right = rows(x), rows(y)
    shape = x.shape if left.shape[1] <= right.shape[1] else y.shape
    length = min(left.shape[1], right.shape[1])
    return left[:, :length].reshape(shape), right[:, :length].reshape(shape)


def square_matrices(x: Tensor) -> Tensor:
    """The stack itself, if the last two dimensions of a layer make square matrices.

    Raises:
        DoesNotFitError: they do not, or a layer has fewer than two.
    """
    if not is_square(x):
        raise DoesNotFitError
    return x


def is_square(x: Tensor) -> bool:
    """Whether the last two dimensions of a layer make square matrices."""
    return x.ndim > 2 and x.shape[-1] == x.shape[-2]


def fixed_noise(x: Tensor, seed: int) -> Tensor:
    """N(0, 1) in the shape of one layer, (1, ...), the same for every layer of that shape.

    Drawn on the CPU for every device, in float32 for every precision.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(x.shape[1:], generator=generator).to(x).unsqueeze(0)


def spectrum(matrix: Tensor) -> Tensor:
    """Eigenvalues (..., n), ascending, of symmetric matrices (..., n, n).

    All NaN for a matrix with an infinity, or on which LAPACK does not converge. Its builds
    differ there: some raise, some give NaN. This is the latter on all of them.
    """
    failed = ~torch.isfinite(matrix).flatten(-2).all(dim=-1)
    finite = torch.where(failed[..., None, None], 0.0, matrix)
    values = converged(finite.reshape(-1, *finite.shape[-2:])).reshape(finite.shape[:-1])
    return torch.where(failed[..., None], torch.nan, values)


def converged(matrices: Tensor) -> Tensor:
    """Eigenvalues of (n, m, m); NaN for a matrix on which LAPACK does not converge."""
    try:
        values: Tensor = torch.linalg.eigvalsh(matrices)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # one fails the whole call
        if len(matrices) > 1:
            return torch.cat([converged(one[None]) for one in matrices])
        values = matrices.new_full(matrices.shape[:-1], torch.nan)
    return values
