"""Names for help, completion and checks of arguments, available without slow imports.

The registries of benchmarks, proxies and tables import torch and pandas, which takes seconds.
``names.json`` is a copy of their content; a test fails if it is outdated. This command writes it:

    python -m greenmachine.cli.names
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from greenmachine.errors import DataError
from greenmachine.plugins import loaded_plugins

if TYPE_CHECKING:
    from greenmachine.proxies import Proxy

__all__ = [
    "FILE",
    "check_benchmark",
    "check_file",
    "check_scores",
    "completed",
    "listed",
    "names",
    "proxies",
    "proxy_facts",
    "registered",
]

FILE = Path(__file__).with_name("names.json")

Registered: TypeAlias = Literal["benchmarks", "data", "proxies", "rank_sums", "tables"]
"""Benchmarks, those with a table in the data folder, proxies, rank sums, tables of the papers."""


def names(what: Registered) -> list[str]:
    """Return the names in a registry, in its order."""
    if what == "proxies":
        return [facts["name"] for facts in proxies()]
    found: list[str] = _kept()[what]
    return found


def proxies() -> list[dict[str, Any]]:
    """Return the :func:`proxy_facts` of every named proxy."""
    found: list[dict[str, Any]] = _kept()["proxies"]
    return found


def listed(what: str) -> list[dict[str, Any]]:
    """Return a row for each named thing of a kind, with ``name``, ``origin`` and a description.

    Args:
        what: ``primitives``, ``passes``, ``objectives``, ``selections``, ``callbacks``,
            ``proxies`` or ``benchmarks``.
    """
    found: list[dict[str, Any]] = _kept()["listed"][what]
    return found


def completed(*registries: Registered, more: Sequence[str] = ()) -> Callable[[str], list[str]]:
    """Return a function that completes a name of some registries, or one of ``more``."""

    def complete(incomplete: str) -> list[str]:
        known = [*(name for what in registries for name in names(what)), *more]
        return [name for name in known if name.startswith(incomplete)]

    return complete


def check_benchmark(name: str) -> None:
    """Check that ``name`` is a benchmark; the files of your own networks are checked later.

    Raises:
        DataError: as in ``greenmachine.benchmarks.load_benchmark``.
    """
    if ":" not in name and not name.endswith(".py") and name not in names("benchmarks"):
        raise DataError(
            f"no benchmark {name!r}; known: {', '.join(names('benchmarks'))}, "
            "or your own networks: my_space.py:accuracies.csv, or one of a plugin: --plugin FILE"
        )


def check_file(path: Path, what: str, remedy: str) -> None:
    """Check that a file or folder exists.

    Args:
        path: path that a command will read.
        what: name of its content, for the message.
        remedy: what to do; ends the message.

    Raises:
        DataError: it is missing.
    """
    if not path.exists():
        raise DataError(f"no {what} at {path}; {remedy}")


def check_scores(paths: list[Path]) -> None:
    """Check that files of scores exist, as :func:`check_file` does."""
    for path in paths:
        check_file(path, "scores", "make them with `greenmachine score --out`")


def proxy_facts(proxy: Proxy) -> dict[str, Any]:
    """Return the description of a proxy as JSON."""
    from greenmachine.proxies import (
        ArchitectureProxy,
        EvolvedProxy,
        ExpressionProxy,
        FunctionProxy,
    )

    form, expression, spaces = "function", None, None
    functions: list[Callable[..., Any]] = []
    found: dict[str, str] = {}
    if isinstance(proxy, ExpressionProxy):
        form, expression = "expression", proxy.expression
    elif isinstance(proxy, ArchitectureProxy):
        form, spaces = "architecture", list(proxy.functions)
        functions = [*proxy.functions.values()]
    elif isinstance(proxy, FunctionProxy):
        functions = [proxy.function]
    if isinstance(proxy, EvolvedProxy):  # further facts of this project's discoveries
        found = {"maths": proxy.maths, "why": proxy.reason, "evolved on": proxy.evolved_on}
    paths = ", ".join(
        # A partial or a callable object has no name.
        f"{one.__module__}.{getattr(one, '__qualname__', type(one).__qualname__)}"
        for one in functions
    )
    return {
        "name": proxy.name,
        "form": form,
        "expression": expression,
        "function": paths if functions else None,
        "direction": proxy.direction,
        "passes": list(proxy.passes),
        "spaces": spaces,
        "reference": proxy.reference,
        "description": proxy.description,
        "notes": proxy.notes,
        **found,
    }


def registered() -> dict[str, Any]:
    """Return the content of the registries in the form of ``names.json``."""
    from greenmachine.api.listing import KINDS
    from greenmachine.benchmarks import BENCHMARKS
    from greenmachine.benchmarks.tables import TABLES as DATA
    from greenmachine.proxies import PROXIES
    from greenmachine.proxies.combinations import PUBLISHED
    from greenmachine.tables import TABLES

    return {
        "benchmarks": list(BENCHMARKS),
        "data": list(DATA),
        "tables": list(TABLES),
        "proxies": [proxy_facts(proxy) for proxy in PROXIES],
        "rank_sums": list(PUBLISHED),
        "listed": {kind: rows() for kind, rows in KINDS.items()},
    }


def _kept() -> dict[str, Any]:
    # A plugin may have registered more; torch is imported already then.
    return registered() if loaded_plugins() else _read()


@cache
def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(registered(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
