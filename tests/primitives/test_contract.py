"""What every primitive promises, on every signature and every case of `stacks`."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from greenmachine.primitives import (
    BATCH_MATRIX,
    CHANNEL_MATRIX,
    LAYER_SCALAR,
    NETWORK_MATRIX,
    NETWORK_SCALAR,
    WEIGHT_TENSOR,
    Primitive,
    Signature,
    registry,
)
from tests.primitives.stacks import CASES, Argument, Case, arguments, call

PAIRS = [(item, signature) for item in registry for signature in item.signatures]


def labelled(pairs: list[tuple[Primitive, Signature]]) -> list[Any]:
    return [pytest.param(item, s, id=f"{item.name}{s}") for item, s in pairs]


def with_trait(trait: str) -> list[Any]:
    return labelled([pair for pair in PAIRS if getattr(pair[0], trait)])


ALL = labelled(PAIRS)


def expected_shape(signature: Signature, first: Tensor, across: bool) -> tuple[int, ...]:
    kind = signature.arguments[0]
    if signature.result == kind:
        return tuple(first.shape)
    if across:
        return (first.shape[0], *first.shape[2:])
    sizes = {
        CHANNEL_MATRIX: (first.shape[1 if kind == WEIGHT_TENSOR else 2],) * 2
        if first.ndim == 5
        else (),
        BATCH_MATRIX: (first.shape[1 if first.ndim > 1 else 0],) * 2,
        LAYER_SCALAR: (),
        NETWORK_SCALAR: (),
        NETWORK_MATRIX: (),
    }
    return (first.shape[0], *sizes[signature.result])


def is_finite_on(item: Primitive, case: Case) -> bool:
    return item.domain.startswith("total") or case.name != "huge"


def close(left: Tensor, right: Tensor) -> None:
    size = right[right.isfinite()].abs()
    atol = 1e-5 * (size.max().item() if size.numel() else 0.0)
    assert left.dtype == right.dtype
    assert torch.allclose(left, right, rtol=1e-5, atol=atol, equal_nan=True), (left, right)


@pytest.mark.parametrize(("item", "signature"), ALL)
def test_shape_finite_and_no_mutation(item: Primitive, signature: Signature) -> None:
    for case in CASES:
        values = arguments(item, signature, case)
        before = [v.clone() if isinstance(v, Tensor) else v for v in values]
        result = call(item, values)
        first = values[0]
        assert isinstance(first, Tensor)
        assert tuple(result.shape) == expected_shape(signature, first, item.across_layers), case
        assert result.dtype == (torch.float64 if item.spectral else first.dtype), case
        if is_finite_on(item, case):
            assert result.isfinite().all(), (case, result)
        for old, new in zip(before, values, strict=True):
            assert torch.equal(torch.as_tensor(old), torch.as_tensor(new)), case


@pytest.mark.parametrize(("item", "signature"), ALL)
def test_layers_of_a_stack_are_independent(item: Primitive, signature: Signature) -> None:
    values = arguments(item, signature)
    together = call(item, values)
    for k in range(together.shape[0]):
        alone = call(item, [v[k : k + 1] if isinstance(v, Tensor) else v for v in values])
        close(together[k : k + 1], alone)


@pytest.mark.parametrize(("item", "signature"), ALL)
def test_layout_does_not_matter(item: Primitive, signature: Signature) -> None:
    values = arguments(item, signature)
    plain = [v.contiguous() if isinstance(v, Tensor) else v for v in values]
    close(call(item, values), call(item, plain))
    expanded = [v[:1].expand(3, *v.shape[1:]) if isinstance(v, Tensor) else v for v in values]
    same = [v.clone() if isinstance(v, Tensor) else v for v in expanded]
    close(call(item, expanded), call(item, same))


@pytest.mark.parametrize("failure", [math.nan, math.inf])
@pytest.mark.parametrize(("item", "signature"), ALL)
def test_failure_stays_in_its_layer(item: Primitive, signature: Signature, failure: float) -> None:
    clean = call(item, arguments(item, signature))
    for position in range(len(signature.arguments)):
        values: list[Argument] = arguments(item, signature)
        broken = values[position]
        if not isinstance(broken, Tensor):
            continue
        broken[(1,) + (0,) * (broken.ndim - 1)] = failure
        result = call(item, values)
        close(result[[0, 2]], clean[[0, 2]])
        absorbs = {"minimum", "smallest", "min_layers"} if failure == math.inf else set()
        if "sees" not in item.domain and item.name not in absorbs:
            assert not result[1].isfinite().all()


@pytest.mark.parametrize(("item", "signature"), with_trait("commutative"))
def test_commutative(item: Primitive, signature: Signature) -> None:
    x, y = arguments(item, signature)
    assert signature.arguments[0] == signature.arguments[1]
    close(call(item, [x, y]), call(item, [y, x]))


@pytest.mark.parametrize(("item", "signature"), with_trait("involution"))
def test_involution(item: Primitive, signature: Signature) -> None:
    for case in CASES:
        values = arguments(item, signature, case)
        assert torch.equal(call(item, [call(item, values)]), torch.as_tensor(values[0]))


@pytest.mark.parametrize(("item", "signature"), with_trait("idempotent"))
def test_idempotent(item: Primitive, signature: Signature) -> None:
    for case in CASES:
        once = call(item, arguments(item, signature, case))
        assert torch.equal(call(item, [once]), once)


@pytest.mark.parametrize("item", [p for p in registry if p.rank_preserving], ids=lambda p: p.name)
@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    values=st.lists(st.integers(-(10**7), 10**7), min_size=2, max_size=20, unique=True),
    number=st.floats(-100, 100),
)
def test_rank_preserving(item: Primitive, values: list[int], number: float) -> None:
    ordered = torch.tensor(sorted(values), dtype=torch.float64) / 1000
    signature = next(s for s in item.signatures if s.arguments[0] == LAYER_SCALAR)
    steps = item.function(ordered, *[number] * (len(signature.arguments) - 1)).diff()
    assert (steps > 0).all() or (steps < 0).all()


@pytest.mark.parametrize(
    ("item", "signature"),
    labelled(
        [
            (item, signature)
            for item, signature in PAIRS
            if signature.arguments[0] in (LAYER_SCALAR, NETWORK_SCALAR) and not item.across_layers
        ]
    ),
)
def test_scalars_may_have_any_shape(item: Primitive, signature: Signature) -> None:
    values = arguments(item, signature, Case(stack=6))
    square = [v.reshape(2, 3) if isinstance(v, Tensor) else v for v in values]
    assert torch.equal(call(item, square).flatten(), call(item, values))
