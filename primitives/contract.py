"""The requirements on a primitive, checked on examples when a user registers one."""

from __future__ import annotations

import torch
from torch import Tensor

from greenmachine.primitives.registry import (
    BATCH_MATRIX,
    CHANNEL_MATRIX,
    INPUT_TENSOR,
    LAYER_SCALAR,
    NETWORK_MATRIX,
    NETWORK_SCALAR,
    OUTPUT_TENSOR,
    WEIGHT_TENSOR,
    Primitive,
    Signature,
)

__all__ = ["broken_promise", "example"]

_STACK, _LAYERS, _BATCH = 3, 4, 5
_SHAPES = {
    WEIGHT_TENSOR: (6, 7, 3, 3),
    INPUT_TENSOR: (_BATCH, 7, 4, 4),
    OUTPUT_TENSOR: (_BATCH, 6, 4, 4),
    CHANNEL_MATRIX: (6, 6),
    BATCH_MATRIX: (_BATCH, _BATCH),
    NETWORK_MATRIX: (_BATCH, _BATCH),
    LAYER_SCALAR: (),
    NETWORK_SCALAR: (),
}
_SCALARS = (LAYER_SCALAR, NETWORK_SCALAR)
_MATRICES = (CHANNEL_MATRIX, BATCH_MATRIX, NETWORK_MATRIX)


def broken_promise(item: Primitive) -> str | None:
    """Return which requirement of :class:`Primitive` ``item`` violates, or None.

    Each signature is called on three random layers. The shape of the result must be that of its
    kind, the arguments must be unchanged, a second call must give the same result, and each layer
    must give the same result alone as in the stack.
    """
    for signature in item.signatures:
        try:
            reason = _broken(item, signature)
        except Exception as error:
            reason = f"it raises {type(error).__name__}: {error}"
        if reason:
            return f"on {signature}: {reason}"
    return None


def _broken(item: Primitive, signature: Signature) -> str | None:
    values = [example(kind, seed, item) for seed, kind in enumerate(signature.arguments)]
    kept = [v.clone() if isinstance(v, Tensor) else v for v in values]
    whole = item.function(*values)
    pairs = zip(kept, values, strict=True)
    if any(not torch.equal(torch.as_tensor(old), torch.as_tensor(new)) for old, new in pairs):
        return "it changes an argument: work on a copy"
    if not isinstance(whole, Tensor):
        return f"it returns {type(whole).__name__}, not a tensor"
    if wrong := _wrong_shape(signature, whole, values[0], item):
        return wrong
    if not torch.allclose(whole, item.function(*values), rtol=0, atol=0, equal_nan=True):
        return "two calls give different values: a primitive must not draw random numbers"
    for place in range(_STACK):
        alone = [v[place : place + 1] if isinstance(v, Tensor) else v for v in values]
        found = item.function(*alone)
        size = whole[place].abs().nan_to_num(posinf=0).max().item() if whole[place].numel() else 0.0
        if not torch.allclose(found[0], whole[place], rtol=1e-4, atol=1e-4 * size, equal_nan=True):
            return "a layer has another value in a stack than alone: do not reduce over dimension 0"
    return None


def example(kind: str, seed: int, item: Primitive) -> Tensor | float:
    """Return a random argument of ``kind`` for ``item``: a stack of three layers, or a number."""
    if kind not in _SHAPES:
        return 2.0
    lead = (_STACK, _LAYERS) if item.across_layers else (_STACK,)
    value = torch.randn(*lead, *_SHAPES[kind], generator=torch.Generator().manual_seed(seed))
    if kind in _MATRICES:
        value = (value + value.mT) / 2
    if item.spectral and kind in _MATRICES:  # it takes eigenvalues in place of the matrix
        value = torch.linalg.eigvalsh(value.double())
    return value.double() if kind in _SCALARS else value


def _wrong_shape(
    signature: Signature, result: Tensor, first: Tensor | float, item: Primitive
) -> str | None:
    shape = tuple(result.shape)
    if signature.result in _SCALARS:
        each = item.across_layers and signature.result == LAYER_SCALAR  # one per layer, in order
        fits = shape == ((_STACK, _LAYERS) if each else (_STACK,))
        wanted: str = "(K,), one number per layer"
    elif signature.result in _MATRICES:
        fits = len(shape) == 3 and shape[0] == _STACK and shape[1] == shape[2]
        wanted = "(K, n, n), one matrix per layer"
    else:
        expected = (_STACK, *_SHAPES[signature.result])
        fits, wanted = shape == expected, f"{expected}, the shape of its kind"
    given = tuple(first.shape) if isinstance(first, Tensor) else first
    return None if fits else f"arguments of shape {given} give {shape}, not {wanted}"
