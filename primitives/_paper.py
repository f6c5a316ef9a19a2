"""The rules that every function of the paper language obeys: protection, padding, failing layers.

A value is a stack (K, ...) of K layers whose tensors have one shape; this may be the shape () of a
number. In the paper, a function raises an error on a layer whose shape it does not accept, and the
layer is skipped. All layers of a stack have the same shape, so they fail together: the value then
becomes the empty stack (K, 0), every function returns it unchanged, and the mean over the layers
leaves these layers out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

NOISE_SEED = 20151  # seed of add_noise; that of gaussian_init is the next; the value is arbitrary


class DoesNotFitError(ValueError):
    """The function does not accept the shape of a layer's tensor, so the layer fails."""


def protected(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Wrap a function of stacks: NaN is read as 1, and failed layers are passed through."""

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
    """Return whether the layers of the stack failed: only then is a stack empty."""
    return x.numel() == 0


def without_nan(x: Tensor) -> Tensor:
    """Replace every NaN of the stack by 1; return the stack itself if it has none."""
    if not x.sum().isnan():  # a fast check; a sum of both infinities is NaN too, which does no harm
        return x
    return torch.where(x.isnan(), 1.0, x)


def rows(x: Tensor) -> Tensor:
    """Reshape (K, ...) to (K, n): one row of elements for each layer."""
    return x.reshape(len(x), -1)


def meeting(value: Tensor, x: Tensor) -> Tensor:
    """Reshape (K,) to the number of dimensions of ``x``, so that it broadcasts over each layer."""
    return value.reshape(-1, *(1,) * (x.ndim - 1))


def padded(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Give two stacks the shape of the longer one; the shorter one is padded with ones.

    If both have equally many elements, the first gives the shape.
    """
    if x.shape == y.shape:
        return x, y
    left, right = rows(x), rows(y)
    shape = x.shape if left.shape[1] >= right.shape[1] else y.shape
    length = max(left.shape[1], right.shape[1])
    return filled(left, length).reshape(shape), filled(right, length).reshape(shape)


def filled(x: Tensor, length: int) -> Tensor:
    """Pad (K, n) with ones to (K, length)."""
    return torch.cat([x, x.new_ones(len(x), length - x.shape[1])], dim=1)


def truncated(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Give two stacks the shape of the shorter one; further elements of the longer are dropped.

    If both have equally many elements, the first gives the shape.
    """
    if x.shape == y.shape:
        return x, y
    left, right = rows(x), rows(y)
    shape = x.shape if left.shape[1] <= right.shape[1] else y.shape
    length = min(left.shape[1], right.shape[1])
    return left[:, :length].reshape(shape), right[:, :length].reshape(shape)


def square_matrices(x: Tensor) -> Tensor:
    """Return the stack, after checking that the last two dimensions form square matrices.

    Raises:
        DoesNotFitError: the matrices are not square, or a layer has fewer than two dimensions.
    """
    if not is_square(x):
        raise DoesNotFitError
    return x


def is_square(x: Tensor) -> bool:
    """Return whether the last two dimensions of a layer form square matrices."""
    return x.ndim > 2 and x.shape[-1] == x.shape[-2]


def fixed_noise(x: Tensor, seed: int) -> Tensor:
    """Return N(0, 1) noise in the shape of one layer, (1, ...), equal for equal shapes.

    It is drawn on the CPU in float32, so that it does not depend on the device or the precision.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(x.shape[1:], generator=generator).to(x).unsqueeze(0)


def spectrum(matrix: Tensor) -> Tensor:
    """Return the eigenvalues (..., n), ascending, of symmetric matrices (..., n, n).

    They are NaN for a matrix that contains an infinity, or on which LAPACK does not converge. Some
    builds of LAPACK raise an error there and some return NaN; this function always returns NaN.
    """
    failed = ~torch.isfinite(matrix).flatten(-2).all(dim=-1)
    finite = torch.where(failed[..., None, None], 0.0, matrix)
    values = converged(finite.reshape(-1, *finite.shape[-2:])).reshape(finite.shape[:-1])
    return torch.where(failed[..., None], torch.nan, values)


def converged(matrices: Tensor) -> Tensor:
    """Return the eigenvalues (n, m) of (n, m, m); NaN where LAPACK does not converge."""
    try:
        values: Tensor = torch.linalg.eigvalsh(matrices)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # one matrix fails the call
        if len(matrices) > 1:
            return torch.cat([converged(one[None]) for one in matrices])
        values = matrices.new_full(matrices.shape[:-1], torch.nan)
    return values
