"""Proxies: zoo and discoveries, what a text means, export as plain Python, forests over many."""

from __future__ import annotations

from greenmachine.proxies.architectures import architecture_scores, checked_space
from greenmachine.proxies.base import (
    ArchitectureProxy,
    ExpressionProxy,
    FunctionProxy,
    Proxy,
    ProxyRegistry,
)
from greenmachine.proxies.evolved import EVOLVED, EvolvedProxy
from greenmachine.proxies.export import export_source, write_export
from greenmachine.proxies.forest import Forest
from greenmachine.proxies.functions import function_score
from greenmachine.proxies.named import PROXIES, register_proxy
from greenmachine.proxies.resolve import resolve

__all__ = [
    "EVOLVED",
    "PROXIES",
    "ArchitectureProxy",
    "EvolvedProxy",
    "ExpressionProxy",
    "Forest",
    "FunctionProxy",
    "Proxy",
    "ProxyRegistry",
    "architecture_scores",
    "checked_space",
    "export_source",
    "function_score",
    "register_proxy",
    "resolve",
    "write_export",
]
