"""The docstring of an exported file: formula, direction, origin and measured tau."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from greenmachine.export.layout import pretty
from greenmachine.language import Expression
from greenmachine.proxies.resolve import EXPORTED

__all__ = ["better", "clean", "docstring"]


def docstring(
    name: str,
    tree: Expression,
    direction: int,
    needs_data: bool,
    provenance: Mapping[str, object],
    tau: Mapping[str, Any],
) -> str:
    """Return the docstring of an exported file, without its quotation marks.

    Args:
        name: name of the proxy.
        tree: its expression.
        direction: 1 or -1.
        needs_data: whether it takes a labelled mini-batch.
        provenance: rows that are printed unchanged.
        tau: see :func:`greenmachine.export.source.export_source`.
    """
    arguments = "model, images, labels" if needs_data else "model"
    lines = [
        f"{clean(name)}: a zero-cost proxy {EXPORTED}; it needs only torch.",
        "",
        f"Formula (a {better(direction)} score is good):",
        "",
        *pretty(tree).splitlines(),
        "",
        f"Use: ``score({arguments})`` returns a float, the same as the engine's, which runs on one",
        "thread. Float32 gradients of a deep network on a small batch change by about 1e-3 with",
        "the number of threads, so call ``torch.set_num_threads(1)`` to compare scores.",
    ]
    if provenance:
        lines += ["", "Provenance:", ""]
        lines += [f"    {clean(key)}: {clean(value)}" for key, value in provenance.items()]
    rows = list(_rows(tau))
    if rows:
        width = max(len(row) for row, _ in rows)
        lines += ["", "Measured Kendall tau-b (with its standard error where known):", ""]
        lines += [f"    {row.ljust(width)}  {value}".rstrip() for row, value in rows]
    return "\n".join(lines)


def better(direction: int) -> str:
    """Return ``high`` or ``low``: which scores are good."""
    return "high" if direction > 0 else "low"


def _rows(tau: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield label and value of every measured tau; labels of nested mappings are joined."""
    for key, value in tau.items():
        row = f"{path} {clean(key)}".strip()
        if isinstance(value, Mapping) and "tau" not in value:
            yield from _rows(value, row)
            continue
        if isinstance(value, Mapping):
            value = [value["tau"], *([s] if (s := value.get("standard_error")) is not None else [])]
        numbers = list(value) if isinstance(value, Sequence) else [value]
        known = [f"{v:.3f}" if isinstance(v, int | float) else clean(v) for v in numbers]
        yield row, " ± ".join(known)


def clean(value: object) -> str:
    """Return one line of text that can stand in a docstring."""
    return " ".join(str(value).split()).replace("\\", "\\\\").replace('"""', "'''")
