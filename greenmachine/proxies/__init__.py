"""Proxies: those of the literature, those found here, and how a text names one of them."""

from __future__ import annotations

from greenmachine.proxies.architectures import architecture_scores, checked_space
from greenmachine.proxies.discovered import EVOLVED, EvolvedProxy
from greenmachine.proxies.functions import function_score
from greenmachine.proxies.registry import PROXIES, register_proxy
from greenmachine.proxies.resolve import resolve
from greenmachine.proxies.types import (
    ArchitectureProxy,
    ExpressionProxy,
    FunctionProxy,
    Proxy,
    ProxyRegistry,
)

__all__ = [
    "EVOLVED",
    "PROXIES",
    "ArchitectureProxy",
    "EvolvedProxy",
    "ExpressionProxy",
    "FunctionProxy",
    "Proxy",
    "ProxyRegistry",
    "architecture_scores",
    "checked_space",
    "function_score",
    "register_proxy",
    "resolve",
]
