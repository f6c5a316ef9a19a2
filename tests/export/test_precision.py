"""An expression by name and its exported file agree in every precision, the exact one to a bit."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import greenmachine
from greenmachine.export import export_source
from greenmachine.proxies import PROXIES, ExpressionProxy
from tests.disguises import SHAPE, batch, plain

EXPRESSIONS = [proxy for proxy in PROXIES if isinstance(proxy, ExpressionProxy)]


@pytest.mark.parametrize("proxy", EXPRESSIONS, ids=lambda proxy: proxy.name)
def test_named_and_exported_scores_are_equal_in_every_precision(proxy: ExpressionProxy) -> None:
    exact, compact = (_score(proxy, exact) for exact in (True, False))
    images, labels = batch()
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        model = plain().to(dtype)
        named = greenmachine.score(model, proxy, images=images, labels=labels, seed=1)
        assert math.isfinite(named)
        # The engine stacks layers, and rounds a last bit of float64 otherwise.
        found = exact(model, images, labels, seed=1)
        assert found == pytest.approx(named, rel=1e-14, nan_ok=True), dtype
        found = compact(model, images, labels, seed=1)
        assert found == pytest.approx(named, rel=1e-6, nan_ok=True), dtype


def _score(proxy: ExpressionProxy, exact: bool) -> Any:
    source = export_source(proxy.expression, direction=1, shape=SHAPE, name="exported", exact=exact)
    space: dict[str, Any] = {"__name__": "exported"}
    exec(compile(source, proxy.name, "exec", dont_inherit=True), space)
    return space["score"]
