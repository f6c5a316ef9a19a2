"""The cost of a score: CPU seconds of one core per network, for each proxy alone."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from greenmachine.api import score
from greenmachine.benchmarks import Benchmark
from greenmachine.errors import DataError
from greenmachine.files import read_json, write_json
from greenmachine.manifest import manifest
from greenmachine.neutral import neutral
from greenmachine.proxies import ArchitectureProxy, Proxy, architecture_scores, resolve
from greenmachine.tables.base import Bar, Column, Drawing, Table, long_table
from greenmachine.tables.plan import PLAN
from greenmachine.tables.sources import AZ_NAS, SPACES, Stored
from greenmachine.workers import Progress

__all__ = ["NETWORKS", "TABLE", "Seconds", "measure_cost", "seconds_of"]

NETWORKS = 10
"""Number of random networks of a space that are timed, after one for warming up."""

_DATASET = "cifar10"
_DISCOVERED = Path("results/proxies")
_BUILD = "(build)"
_COMMAND = "`greenmachine reproduce cost --recompute`"


@dataclass(frozen=True)
class Seconds:
    """CPU seconds per network.

    Attributes:
        mean: mean over networks.
        std: standard deviation over networks; NaN for a single value.
        networks: number of networks.
    """

    mean: float
    std: float
    networks: int


def seconds_of(folder: Path, space: str) -> dict[str, Seconds]:
    """Return the seconds of each proxy on a space from ``cost.json``; empty without the file.

    The cost of AZ-NAS is the sum of its components.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / "cost.json"
    if not path.is_file():
        return {}
    try:
        held = read_json(path)["seconds"].get(space, {})
        costs = {name: _summary(values) for name, values in held.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}): remove it and run {_COMMAND}") from None
    if set(AZ_NAS) <= set(costs):
        parts = [costs[name] for name in AZ_NAS]
        total = sum(part.mean for part in parts)
        # Each component includes building the network, which AZ-NAS needs only once.
        total -= (len(parts) - 1) * costs[_BUILD].mean if _BUILD in costs else 0.0
        costs["az_nas"] = Seconds(total, float("nan"), parts[0].networks)
    return costs


def measure_cost(
    stored: Stored,
    bar: Bar,
    workers: int = 1,
    networks: int = NETWORKS,
    batches: Mapping[str, int] | None = None,
) -> None:
    """Measure the time of proxies, and write ``cost.json``.

    Everything runs in this process on one thread. CPU time is measured, so that other work on the
    machine has little effect (it still shares caches and memory).

    Args:
        stored: the file is written to its folder.
        bar: shows the progress.
        workers: ignored, because one core is measured.
        networks: number of networks of a space.
        batches: number of images for each proxy; None means all proxies of the sweep, and the
            exported files in ``results/proxies``.

    Raises:
        GreenMachineError: the benchmark or its images are missing.
    """
    if batches is None:
        batches = {name: group.batch for group in PLAN.groups for name in group.proxies}
        batches |= {str(path): 16 for path in sorted(_DISCOVERED.glob("*.py"))}
    proxies = [(resolve(text), batch) for text, batch in batches.items()]
    seconds = {}
    for space in SPACES:
        benchmark = stored.benchmarks[space]
        with bar(f"{space}, networks") as told, neutral(), _small_heap():
            seconds[space] = _timed(benchmark, proxies, networks, told)
    facts = {"dataset": _DATASET, "networks": networks, "seconds": seconds}
    write_json(stored.folder / "cost.json", manifest(command=_COMMAND.strip("`"), **facts))


@contextmanager
def _small_heap() -> Iterator[None]:
    """Hide all objects that exist now from the garbage collector.

    Otherwise a collection, which happens to run during the score of one proxy, takes .2 s for the
    tables of the benchmarks.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _timed(
    benchmark: Benchmark, proxies: Sequence[tuple[Proxy, int]], networks: int, told: Progress
) -> dict[str, list[float]]:
    """Return the seconds of each network by proxy, including those for building it."""
    chosen = np.random.default_rng(0).choice(len(benchmark), networks + 1, replace=False).tolist()
    batches = {size: benchmark.images(_DATASET, size) for _, size in proxies}
    seconds: dict[str, list[float]] = {}
    for number, index in enumerate(chosen):
        told(number, len(chosen))
        start = time.process_time()
        model = benchmark.build(index, _DATASET)
        spent = {_BUILD: time.process_time() - start}
        for proxy, batch in proxies:
            if not isinstance(proxy, ArchitectureProxy):
                images, labels = batches[batch]
                start = time.process_time()
                score(model, proxy, images=images, labels=labels)
                spent[proxy.name] = spent[_BUILD] + time.process_time() - start
        if number:  # the first one warms up
            for name, took in spent.items():
                seconds.setdefault(name, []).append(took)
    for proxy, _ in proxies:
        if isinstance(proxy, ArchitectureProxy):  # too fast for one network; the mean over all
            calls = []
            for _ in range(3):  # the first one may include work that is done once in a process
                start = time.process_time()
                architecture_scores(proxy, benchmark.space, benchmark.archs)
                calls.append(time.process_time() - start)
            seconds[proxy.name] = [min(calls) / len(benchmark)]
    return seconds


def _summary(values: Sequence[float]) -> Seconds:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return Seconds(float(np.mean(values)), std, len(values))


def _rows(stored: Stored) -> pd.DataFrame:
    costs = {space: seconds_of(stored.folder, space) for space in SPACES}
    if not any(costs.values()):
        raise DataError(f"{stored.folder} has no cost.json: {_COMMAND} makes it, in minutes")
    return long_table(
        [
            {
                "proxy": name,
                "space": space,
                "dataset": _DATASET,
                "protocol": "alone",
                "metric": "seconds",
                "mean": each.mean,
                "std": each.std,
                "n": each.networks,
            }
            for space, found in costs.items()
            for name, each in found.items()
        ]
    )


TABLE = Table(
    name="cost",
    title="What a score costs",
    introduction="""\
CPU seconds of one core for one network at full depth, on CIFAR-10: mean and standard deviation over
random networks. Each proxy is measured alone, with a batch of 16 images (8 for `ntk` and
`gradsign`). The time includes building the network, whose share is in the row `(build)`. A sweep of
many proxies takes less than the sum of their times, because it builds each network and runs its
passes once. `sed` builds no network; its time is the mean over all architectures, in the fastest of
three calls.
`az_nas` is the sum of its four components, with the network built once. `cost.json`, beside the
scores, has the machine and the time of every network.""",
    rows=_rows,
    columns=(Column("seconds a network", "alone", "seconds", ".3g"),),
    drawing=Drawing(
        "CPU seconds of one core for a score", "seconds", "seconds", ("alone",), logarithmic=True
    ),
    recompute=measure_cost,
)
