"""All settings of a run."""

from __future__ import annotations

from pathlib import Path
from reprlib import repr as short
from typing import Any

from pydantic import Field, field_validator, model_validator

from greenmachine.callbacks import Callback
from greenmachine.config.groups import CaptureConfig, Group, LanguageConfig, SamplesConfig
from greenmachine.config.search import EvolutionConfig, ObjectiveConfig
from greenmachine.selection import Selection, Tournament

__all__ = ["RunConfig"]


class RunConfig(Group):
    """One evolution run."""

    name: str = Field(default="", description="of the run; without it that of the benchmark")
    seed: int = Field(default=0, ge=0, lt=2**63)
    benchmark: str | tuple[str, ...] = Field(
        default="digits-tss", description="or several, [nats-tss, nats-sss]"
    )
    datasets: tuple[str, ...] = Field(
        default=(), description="of every benchmark that has them; without any the first of each"
    )
    plugins: tuple[str, ...] = Field(
        default=(), description="files or installed packages that bring words, passes, parts"
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
    objective: ObjectiveConfig = ObjectiveConfig()
    selection: Selection = Field(default=Tournament(), description="who breeds, and who goes on")
    callbacks: tuple[Callback, ...] = Field(
        default=(),
        description="that follow the run: [{scheme: early_stopping, patience: 5}, tensorboard]",
    )

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Names of the benchmarks."""
        return (self.benchmark,) if isinstance(self.benchmark, str) else self.benchmark

    @field_validator("benchmark", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """One benchmark is its name, however it is given: a run of it has one config.json."""
        names = list(value) if isinstance(value, list | tuple) else [value]
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{short(value)} is neither a benchmark nor a list of some")
        return names[0] if len(names) == 1 else tuple(names)

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
            names = [Path(name.rsplit(".py:", 1)[0]).name for name in self.benchmarks]
            self.__dict__["name"] = "+".join(names)
        return self
