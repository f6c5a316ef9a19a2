"""Evolution: trees of the language, bred on DEAP operators towards better ranking."""

from greenmachine.evolution.run import Run
from greenmachine.evolution.run_folder import Famous, RunFolder
from greenmachine.evolution.search import Search

__all__ = ["Famous", "Run", "RunFolder", "Search"]
