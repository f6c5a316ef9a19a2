"""The Python interface: score and rank networks, evolve proxies. ``import greenmachine`` has it."""

from greenmachine import callbacks, selection
from greenmachine.api.models import load_model
from greenmachine.api.ranking import Ranking
from greenmachine.api.result import Result
from greenmachine.api.runs import evolve
from greenmachine.api.scoring import rank, score
from greenmachine.api.search import Search
from greenmachine.benchmarks import Benchmark, load_benchmark, register_benchmark
from greenmachine.callbacks import Callback
from greenmachine.errors import GreenMachineError
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
    "Selection",
    "callbacks",
    "evolve",
    "load_benchmark",
    "load_model",
    "load_plugin",
    "objective",
    "objectives",
    "primitive",
    "rank",
    "register_benchmark",
    "register_pass",
    "register_proxy",
    "score",
    "search_networks",
    "selection",
]
