"""A primitive of a user's that breaks a promise is refused when it is made."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from greenmachine.primitives import (
    LAYER_SCALAR,
    NETWORK_SCALAR,
    OUTPUT_TENSOR,
    WEIGHT_TENSOR,
    Primitive,
    Registry,
    Signature,
    registry,
)
from greenmachine.primitives.contract import broken_promise
from greenmachine.primitives.registry import primitive


def made(function: Callable[..., Tensor], *arguments: str, result: str = LAYER_SCALAR) -> Primitive:
    signature = Signature(arguments or (WEIGHT_TENSOR,), result)
    return Primitive("word", "test", function, (signature,), "total", "this test")


def in_place(x: Tensor) -> Tensor:
    x.abs_()
    return x.flatten(1).sum(1)


FAULTS = {
    "changes an argument": in_place,
    "not a tensor": lambda x: float(x.sum()),
    "not (K,)": lambda x: x.sum(),
    "not (K,), ": lambda x: x.flatten(1),
    "random": lambda x: x.flatten(1).sum(1) + torch.rand(1),
    "in a stack than alone": lambda x: x.flatten(1).sum(1) / x.abs().max(),
    "raises ZeroDivisionError": lambda x: 1 / 0,
}


@pytest.mark.parametrize("reason", FAULTS)
def test_broken_promises_are_told(reason: str) -> None:
    said = broken_promise(made(FAULTS[reason]))  # type: ignore[arg-type]
    assert said is not None
    assert reason.rstrip(" ,") in said


def test_a_map_keeps_its_shape() -> None:
    assert "the shape of its kind" in str(
        broken_promise(made(lambda x: x[..., :2], OUTPUT_TENSOR, result=OUTPUT_TENSOR))
    )
    assert broken_promise(made(lambda x: x.mean(1), NETWORK_SCALAR, result=NETWORK_SCALAR))


@pytest.mark.parametrize("item", registry, ids=lambda item: item.name)
def test_ours_keep_them(item: Primitive) -> None:
    assert broken_promise(item) is None


def test_is_refused_when_it_is_made() -> None:
    own = Registry()
    with pytest.raises(ValueError, match="shared"):

        @primitive(((WEIGHT_TENSOR,), LAYER_SCALAR), into=own)
        def shared(x: Tensor) -> Tensor:
            """Depends on its neighbours."""
            return x.flatten(1).sum(1) - x.mean()

    assert len(own) == 0
