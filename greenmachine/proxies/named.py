"""The registry of every proxy that has a name: the zoo, and what this project found."""

from __future__ import annotations

from greenmachine.proxies import evolved, zoo
from greenmachine.proxies.base import ProxyRegistry

__all__ = ["PROXIES"]

PROXIES = ProxyRegistry()
"""Every named proxy."""

for _family in (*zoo.FAMILIES, *evolved.FAMILIES):
    for _proxy in _family.PROXIES:
        PROXIES.add(_proxy)
