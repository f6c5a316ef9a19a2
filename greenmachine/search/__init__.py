"""Search a space for networks with Optuna: proxies, costs or accuracies as objectives.

The package needs the extra ``search``. Optuna is imported only when a search begins.
"""

from greenmachine.search.networks import search_networks

__all__ = ["search_networks"]
