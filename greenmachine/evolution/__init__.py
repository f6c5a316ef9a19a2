"""Evolution of expressions with DEAP operators, towards a better ranking of networks."""

from greenmachine.evolution.run import Run
from greenmachine.evolution.run_files import Famous
from greenmachine.evolution.run_folder import RunFolder
from greenmachine.evolution.search import Search

__all__ = ["Famous", "Run", "RunFolder", "Search"]
