"""All settings of a run."""

from __future__ import annotations

import re
from pathlib import Path
from reprlib import repr as short
from typing import Any

from pydantic import Field, field_validator, model_validator

from greenmachine.callbacks import Callback
from greenmachine.config.groups import CaptureConfig, Group, LanguageConfig, SamplesConfig
from greenmachine.config.search import EvolutionConfig
from greenmachine.fitness.objectives import KendallTau, Objective
from greenmachine.selection import Selection, Tournament

__all__ = ["RunConfig", "split_task"]

_OWN = re.compile(r"(?P<benchmark>.+\.py:.*\.\w+)(?:/(?P<dataset>[^/.]+))?")


def split_task(task: str) -> tuple[str, str | None]:
    """Split a task such as ``nats-tss/cifar10`` into benchmark and data set.

    The name of a benchmark that consists of two files may contain folders:
    ``a/space.py:b/accuracies.csv/cifar10``.

    Returns:
        The name of the benchmark, and that of the data set or None if the task has none.
    """
    if own := _OWN.fullmatch(task):
        return own["benchmark"], own["dataset"]
    benchmark, _, dataset = task.partition("/")
    own_file = ".py:" in task or task.endswith(".py")
    return (task, None) if own_file else (benchmark, dataset or None)


class RunConfig(Group):
    """The settings of one evolution run."""

    name: str = Field(
        default="", description="name of the run; if it is empty, the name of the benchmark"
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        description="seed for the samples, the initial weights, the images and the search",
    )
    tasks: tuple[str, ...] = Field(
        default=("digits-tss",),
        description="rankings that the search optimises: a data set of a benchmark, such as "
        "nats-tss/cifar10; the benchmark alone means its first data set, nats-tss/all means all",
    )
    target: str = Field(
        default="auto",
        description="which accuracy of the benchmark's table counts as the true accuracy: test, "
        "valid, test@12 (after 12 epochs), ...; auto: test, or valid if the table has no test "
        "accuracy",
    )
    plugins: tuple[str, ...] = Field(
        default=(),
        description="Python files or installed packages that add primitives, passes, parts, "
        "proxies or benchmarks",
    )
    bank: str = Field(
        default="",
        description="folder of a bank (`greenmachine bank build`) whose stored expressions are "
        "the leaves of the search, in place of signals; no network is built",
    )
    passes: tuple[str, ...] = Field(
        default=(),
        description="passes whose signals expressions may use; if empty: noise, and also data if "
        "the benchmark has images",
    )
    workers: int = Field(
        default=-1, description="number of worker processes; -1 means one for each core"
    )
    backend: str = Field(
        default="loky",
        description="where the workers run: `loky`, as processes on this machine; `dask` or "
        "`ray`, on a cluster started on this machine; `dask:tcp://HOST:PORT` or `ray:HOST:PORT`, "
        "on a cluster that is already running",
    )
    samples: SamplesConfig = SamplesConfig()
    capture: CaptureConfig = CaptureConfig()
    language: LanguageConfig = LanguageConfig()
    evolution: EvolutionConfig = EvolutionConfig()
    objective: Objective = Field(
        default=KendallTau(), description="quantity that the search maximises"
    )
    selection: Selection = Field(
        default=Tournament(), description="scheme that selects parents and survivors"
    )
    callbacks: tuple[Callback, ...] = Field(
        default=(),
        description="callbacks that follow the run, for example [{scheme: early_stopping, "
        "patience: 5}, tensorboard]",
    )

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Names of the benchmarks of the tasks."""
        return tuple(dict.fromkeys(split_task(task)[0] for task in self.tasks))

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets of the tasks, without the tasks that name no data set."""
        named = (split_task(task)[1] for task in self.tasks)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @field_validator("tasks", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        names = list(value) if isinstance(value, list | tuple) else [value]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError(
                f"{short(value)} is not a task: give one such as nats-tss/cifar10, or a list"
            )
        return tuple(dict.fromkeys(names))

    @field_validator("passes", "plugins", "callbacks", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        # One name or part stands for a list of one: `--set passes=noise`.
        return (value,) if isinstance(value, str | dict | Callback) else value

    @field_validator("passes")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))

    @field_validator("workers")
    @classmethod
    def _some(cls, workers: int) -> int:
        if workers < 1 and workers != -1:
            raise ValueError(f"{workers} is not allowed: give a number of processes, or -1")
        return workers

    @model_validator(mode="after")
    def _named(self) -> RunConfig:
        if not self.name:  # my_space.py:accuracies.csv -> my_space
            # Not by assignment: the model is frozen, and the name must not count as given, so
            # that settings derived from these for another benchmark get a name of their own.
            if self.bank and "tasks" not in self.model_fields_set:
                self.__dict__["name"] = Path(self.bank).name
                return self
            names = [Path(name.rsplit(".py:", 1)[0]).name for name in self.benchmarks]
            self.__dict__["name"] = "+".join(names)
        return self
