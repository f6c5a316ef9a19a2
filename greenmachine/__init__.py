"""GreenMachine: discover zero-cost proxies by genetic programming.

Examples:
    >>> import greenmachine
    >>> greenmachine.score(model, "nwot_inputs", shape=(8, 3, 32, 32))
    >>> greenmachine.rank({"small": a, "large": b}, "synflow", shape=(1, 3, 32, 32))
    >>> greenmachine.rank(["pytorchcv:resnet20_cifar10", "my.models:resnet(depth=20)"], "gm_any")
    >>> result = greenmachine.evolve("nats-tss", seed=1)
    >>> result.best, result.history, result.export("proxy.py")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenmachine.api import (
        ArchitectureProxy,
        Benchmark,
        Callback,
        ExpressionProxy,
        FunctionProxy,
        GreenMachineError,
        Objective,
        Proxy,
        Ranking,
        Result,
        Search,
        SeedRuns,
        SeedScore,
        Selection,
        callbacks,
        evaluate,
        evolve,
        list_benchmarks,
        list_primitives,
        list_proxies,
        load_benchmark,
        load_model,
        load_plugin,
        load_run,
        objective,
        objectives,
        primitive,
        rank,
        register_benchmark,
        register_pass,
        register_proxy,
        report,
        score,
        search_networks,
        selection,
    )

    __version__: str

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
    "__version__",
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


def __getattr__(name: str) -> Any:
    # At first use: a worker that imports one module of the package must not import them all.
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("greenmachine")
    elif name in __all__:
        from greenmachine import api

        value = getattr(api, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
