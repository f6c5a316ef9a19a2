"""Evolution: trees of the language, bred on DEAP operators towards better ranking."""

from greenmachine.evolution.listener import Listener
from greenmachine.evolution.run import Run
from greenmachine.evolution.run_folder import Famous, RunFolder
from greenmachine.evolution.search import Search

__all__ = ["Famous", "Listener", "Run", "RunFolder", "Search"]
