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
    """Return benchmark and data set of ``nats-tss/cifar10``; None where it names no data set.

    A benchmark of two files has folders in its name: ``a/space.py:b/accuracies.csv/cifar10``.
    """
    if own := _OWN.fullmatch(task):
        return own["benchmark"], own["dataset"]
    benchmark, _, dataset = task.partition("/")
    own_file = ".py:" in task or task.endswith(".py")
    return (task, None) if own_file else (benchmark, dataset or None)


class RunConfig(Group):
    """One evolution run."""

    name: str = Field(default="", description="of the run; without it that of the benchmark")
    seed: int = Field(
        default=0, ge=0, lt=2**63, description="of samples, weights, images and the search"
    )
    tasks: tuple[str, ...] = Field(
        default=("digits-tss",),
        description="rankings to get right: a data set of a benchmark, nats-tss/cifar10; a "
        "benchmark alone stands for its first data set, nats-tss/all for all of them",
    )
    target: str = Field(
        default="auto",
        description="which accuracy of the benchmark's table is the true one: test, valid, test@12 "
        "(after 12 epochs), ...; auto: test, or valid where the table has no test accuracy",
    )
    plugins: tuple[str, ...] = Field(
        default=(), description="files or installed packages that bring words, passes, parts"
    )
    bank: str = Field(
        default="",
        description="folder of a bank (`greenmachine bank build`) to search above: no network is "
        "built, and its expressions stand in place of the signals",
    )
    passes: tuple[str, ...] = Field(
        default=(), description="without any: noise, and data where the benchmark brings images"
    )
    workers: int = Field(default=-1, description="processes; -1 takes every core")
    backend: str = Field(
        default="loky",
        description="who runs the work: `loky`, processes here; `dask` or `ray`, a cluster made "
        "here; `dask:tcp://HOST:PORT`, `ray:HOST:PORT`, one that runs already",
    )
    samples: SamplesConfig = SamplesConfig()
    capture: CaptureConfig = CaptureConfig()
    language: LanguageConfig = LanguageConfig()
    evolution: EvolutionConfig = EvolutionConfig()
    objective: Objective = Field(default=KendallTau(), description="what is maximised")
    selection: Selection = Field(default=Tournament(), description="who breeds, and who goes on")
    callbacks: tuple[Callback, ...] = Field(
        default=(),
        description="that follow the run: [{scheme: early_stopping, patience: 5}, tensorboard]",
    )

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Names of the benchmarks of the tasks."""
        return tuple(dict.fromkeys(split_task(task)[0] for task in self.tasks))

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets of the tasks, of one that names none not among them."""
        named = (split_task(task)[1] for task in self.tasks)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @field_validator("tasks", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        names = list(value) if isinstance(value, list | tuple) else [value]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"{short(value)} is neither a task, nats-tss/cifar10, nor a list")
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
            raise ValueError(f"{workers} is neither a number of processes nor -1, every core")
        return workers

    @model_validator(mode="after")
    def _named(self) -> RunConfig:
        if not self.name:  # my_space.py:accuracies.csv -> my_space
            # Past the freeze, and not as a setting that was given: another benchmark renames it.
            if self.bank and "tasks" not in self.model_fields_set:
                self.__dict__["name"] = Path(self.bank).name
                return self
            names = [Path(name.rsplit(".py:", 1)[0]).name for name in self.benchmarks]
            self.__dict__["name"] = "+".join(names)
        return self
