"""Networks built by others: what proxies read of them, what they refuse, when they warn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import greenmachine
from greenmachine.proxies import PROXIES, ArchitectureProxy, ExpressionProxy
from tests.disguises import batch

OF_NETWORKS = [proxy for proxy in PROXIES if not isinstance(proxy, ArchitectureProxy)]
EXPRESSIONS = [proxy for proxy in OF_NETWORKS if isinstance(proxy, ExpressionProxy)]
EACH = pytest.mark.parametrize("proxy", OF_NETWORKS, ids=lambda proxy: proxy.name)
IMAGES, LABELS = batch()


def score(model: nn.Module, proxy: Any = "gm_any", **options: Any) -> float:
    return greenmachine.score(model, proxy, **{"images": IMAGES, "labels": LABELS, **options})


def seeded(make: Any) -> Any:
    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        return make()
