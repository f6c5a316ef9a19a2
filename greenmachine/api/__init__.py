"""The Python interface: score and rank networks, evolve proxies.

``import greenmachine`` gives all of these names.
"""

from greenmachine import callbacks, selection
from greenmachine.api.evaluating import evaluate
from greenmachine.api.listing import list_benchmarks, list_primitives, list_proxies
from greenmachine.api.models import load_model
from greenmachine.api.ranking import Ranking
from greenmachine.api.reporting import load_run, report
from greenmachine.api.result import Result
from greenmachine.api.runs import evolve
from greenmachine.api.scoring import rank, score
from greenmachine.api.search import Search
from greenmachine.api.seed_runs import SeedRuns
from greenmachine.benchmarks import Benchmark, load_benchmark, register_benchmark
from greenmachine.callbacks import Callback
from greenmachine.errors import GreenMachineError
from greenmachine.evaluation import SeedScore
from greenmachine.fitness import objectives
from greenmachine.fitness.objectives import Objective, objective
from greenmachine.plugins import load_plugin
from greenmachine.primitives import primitive
from greenmachine.proxies import (
    ArchitectureProxy,
    ExpressionProxy,
    FunctionProxy,
    Proxy,
    register_proxy,
)
from greenmachine.search import search_networks
from greenmachine.selection import Selection
from greenmachine.signals.registry import register_pass

__all__ = [
    "ArchitectureProxy",
    "Benchmark",
    "Callback",
    "ExpressionProxy",
    "FunctionProxy",
    "GreenMachineError",
    "Objective",
    "Proxy",
    "Ranking",
    "Result",
    "Search",
    "SeedRuns",
    "SeedScore",
    "Selection",
    "callbacks",
    "evaluate",
    "evolve",
    "list_benchmarks",
    "list_primitives",
    "list_proxies",
    "load_benchmark",
    "load_model",
    "load_plugin",
    "load_run",
    "objective",
    "objectives",
    "primitive",
    "rank",
    "register_benchmark",
    "register_pass",
    "register_proxy",
    "report",
    "score",
    "search_networks",
    "selection",
]
