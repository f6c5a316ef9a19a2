"""The Python interface: score and rank networks, evolve proxies. ``import greenmachine`` has it."""

from greenmachine.api.result import Result
from greenmachine.api.runs import evolve
from greenmachine.api.scoring import rank, score
from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.errors import GreenMachineError
from greenmachine.proxies import ArchitectureProxy, ExpressionProxy, FunctionProxy, Proxy

__all__ = [
    "ArchitectureProxy",
    "Benchmark",
    "ExpressionProxy",
    "FunctionProxy",
    "GreenMachineError",
    "Proxy",
    "Result",
    "evolve",
    "load_benchmark",
    "rank",
    "score",
]
