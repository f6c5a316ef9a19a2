"""The columns of an architecture, computed in a worker."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from greenmachine.benchmarks import Benchmark
from greenmachine.benchmarks.packed import PackedBenchmark
from greenmachine.benchmarks.user_file import UserFile
from greenmachine.errors import ConfigError
from greenmachine.evaluation import capture_spec
from greenmachine.evaluation.worker import NETWORK, Scorer
from greenmachine.language import parse
from greenmachine.proxies import (
    PROXIES,
    ArchitectureProxy,
    ExpressionProxy,
    FunctionProxy,
    architecture_scores,
    checked_space,
    resolve,
)
from greenmachine.search.goals import Column
from greenmachine.signals import CaptureSpec
from greenmachine.signals.network_capture import attempt, build_network, cached_benchmark
from greenmachine.signals.passes import noise_images

__all__ = ["Columns", "check_columns", "score_arch", "spec_of"]

_ARGUMENTS = ("model", "arch", "images")


@dataclass(frozen=True)
class Columns:
    """What is said of one architecture.

    Attributes:
        values: by the text of a column; NaN = failed.
        failure: the first reason of a failure, else empty.
    """

    values: dict[str, float]
    failure: str = ""


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
    """Return what is captured of a network for ``columns``."""
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
    """Refuse columns that cannot be had of networks of ``benchmark``, before any work.

    Raises:
        GreenMachineError: a proxy reads another space, workers would not find it, the table has
            no accuracies, or a user's function is missing or takes something unknown.
    """
    for column in columns:
        if column.kind == "accuracy":
            benchmark.accuracy(dataset)
        elif column.kind == "function":
            _user_function(column.source)
        elif column.kind == "proxy":
            proxy = resolve(column.source)
            if isinstance(proxy, ArchitectureProxy):
                checked_space(proxy, benchmark.space)
            elif isinstance(proxy, FunctionProxy):
                PROXIES.check_shared(proxy)


def score_arch(
    spec: CaptureSpec, columns: Sequence[Column], arch: str, packed: PackedBenchmark
) -> Columns:
    """Return ``columns`` of ``arch``.

    Args:
        spec: of the network and its images.
        columns: of all kinds but the true accuracy.
        arch: an architecture of the space; the table may lack it.
        packed: the benchmark as the task brought it.

    Raises:
        GreenMachineError: the fault is not the network's.
    """
    benchmark = packed.open(cached_benchmark)
    values: dict[str, float] = {}
    said: list[str] = []
    expressions: dict[str, str] = {}
    functions: dict[str, str] = {}
    for column in columns:
        if column.kind == "cost":
            values[column.text] = benchmark.costs([arch], spec.dataset, spec.options)[column.text][
                0
            ]
        elif column.kind == "function":
            value = attempt(arch, partial(_by_function, column.source, benchmark, spec, arch))
            values[column.text] = math.nan if isinstance(value, str) else value
            said += [f"{column.text}: {value}"] if isinstance(value, str) else []
        elif column.kind == "proxy":
            proxy = resolve(column.source)
            if isinstance(proxy, ArchitectureProxy):
                values[column.text] = architecture_scores(proxy, benchmark.space, [arch])[0]
            else:
                kind = expressions if isinstance(proxy, ExpressionProxy) else functions
                kind[column.text] = proxy.text
    if expressions or functions:
        sources = {**expressions, **functions}
        scorer = Scorer(
            spec, list(set(expressions.values())), list(set(functions.values())), packed
        )
        found = scorer.score(arch)
        values |= {text: found.scores.get(source, math.nan) for text, source in sources.items()}
        said += [why if of == NETWORK else f"{of}: {why}" for of, why in found.failures.items()]
    for text, value in values.items():
        finite = math.isfinite(value)
        values[text] = float(value) if finite else math.nan
        said += [] if finite else [f"{text} is {value}"]
    return Columns(values, said[0] if said else "")


def _by_function(source: str, benchmark: Benchmark, spec: CaptureSpec, arch: str) -> float:
    file, function = _user_function(source)
    given: dict[str, Any] = {}
    for name in inspect.signature(function).parameters:
        if name == "model":
            given[name] = build_network(benchmark, arch, spec).eval()
        elif name == "images":
            shape = (spec.batch, *benchmark.input_shape(spec.dataset))
            given[name] = noise_images(shape, spec.seed).to(spec.device)
        elif name == "arch":
            given[name] = arch
    return float(file.run(function, **given))


def _user_function(source: str) -> tuple[UserFile, Callable[..., Any]]:
    path, _, name = source.rpartition(":")
    stamp = Path(path).stat().st_mtime_ns if Path(path).is_file() else 0
    return _read_function(Path(path), name, stamp)


@lru_cache(maxsize=16)  # by time: the user may edit the file between two searches of a session
def _read_function(path: Path, name: str, stamp: int) -> tuple[UserFile, Callable[..., Any]]:
    file = UserFile(path)
    function = getattr(file.module, name, None)
    if not callable(function):
        raise ConfigError(f"{path} has no function {name}")
    for parameter in inspect.signature(function).parameters.values():
        needed = parameter.default is inspect.Parameter.empty
        if needed and parameter.name not in _ARGUMENTS:
            raise ConfigError(
                f"{path}: {name} takes {parameter.name}; it may take {', '.join(_ARGUMENTS)}, by "
                "these names"
            )
    return file, function
