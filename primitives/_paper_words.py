"""Shorthand for the decorators of the paper language."""

from __future__ import annotations

from typing import Any

from greenmachine.primitives.registry import PAPER_TENSOR, paper_registry

__all__ = ["ANY", "ONE", "PADDED", "TRUNCATED", "TWO", "of"]

ONE = ((PAPER_TENSOR,), PAPER_TENSOR)
TWO = ((PAPER_TENSOR, PAPER_TENSOR), PAPER_TENSOR)

ANY = "any shape; NaN is read as 1"
PADDED = f"{ANY}; if the shapes differ, the shorter tensor is padded with ones"
TRUNCATED = f"{ANY}; if the shapes differ, the longer tensor is truncated"


def of(domain: str) -> dict[str, Any]:
    """Return the keyword arguments of ``@primitive`` for a function defined on ``domain``."""
    return {"domain": domain, "reference": "arXiv 2411.15290", "into": paper_registry}
