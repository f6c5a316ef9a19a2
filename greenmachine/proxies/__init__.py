"""Proxies: the zoo, what a text means, export as plain Python, forests over many of them."""

from __future__ import annotations

from greenmachine.proxies.architectures import architecture_scores, checked_space
from greenmachine.proxies.base import (
    ArchitectureProxy,
    ExpressionProxy,
    FunctionProxy,
    Proxy,
    ProxyRegistry,
)
from greenmachine.proxies.export import export_source, write_export
from greenmachine.proxies.forest import Forest
from greenmachine.proxies.functions import function_score
from greenmachine.proxies.resolve import resolve
from greenmachine.proxies.zoo import PROXIES

__all__ = [
    "PROXIES",
    "ArchitectureProxy",
    "ExpressionProxy",
    "Forest",
    "FunctionProxy",
    "Proxy",
    "ProxyRegistry",
    "architecture_scores",
    "checked_space",
    "export_source",
    "function_score",
    "resolve",
    "write_export",
]
