"""Forests: regression over the scores of several proxies (GreenFactory)."""

from greenmachine.forest.forest import Forest

__all__ = ["Forest"]
