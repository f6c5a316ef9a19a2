"""Search a space for networks with Optuna: proxies, costs or accuracies as objectives.

It needs the extra ``search``; Optuna is imported when a search begins.
"""

from greenmachine.search.networks import search_networks

__all__ = ["search_networks"]
