"""Numbers and tables as the documents show them: ``.787 ± .005``, and Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

__all__ = ["rounded", "shown", "signed", "table", "with_error"]


def rounded(value: float, places: int = 3) -> str:
    """Return ``value`` in decimal, rounded half up, without the zero before the point."""
    step = Decimal(1).scaleb(-places)
    text = str(abs(Decimal(str(value))).quantize(step, ROUND_HALF_UP))
    return "−" * int(value < 0) + (text.removeprefix("0") if places else text)


def shown(value: float) -> str:
    """Return a value of tau, or a dash where there is none."""
    return "–" if np.isnan(value) else rounded(value)


def with_error(value: float, error: float, places: int = 3) -> str:
    """Return ``value`` with its standard error or deviation: ``.787 ± .005``."""
    return f"{rounded(value, places)} ± {rounded(error, places)}"


def signed(value: float, error: float) -> str:
    """Return a difference with its sign and its standard error: ``+.046 ± .019``."""
    return "+" * int(value >= 0) + with_error(value, error)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "|" + "|".join(f" {cell} ".replace("  ", " ") for cell in line) + "|" for line in lines
    )
