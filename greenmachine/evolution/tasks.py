"""The benchmarks of a run: each enters with its own data sets, networks and three samples.

A task of the objective is a data set of a benchmark. It is called like the data set where the run
has one benchmark, and ``nats-tss/cifar10`` where it has several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenmachine.bank import Bank
from greenmachine.benchmarks import Benchmark, load_benchmark, short_name
from greenmachine.config import RunConfig, split_task
from greenmachine.errors import ConfigError
from greenmachine.evolution.bank_tasks import bank_networks, with_bank
from greenmachine.evolution.samples import common_sizes, draw_samples
from greenmachine.fitness import Objective, Split
from greenmachine.language import LANGUAGES

__all__ = ["Entry", "by_sample", "check_truths", "enter", "fitted", "targets"]


@dataclass(frozen=True)
class Entry:
    """A benchmark in a run.

    Attributes:
        benchmark: its table and its networks.
        split: the samples that the run drew of it.
        tasks: name of the task of each data set.
        sources: the data set whose networks each data set is judged by on train and validation.
    """

    benchmark: Benchmark
    split: Split
    tasks: Mapping[str, str]
    sources: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of the benchmark, for a person to read."""
        return short_name(self.benchmark.name)

    def indices(self, sample: str) -> NDArray[np.int64]:
        """Return the networks of a sample, as indices of the benchmark."""
        found: NDArray[np.int64] = getattr(self.split, sample)
        return found


def fitted(config: RunConfig, bank: Bank | None = None) -> tuple[RunConfig, list[Benchmark]]:
    """Return the settings as they will be written, and the benchmarks that they name.

    A resumed run needs neither this folder nor the defaults of today.

    Args:
        config: as they are given.
        bank: above which the run searches, if any. Sizes of samples that are automatic stay so:
            each benchmark has its own.

    Raises:
        ConfigError: the settings do not fit the benchmarks.
        DataError: the data of one is missing or broken.
    """
    if bank is not None:
        config = with_bank(config, bank)
    benchmarks = {name: load_benchmark(name) for name in config.benchmarks}
    if config.target != "auto":
        benchmarks = {name: each.with_target(config.target) for name, each in benchmarks.items()}
    found = list({benchmark.name: benchmark for benchmark in benchmarks.values()}.values())
    names = [short_name(benchmark.name) for benchmark in found]
    if twice := sorted(name for name in set(names) if names.count(name) > 1):
        raise ConfigError(f"tasks: two benchmarks are called {twice[0]}: rename a file")
    tasks = []
    for task in config.tasks:
        name, dataset = split_task(task)
        benchmark = benchmarks[name]
        whole = dataset == "all" and "all" not in benchmark.datasets
        for each in benchmark.datasets if whole else [dataset or benchmark.datasets[0]]:
            benchmark.accuracy(each)  # refuses an unknown one, and one without the target
            tasks.append(f"{benchmark.name}/{each}")
    # Without any: passes that suit every benchmark.
    usual = tuple(
        name
        for name in found[0].passes
        if LANGUAGES[config.language.name].passes
        and all(name in benchmark.passes for benchmark in found)
    )
    update: dict[str, Any] = {
        "tasks": tuple(dict.fromkeys(tasks)),
        "passes": config.passes or usual,
        "samples": config.samples if bank else common_sizes(config.samples, found),
        # Of several benchmarks each may have another: what is automatic stays so.
        "target": found[0].truth if len({each.truth for each in found}) == 1 else "auto",
    }
    return config.model_copy(update=update), found


def enter(
    config: RunConfig, benchmarks: Sequence[Benchmark], bank: Bank | None = None
) -> list[Entry]:
    """Draw the samples of every benchmark, all of the sizes and the seed of ``config``.

    Args:
        config: as :func:`fitted` returned it.
        benchmarks: returned beside it.
        bank: whose networks are drawn from; None draws from all.

    Raises:
        ConfigError: a sample asks for more networks than there are, or the selection scheme does
            not fit the tasks.
    """
    several = len(benchmarks) > 1
    entries = []
    for benchmark in benchmarks:
        short = short_name(benchmark.name)
        datasets = [
            dataset
            for name, dataset in map(split_task, config.tasks)
            if name == benchmark.name and dataset
        ]
        prefix = f"{short}/" if several else ""
        sources = {d: _source(config.capture.stand_in, short, d) for d in datasets}
        among = bank_networks(bank, benchmark, sources.values()) if bank else None
        entries.append(
            Entry(
                benchmark,
                draw_samples(benchmark, datasets, config, among),
                {dataset: f"{prefix}{dataset}" for dataset in datasets},
                sources,
            )
        )
    tasks = [task for entry in entries for task in entry.tasks.values()]
    config.selection.check(tasks, config.evolution.population)
    return entries


def _source(stand_in: Mapping[str, str], benchmark: str, dataset: str) -> str:
    return stand_in.get(f"{benchmark}/{dataset}", stand_in.get(dataset, dataset))


def by_sample(
    entries: Sequence[Entry], value: Callable[[str, NDArray[np.int64]], Any]
) -> dict[str, Any]:
    """Return ``value(sample, indices)`` by sample; where there are several benchmarks, of each."""
    samples = vars(entries[0].split)
    found = {s: {entry.name: value(s, entry.indices(s)) for entry in entries} for s in samples}
    return found if len(entries) > 1 else {s: found[s][entries[0].name] for s in samples}


def targets(entries: Sequence[Entry]) -> dict[str, str]:
    """Return which accuracy of the table is the true one, by task."""
    return {task: entry.benchmark.truth for entry in entries for task in entry.tasks.values()}


def check_truths(objective: Objective, entries: Sequence[Entry]) -> None:
    """Refuse samples on which no proxy could be ranked, before anything is captured.

    Raises:
        ConfigError: the accuracies of a sample are all equal, or the objective needs more networks.
    """
    for entry in entries:
        for dataset, task in entry.tasks.items():
            accuracy = entry.benchmark.accuracy(dataset)
            for sample in vars(entry.split):
                if len(np.unique(accuracy[entry.indices(sample)])) < 2:
                    raise ConfigError(
                        f"samples.{sample}: all {len(entry.indices(sample))} networks have the "
                        f"same accuracy on {task}, so no score could rank them: draw a larger "
                        "sample, or check the table"
                    )
                if sample == "test":
                    continue
                try:
                    objective.measure(accuracy[entry.indices(sample)])
                except ConfigError as error:
                    raise ConfigError(f"samples.{sample} of {task}: {error}") from None
