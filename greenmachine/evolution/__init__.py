"""Evolution: trees of the language, bred on DEAP operators towards better ranking."""

from greenmachine.evolution.run import Listener, Run
from greenmachine.evolution.search import Famous, Search

__all__ = ["Famous", "Listener", "Run", "Search"]
