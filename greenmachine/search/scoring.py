"""Compute the columns of an architecture in a worker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from greenmachine.benchmarks import Benchmark
from greenmachine.benchmarks.packed import PackedBenchmark
from greenmachine.evaluation import capture_spec
from greenmachine.evaluation.worker import NETWORK, Scorer
from greenmachine.language import parse
from greenmachine.networks import module_costs
from greenmachine.proxies import (
    PROXIES,
    ArchitectureProxy,
    ExpressionProxy,
    FunctionProxy,
    architecture_scores,
    checked_space,
    resolve,
)
from greenmachine.search.functions import by_file, check_file_function
from greenmachine.search.goals import Column
from greenmachine.signals import CaptureSpec
from greenmachine.signals.network_capture import attempt, build_network, cached_benchmark

__all__ = ["Columns", "check_columns", "score_arch", "spec_of"]


@dataclass(frozen=True)
class Columns:
    """The computed columns of one architecture.

    Attributes:
        values: values by the text of their column; NaN means that the computation failed.
        failure: reason of the first failure, or empty.
        raised: whether an exception is this reason, and not a score that is not finite.
    """

    values: dict[str, float]
    failure: str = ""
    raised: bool = False


def spec_of(
    benchmark: str,
    dataset: str,
    columns: Sequence[Column],
    *,
    batch: int,
    seed: int,
    device: str = "cpu",
    options: Mapping[str, int] | None = None,
) -> CaptureSpec:
    """Return the capture specification for ``columns``."""
    found = [resolve(column.source) for column in columns if column.kind == "proxy"]
    expressions = [parse(p.expression) for p in found if isinstance(p, ExpressionProxy)]
    return capture_spec(
        benchmark,
        dataset,
        expressions,
        batch=batch,
        seed=seed,
        options=options or {},
        device=device,
    )


def check_columns(columns: Sequence[Column], benchmark: Benchmark, dataset: str) -> None:
    """Check before any work that ``columns`` can be computed for networks of ``benchmark``.

    Raises:
        GreenMachineError: a proxy is for another space, workers would not find it, the table has
            no accuracies, or a user's function is missing or has an unknown parameter.
    """
    for column in columns:
        if column.kind == "accuracy":
            benchmark.accuracy(dataset)
        elif column.kind == "function":
            if column.function is None:
                check_file_function(column.source)
        elif column.kind == "proxy":
            proxy = resolve(column.source)
            if isinstance(proxy, ArchitectureProxy):
                checked_space(proxy, benchmark.space)
            elif isinstance(proxy, FunctionProxy):
                PROXIES.check_shared(proxy)


def score_arch(
    spec: CaptureSpec, columns: Sequence[Column], arch: str, packed: PackedBenchmark
) -> Columns:
    """Compute ``columns`` for the architecture ``arch``.

    Args:
        spec: capture specification of the network and its images.
        columns: columns of any kind except the true accuracy.
        arch: an architecture of the space; it may be missing in the table.
        packed: the benchmark, as sent with the task.

    Raises:
        GreenMachineError: the cause of a failure is not the network.
    """
    benchmark = packed.open(cached_benchmark)
    values: dict[str, float] = {}
    said: list[str] = []
    expressions: dict[str, str] = {}
    functions: dict[str, str] = {}
    for column in columns:
        if column.kind == "cost":
            (cost,) = benchmark.costs([arch], spec.dataset, spec.options)[column.text]
            values[column.text] = cost
            said += [] if math.isfinite(cost) else _why_no_cost(benchmark, spec, arch)
        elif column.kind == "function":
            own = column.function
            function = partial(by_file, column.source) if own is None else own.value
            value = attempt(arch, partial(function, benchmark, spec, arch))
            values[column.text] = math.nan if isinstance(value, str) else value
            said += [f"{column.text}: {value}"] if isinstance(value, str) else []
        elif column.kind == "proxy":
            proxy = resolve(column.source)
            if isinstance(proxy, ArchitectureProxy):
                values[column.text] = architecture_scores(proxy, benchmark.space, [arch])[0]
            else:
                kind = expressions if isinstance(proxy, ExpressionProxy) else functions
                kind[column.text] = proxy.text
    raised = bool(said)
    if expressions or functions:
        sources = {**expressions, **functions}
        scorer = Scorer(
            spec, list(set(expressions.values())), list(set(functions.values())), packed
        )
        found = scorer.score(arch)
        values |= {text: found.scores.get(source, math.nan) for text, source in sources.items()}
        raised = raised or bool(found.raised)
        names = {source: f"{text}: " for text, source in sources.items()} | {NETWORK: ""}
        # The first failure is reported, so exceptions come first.
        for of in sorted(found.failures, key=lambda of: of not in found.raised):
            said.append(f"{names[of]}{found.failures[of]}")
    for text, value in values.items():
        finite = math.isfinite(value)
        values[text] = float(value) if finite else math.nan
        said += [] if finite else [f"{text} is {value}"]
    return Columns(values, said[0] if said else "", raised)


def _why_no_cost(benchmark: Benchmark, spec: CaptureSpec, arch: str) -> list[str]:
    """Return the error for which a network has no costs; ``Benchmark.costs`` hides it."""
    model = attempt(arch, partial(build_network, benchmark, arch, spec))
    if isinstance(model, str):
        return [f"build(arch): {model}"]
    shape = benchmark.input_shape(spec.dataset)
    found = attempt(arch, partial(module_costs, model, shape))
    return [found] if isinstance(found, str) else []
