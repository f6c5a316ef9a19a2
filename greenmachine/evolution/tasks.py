"""The tasks of a run: benchmarks, their data sets, and the three samples of their networks.

A task of the objective is a data set of a benchmark. Its name is that of the data set if the run
has one benchmark, and ``nats-tss/cifar10`` if it has several.
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
from greenmachine.workers.gpus import resolve_device

__all__ = [
    "TaskSet",
    "by_sample",
    "check_stand_ins",
    "check_truths",
    "draw_task_sets",
    "fitted",
    "source_of",
    "targets",
]


@dataclass(frozen=True)
class TaskSet:
    """The tasks of a run on one benchmark.

    Attributes:
        benchmark: its table and its networks.
        split: the samples that the run drew from it.
        tasks: name of the task of each data set.
        sources: for each data set, the one whose networks are evaluated on the training and
            validation samples: itself, or its stand-in.
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
    """Return the settings with all values filled in, and the benchmarks that they name.

    A resumed run then depends neither on the current folder nor on the defaults of a later version.

    Args:
        config: the given settings.
        bank: the bank of the run, if any. Automatic sizes of samples are then kept, because each
            benchmark has its own.

    Raises:
        ConfigError: the settings do not fit the benchmarks.
        DataError: data of a benchmark are missing or damaged.
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
    local = config.backend.partition(":")[1] == ""
    device = resolve_device(config.capture.device, local=local)
    update: dict[str, Any] = {
        "capture": config.capture.model_copy(update={"device": device}),
        "tasks": tuple(dict.fromkeys(tasks)),
        "passes": config.passes or usual,
        "samples": config.samples if bank else common_sizes(config.samples, found),
        # Of several benchmarks each may have another: what is automatic stays so.
        "target": found[0].truth if len({each.truth for each in found}) == 1 else "auto",
    }
    return config.model_copy(update=update), found


def draw_task_sets(
    config: RunConfig, benchmarks: Sequence[Benchmark], bank: Bank | None = None
) -> list[TaskSet]:
    """Draw the samples of every benchmark, with the sizes and the seed of ``config``.

    Args:
        config: as :func:`fitted` returned it.
        benchmarks: as :func:`fitted` returned them.
        bank: draw only networks of this bank; None draws from all.

    Raises:
        ConfigError: a sample needs more networks than there are, or the selection scheme does not
            fit the tasks.
    """
    several = len(benchmarks) > 1
    task_sets = []
    for benchmark in benchmarks:
        short = short_name(benchmark.name)
        datasets = [
            dataset
            for name, dataset in map(split_task, config.tasks)
            if name == benchmark.name and dataset
        ]
        prefix = f"{short}/" if several else ""
        sources = {d: source_of(config.capture.stand_in, short, d) for d in datasets}
        among = bank_networks(bank, benchmark, sources.values()) if bank else None
        task_sets.append(
            TaskSet(
                benchmark,
                draw_samples(benchmark, datasets, config, among),
                {dataset: f"{prefix}{dataset}" for dataset in datasets},
                sources,
            )
        )
    tasks = [task for task_set in task_sets for task in task_set.tasks.values()]
    config.selection.check(tasks, config.evolution.population)
    return task_sets


def source_of(stand_in: Mapping[str, str], benchmark: str, dataset: str) -> str:
    """Return the data set whose networks a task uses; ``benchmark`` is a short name."""
    return stand_in.get(f"{benchmark}/{dataset}", stand_in.get(dataset, dataset))


def by_sample(
    task_sets: Sequence[TaskSet], value: Callable[[str, NDArray[np.int64]], Any]
) -> dict[str, dict[str, Any]]:
    """Return ``value(sample, indices)`` by sample and benchmark."""
    samples = vars(task_sets[0].split)
    return {
        s: {task_set.name: value(s, task_set.indices(s)) for task_set in task_sets} for s in samples
    }


def targets(task_sets: Sequence[TaskSet]) -> dict[str, str]:
    """Return which accuracy of the table is the true one, by task."""
    return {
        task: task_set.benchmark.truth for task_set in task_sets for task in task_set.tasks.values()
    }


def check_truths(objective: Objective, task_sets: Sequence[TaskSet]) -> None:
    """Refuse samples on which no proxy could be ranked, before anything is captured.

    Raises:
        ConfigError: the accuracies of a sample are all equal, or the objective needs more networks.
    """
    for task_set in task_sets:
        for dataset, task in task_set.tasks.items():
            accuracy = task_set.benchmark.accuracy(dataset)
            for sample in vars(task_set.split):
                if len(np.unique(accuracy[task_set.indices(sample)])) < 2:
                    raise ConfigError(
                        f"samples.{sample}: all {len(task_set.indices(sample))} networks have the "
                        f"same accuracy on {task}, so no score could rank them: draw a larger "
                        "sample, or check the table"
                    )
                if sample == "test":
                    continue
                try:
                    objective.measure(accuracy[task_set.indices(sample)])
                except ConfigError as error:
                    raise ConfigError(f"samples.{sample} of {task}: {error}") from None


def check_stand_ins(
    config: RunConfig, task_sets: Sequence[TaskSet], terminals: Sequence[str]
) -> None:
    """Refuse stand-ins whose networks would not see the same images.

    A stand-in is a data set whose networks are evaluated for another one (``capture.stand_in``).

    NATS-Bench builds the networks of one architecture from one seed. For two data sets with the
    same image shape they differ only in the last layer, which has another number of classes. In the
    noise pass they also see the same images, so that weights and activations are equal except in
    the last layer. Gradients differ, as they would for another random initialisation of the last
    layer, and a score that depends strongly on that initialisation ranks the networks of the two
    data sets differently. With a stand-in, both tasks use the scores of one network on the training
    and validation samples, which saves one capture and one evaluation. The test sample always has
    each data set's own networks, so that an error of the stand-in shows there. In a run over
    several benchmarks, ``nats-tss/cifar100: cifar10`` applies to one of them. On the size space a
    stand-in is a poor choice: the rank of the last layer is bounded by its width or by the number
    of classes, whichever is smaller, and this differs between data sets.

    Raises:
        ConfigError: they read images of a data set, are not in the run, stand for each other in a
            chain, or take images of another shape.
    """
    stand_in = config.capture.stand_in
    if stand_in and any(name.startswith("data_") for name in terminals):
        raise ConfigError(
            "capture.stand_in: pass data reads the images of each data set, so none can stand for "
            "another: leave data out of passes, or stand_in out of capture"
        )
    names = [task_set.name for task_set in task_sets]
    stood_for = {name.rpartition("/")[2] for name in stand_in}
    for task, source in stand_in.items():
        benchmark, _, dataset = task.rpartition("/")
        where = f"capture.stand_in: {task}: {source}"
        if benchmark and benchmark not in names:
            raise ConfigError(f"{where}: the run has {' and '.join(names)}, but not {benchmark}")
        if missing := [name for name in (dataset, source) if name not in config.datasets]:
            raise ConfigError(f"{where}: {missing[0]} is not among the tasks: add it there")
        if source in stood_for:
            raise ConfigError(f"{where}: {source} has a stand-in itself: name one for both")
        for task_set in task_sets:
            if dataset not in task_set.tasks or benchmark not in ("", task_set.name):
                continue
            if source not in task_set.tasks:
                raise ConfigError(
                    f"{where}: {task_set.name} has {dataset}, but not {source}: choose a data set "
                    f"of {task_set.name}"
                )
            shapes = [task_set.benchmark.input_shape(name) for name in (dataset, source)]
            if shapes[0] != shapes[1]:
                raise ConfigError(
                    f"{where}: on {task_set.name} the images of {dataset} are {shapes[0]}, and "
                    f"those of {source} are {shapes[1]}: choose data sets with images of one shape"
                )
