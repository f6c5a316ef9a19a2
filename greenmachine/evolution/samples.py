"""The three samples of a run: automatic sizes, and the random draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from greenmachine.benchmarks import Benchmark
from greenmachine.config import RunConfig, SampleConfig, SamplesConfig
from greenmachine.errors import ConfigError
from greenmachine.fitness import SampleSpec, Split, draw_split

__all__ = ["common_sizes", "draw_samples", "fitted_sizes"]

AUTOMATIC: dict[str, tuple[float, int]] = {
    "train": (0.4, 128),
    "validation": (0.3, 200),
    "test": (0.3, 1000),
}
"""Share of the space, and the most networks, of each sample whose size is ``auto``."""

LEAST = 3  # networks that can be ranked: tau of two is 1 or -1, and has no spread


def fitted_sizes(
    samples: SamplesConfig, benchmark: Benchmark, among: NDArray[np.int64] | None = None
) -> SamplesConfig:
    """Return ``samples`` with a number for every size that was ``auto``.

    Given sizes are kept. Automatic samples divide the rest in the ratio 40 : 30 : 30, with at most
    128, 200 and 1000 networks; an automatic test sample has all that remain, up to 1000. Networks
    that compute the same function count once: two of them are never in different samples.

    Args:
        samples: the given sizes.
        benchmark: to draw from.
        among: draw only from these networks; their scores need little computation, so sizes have no
            upper limit.

    Raises:
        ConfigError: the space is too small, or a sample other than test has size ``rest``.
    """
    for name in ("train", "validation"):
        if getattr(samples, name).size == "rest":
            raise ConfigError(f"samples.{name}.size: only the test sample can take the rest")
    sizes = {name: getattr(samples, name).size for name in AUTOMATIC}
    used = {name: getattr(samples, name).functions or size for name, size in sizes.items()}
    functions = benchmark.functions if among is None else benchmark.functions[among]
    left = len(np.unique(functions)) - sum(n for n in used.values() if isinstance(n, int))
    # The test sample comes last: it gets what rounding and limits leave.
    waiting = [name for name, number in used.items() if number in ("auto", "rest")]
    if waiting and left < LEAST * len(waiting):
        raise ConfigError(
            f"{benchmark.name}: {max(0, left)} networks are left for the sample"
            f"{'s' if len(waiting) > 1 else ''} {', '.join(waiting)}: "
            f"each needs {LEAST} at least; give smaller sizes to the others, or add networks"
        )
    fitted = {}
    while waiting:
        name = waiting.pop(0)
        share, most = AUTOMATIC[name]
        whole = share + sum(AUTOMATIC[other][0] for other in waiting)
        kept = LEAST * len(waiting)  # for those that come after
        limit = most if among is None else left
        size = max(LEAST, min(limit, round(left * share / whole), left - kept))
        if sizes[name] == "auto":
            fitted[name] = getattr(samples, name).model_copy(update={"size": size})
        left -= size
    return samples.model_copy(update=fitted)


def common_sizes(samples: SamplesConfig, benchmarks: Sequence[Benchmark]) -> SamplesConfig:
    """Return ``samples`` with sizes that fit all ``benchmarks``: the smallest over them.

    Raises:
        ConfigError: see :func:`fitted_sizes`.
    """
    fitted = [fitted_sizes(samples, benchmark) for benchmark in benchmarks]
    common = {}
    for name in AUTOMATIC:
        alike = [getattr(each, name) for each in fitted]  # `rest` is so for all of them
        common[name] = min(alike, key=lambda sample: 0 if sample.size == "rest" else sample.size)
    return samples.model_copy(update=common)


def draw_samples(
    benchmark: Benchmark,
    datasets: Sequence[str],
    config: RunConfig,
    among: NDArray[np.int64] | None = None,
) -> Split:
    """Draw the three samples of a run; no two networks of different samples compute the same.

    Args:
        benchmark: to draw from.
        datasets: stratified samples use the mean of their accuracies.
        config: sizes and seed.
        among: draw only from these networks, or from all that compute one of their functions if a
            sample has ``functions``; automatic sizes are fitted to them.

    Raises:
        DataError: the benchmark does not have a data set of the run.
        ConfigError: a sample needs more networks than are left.
    """
    samples = config.samples if among is None else fitted_sizes(config.samples, benchmark, among)
    specs = {name: _spec(getattr(samples, name)) for name in AUTOMATIC}
    if among is None:
        networks = np.arange(len(benchmark))
    elif any(spec.groups for spec in specs.values()):
        networks = np.flatnonzero(np.isin(benchmark.functions, benchmark.functions[among]))
    else:
        networks = among
    accuracy = np.mean([benchmark.accuracy(d)[networks] for d in datasets], axis=0)
    drawn = draw_split(
        accuracy,
        benchmark.functions[networks],
        **specs,
        seed=config.seed,
        own=None if among is None else np.isin(networks, among),
    )
    return Split(*(networks[places] for places in (drawn.train, drawn.validation, drawn.test)))


def _spec(config: SampleConfig) -> SampleSpec:
    if config.size == "auto":
        raise ConfigError("an automatic sample size must be fitted to the benchmark first")
    size = None if config.size == "rest" else config.size
    return SampleSpec(size, config.kind, config.bins, config.best, config.functions)
