"""Precisions of weights, and values that are not finite or cannot be read."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import greenmachine
from greenmachine.proxies import ExpressionProxy
from tests.disguises import Net, plain
from tests.proxies.any_network import EACH, EXPRESSIONS, IMAGES, LABELS, score
from tests.proxies.test_same_function import exported


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_an_export_gives_the_named_score_in_every_precision(dtype: torch.dtype) -> None:
    model = plain().to(dtype)
    for proxy in EXPRESSIONS:
        named = score(model, proxy)
        found = exported(proxy.name)(model, IMAGES, LABELS)
        assert found == pytest.approx(named, rel=1e-6, nan_ok=True), proxy.name


@EACH
def test_weights_that_are_not_finite_give_no_number(proxy: Any) -> None:
    model = plain()
    with torch.no_grad():
        model.second[0].weight[0, 0, 0, 0] = math.nan
    if proxy.name in ("params", "trainable_layers"):
        assert score(model, proxy) == score(plain(), proxy)
        return
    assert math.isnan(score_or_refused(model, proxy))
    if isinstance(proxy, ExpressionProxy):
        assert math.isnan(exported(proxy.name)(model, IMAGES, LABELS))


@pytest.mark.parametrize("proxy", ["nwot", "meco", "meco_modules", "az_expressivity", "jacov"])
def test_an_output_that_is_not_finite_gives_no_number(proxy: str) -> None:
    class Dividing(Net):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x) / 0 - super().forward(x) / 0

    assert math.isnan(score_or_refused(plain(Dividing), proxy))


def score_or_refused(model: nn.Module, proxy: Any) -> float:
    """Return the score; NaN where the proxy refuses the network because it is not finite."""
    try:
        return score(model, proxy)
    except greenmachine.GreenMachineError as refused:
        return math.nan if "finite" in str(refused) else math.inf


def quantised() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(plain(), {nn.Linear})


UNREADABLE: dict[str, Any] = {
    "quantised": quantised,
    "meta": lambda: plain().to("meta"),
    "lazy": lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(4)),
    "complex": lambda: plain().to(torch.complex64),
    "traced": lambda: torch.jit.trace(plain(), IMAGES, check_trace=False),
    "scripted whole": lambda: torch.jit.script(plain()),
    "scripted": lambda: nn.Sequential(torch.jit.script(plain().first), nn.Flatten()),
}


@pytest.mark.parametrize("kind", UNREADABLE)
@EACH
def test_weights_that_cannot_be_read_are_refused(kind: str, proxy: Any) -> None:
    with pytest.raises(greenmachine.GreenMachineError) as refused:
        score(UNREADABLE[kind](), proxy)
    assert "\n" not in str(refused.value)
