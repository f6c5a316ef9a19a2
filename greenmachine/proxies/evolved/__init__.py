"""Proxies that this project's runs found, by the space that they were found on.

The run of each, with settings, seed and samples, is in ``results/proxies/<name>.json``, and its
export beside it; the networks that chose it are in ``samples.json`` here.
"""

from __future__ import annotations

from greenmachine.proxies.evolved import both, embedded, size, topology
from greenmachine.proxies.evolved.base import EvolvedProxy

__all__ = ["EVOLVED", "FAMILIES", "EvolvedProxy"]

FAMILIES = (topology, size, both, embedded)

EVOLVED: tuple[EvolvedProxy, ...] = tuple(proxy for family in FAMILIES for proxy in family.PROXIES)
"""All of them."""
