"""Compare primitives and proxies on a device with the CPU.

Both compute in float32 but in a different order, so their results differ by rounding. A value is
wrong if it differs by more than :data:`TOLERANCE` times the largest value of its stack, or if only
one of the two values is finite.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from greenmachine.evaluation import capture_spec, score_networks
from greenmachine.language import parse
from greenmachine.neutral import neutral
from greenmachine.primitives import vocabulary
from greenmachine.primitives.contract import example
from greenmachine.primitives.registry import PAPER_TENSOR, Primitive
from greenmachine.proxies import PROXIES, ArchitectureProxy, ExpressionProxy

TOLERANCE = 1e-3
"""Relative deviation from the CPU that counts as rounding."""


def deviation(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Return the largest deviation relative to the largest expected value.

    It is infinite if a value is finite in only one of the two arrays.
    """
    if not np.array_equal(np.isfinite(found), np.isfinite(expected)):
        return float("inf")
    finite = np.isfinite(expected)
    if not finite.any():
        return 0.0
    scale = float(np.abs(expected[finite]).max()) or 1.0
    return float(np.abs(found[finite] - expected[finite]).max()) / scale


def check_primitives(device: str) -> list[dict[str, Any]]:
    """Check all primitives, and return one row per primitive and signature."""
    rows = []
    for item in vocabulary:
        for signature in item.signatures:
            values = [_example(kind, seed, item) for seed, kind in enumerate(signature.arguments)]
            row: dict[str, Any] = {"primitive": item.name, "signature": str(signature)}
            with neutral():
                expected = item.function(*values)
                moved = [v.to(device) if isinstance(v, Tensor) else v for v in values]
                try:
                    found = item.function(*moved)
                    if found.device.type != torch.device(device).type:
                        row["fault"] = f"the result is on {found.device}"
                    row["deviation"] = deviation(
                        found.double().cpu().numpy(), expected.double().numpy()
                    )
                except Exception as error:  # continue with the other primitives
                    row["fault"] = f"{type(error).__name__}: {str(error)[:200]}"
            if row.get("deviation", 0.0) > TOLERANCE:
                row.setdefault("fault", f"deviates by {row['deviation']:.1e}")
            rows.append(row)
    return rows


def _example(kind: str, seed: int, item: Primitive) -> Tensor | float:
    if kind == PAPER_TENSOR:
        return torch.randn(3, 6, 7, 3, 3, generator=torch.Generator().manual_seed(seed))
    return example(kind, seed, item)


def check_proxies(device: str, networks: int, batch: int) -> list[dict[str, Any]]:
    """Check all named proxies that need a network on digits-tss; return one row per proxy."""
    chosen = {proxy.name: proxy for proxy in PROXIES if not isinstance(proxy, ArchitectureProxy)}
    expressions = [parse(p.expression) for p in chosen.values() if isinstance(p, ExpressionProxy)]
    indices = list(range(0, 400, 400 // networks))[:networks]
    frames = {}
    for place in ("cpu", device):
        spec = capture_spec(
            "digits-tss", "digits", expressions, batch=batch, seed=0, options={}, device=place
        )
        frames[place] = score_networks(chosen, spec, indices, workers=1)
    rows = []
    for name in chosen:
        expected, found = (frames[place][name].to_numpy() for place in ("cpu", device))
        row: dict[str, Any] = {"proxy": name, "deviation": deviation(found, expected)}
        if row["deviation"] > TOLERANCE:
            row["fault"] = f"deviates by {row['deviation']:.1e}"
        rows.append(row)
    return rows
