"""List everything that has a name: primitives, passes, proxies, benchmarks and parts.

``greenmachine list`` prints the same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from greenmachine.benchmarks import BENCHMARKS, data_folder
from greenmachine.benchmarks.tables import TABLES
from greenmachine.callbacks import Callback
from greenmachine.fitness import Objective
from greenmachine.parts import Part
from greenmachine.plugins import origin
from greenmachine.primitives import paper_registry, vocabulary
from greenmachine.proxies import PROXIES
from greenmachine.selection import Selection
from greenmachine.signals.registry import PASSES

__all__ = ["KINDS", "Listing", "list_benchmarks", "list_primitives", "list_proxies"]

_WIDTH = 80
_PRINTED = 60  # rows


class Listing(pd.DataFrame):
    """A data frame with one row per named thing, which prints as a list of descriptions.

    The print is 80 characters wide and shows the name and the description of each row.
    """

    @property
    def _constructor(self) -> Callable[..., Listing]:
        return Listing

    def __repr__(self) -> str:
        if not self._is_whole():
            return super().__repr__()
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, row in self.head(_PRINTED).iterrows():
            table.add_row(Text(str(name)), Text(_plain(row["description"])))
        out = StringIO()
        # Plain text everywhere: in a notebook Rich would display the table and return no text.
        console = Console(
            file=out, width=_WIDTH, force_terminal=False, force_jupyter=False, color_system=None
        )
        console.print(table)
        lines = [line.rstrip() for line in out.getvalue().splitlines()]
        if len(self) > _PRINTED:
            lines.append(f"and {len(self) - _PRINTED} more")
        lines.append(f"columns: {', '.join(map(str, self.columns))}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None, "display.max_rows", None):
            return pd.DataFrame(self).to_html(escape=True, border=0)

    def _is_whole(self) -> bool:
        return "description" in self.columns and self.columns.is_unique


def list_proxies() -> pd.DataFrame:
    """List all named proxies, including those of plugins.

    Returns:
        One row per proxy, indexed by name. The columns are ``origin`` (greenmachine or the plugin),
        ``direction`` (1 if a high score is good, -1 if a low score is good), ``form`` (expression,
        function or architecture), ``passes`` (the passes through the network that it needs),
        ``reference`` and ``description``.

    Example:
        >>> proxies = greenmachine.list_proxies()
        >>> proxies[proxies["form"] == "expression"]
    """
    frame = _frame(_proxies())
    proxies = [PROXIES.find(str(name)) for name in frame.index]
    forms = [type(proxy).__name__.removesuffix("Proxy").lower() for proxy in proxies]
    frame.insert(2, "form", [form.replace("evolved", "expression") for form in forms])
    frame.insert(3, "passes", [list(proxy.passes) for proxy in proxies])
    frame.insert(4, "reference", [proxy.reference for proxy in proxies])
    return frame


def list_benchmarks() -> pd.DataFrame:
    """List all named benchmarks, including those of plugins.

    Returns:
        One row per benchmark, indexed by name. The columns are ``origin``, ``available`` (whether
        its table is in the data folder; the embedded benchmarks are always available) and
        ``description``.
    """
    frame = _frame(_benchmarks())
    there = {name: table.path(data_folder()).is_file() for name, table in TABLES.items()}
    frame.insert(1, "available", [there.get(str(name), True) for name in frame.index])
    frame["description"] = [
        "a table of your own" if each != "greenmachine" else _of_benchmark(str(name), here)
        for name, each, here in zip(frame.index, frame["origin"], frame["available"], strict=True)
    ]
    return frame


def list_primitives() -> pd.DataFrame:
    """List the primitives that expressions are made of, including those of plugins.

    Returns:
        One row per primitive, indexed by name. The columns are ``origin``, ``language`` (typed or
        paper), ``signatures`` (the kinds of its arguments and of its result) and ``description``.
    """
    return _frame(_primitives())


def _frame(rows: list[dict[str, Any]]) -> Listing:
    return Listing(rows).set_index("name")


def _of_benchmark(name: str, here: bool) -> str:
    if name not in TABLES:
        return "embedded: small networks trained on scikit-learn's digits"
    table = TABLES[name]
    sets = ", ".join(each.name for each in table.image_sets)
    return f"{sets}{'' if here else f'; make its table with `{table.schema.command}`'}"


def _plain(value: Any) -> str:
    return "".join(each if each.isprintable() else " " for each in str(value))


def _primitives() -> list[dict[str, Any]]:
    return [
        {
            "name": item.name,
            "origin": origin(item.function.__module__),
            "language": "paper" if item.name in paper_registry else "typed",
            "signatures": [str(signature) for signature in item.signatures],
            "description": item.doc,
        }
        for item in vocabulary
    ]


def _passes() -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "origin": origin(each.function.__module__),
            "signals": list(each.signals),
            "description": each.doc,
        }
        for each in PASSES.values()
    ]


def _parts(family: type[Part]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "origin": origin(kind.__module__),
            "settings": [f"{k}={f.default!r}" for k, f in kind.model_fields.items()],
            "description": (kind.__doc__ or "").strip().partition("\n")[0],
        }
        for name, kind in family.members.items()
    ]


def _proxies() -> list[dict[str, Any]]:
    return [
        {
            "name": proxy.name,
            "origin": origin(PROXIES.module(proxy.name)),
            "direction": proxy.direction,
            "description": proxy.description,
        }
        for proxy in PROXIES
    ]


def _benchmarks() -> list[dict[str, Any]]:
    return [
        {"name": name, "origin": origin(getattr(loader, "module", "greenmachine"))}
        for name, loader in BENCHMARKS.items()
    ]


KINDS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "primitives": _primitives,
    "passes": _passes,
    "objectives": lambda: _parts(Objective),
    "selections": lambda: _parts(Selection),
    "callbacks": lambda: _parts(Callback),
    "proxies": _proxies,
    "benchmarks": _benchmarks,
}
"""For each kind a function that returns rows for JSON: ``name``, ``origin`` and further facts."""
