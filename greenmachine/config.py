"""The settings of a run: read from YAML, checked with messages, written back resolved."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from greenmachine.errors import ConfigError

__all__ = [
    "CaptureConfig",
    "EvolutionConfig",
    "LanguageConfig",
    "ObjectiveConfig",
    "RunConfig",
    "SampleConfig",
    "SamplesConfig",
    "load_config",
]


_WORDS = {"extra_forbidden": "there is no such setting"}  # pydantic's word fits code, not a file


class _Model(BaseModel):
    """Unknown keys are errors: a misspelt setting must not fall back to its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SampleConfig(_Model):
    """One sample of networks: how many, and how they are drawn."""

    size: int | Literal["auto", "rest"] = Field(
        default="auto",
        description="networks; `auto` fits the space: 40, 30 and 30 % of it, but at most 128, 200 "
        "and 1000; `rest` takes all that is left (test only)",
    )
    kind: Literal["random", "equal_width", "quantile"] = "random"
    bins: int = Field(default=10, ge=1, description="accuracy bins of the stratified kinds")
    best: float = Field(
        default=1.0, gt=0, le=1, description="draw from this share of the space, the most accurate"
    )

    @field_validator("size", mode="before")
    @classmethod
    def _size(cls, size: Any) -> Any:
        # One message for the whole union, where pydantic has one for every member.
        if size in ("auto", "rest") or (type(size) is int and size >= 2):
            return size
        raise ValueError(f"{size!r} is not a number of at least 2, auto, or (for test) rest")


class SamplesConfig(_Model):
    """The three disjoint samples."""

    train: SampleConfig = SampleConfig()
    validation: SampleConfig = SampleConfig()
    test: SampleConfig = SampleConfig()


class CaptureConfig(_Model):
    """How networks are built and sent through their passes."""

    batch: int = Field(default=8, ge=1, description="images a pass")
    options: dict[str, int] = Field(
        default={}, description="of the benchmarks that have them, {cells: 2}"
    )
    stand_in: dict[str, str] = Field(
        default={},
        description="{cifar100: cifar10}: networks for the second data set stand for those for the "
        "first, on train and validation (nats-tss/cifar100: on that benchmark alone); see "
        "evolution/entry.py for what that approximates",
    )
    device: str = Field(default="cpu", description="torch device of passes and evaluation")
    keep: bool = Field(default=False, description="keep the signal store when the run is done")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="of the stored signals; half the disk, rounded scores"
    )


class LanguageConfig(_Model):
    """What an expression may say, and how large it may be."""

    name: Literal["typed", "paper"] = Field(
        default="typed",
        description="`paper`: the untyped functions of the published method, over its own passes",
    )
    exclude: tuple[str, ...] = Field(default=(), description="primitives and signals to leave out")
    max_height: int = Field(default=9, ge=1, le=60)
    max_size: int = Field(default=25, ge=2, description="nodes")
    start_height: tuple[int, int] = Field(default=(3, 6), description="of the first random trees")


class EvolutionConfig(_Model):
    """The generation loop."""

    population: int = Field(default=400, ge=4)
    generations: int = Field(default=40, ge=0)
    selection: Literal["tournament", "double_tournament", "nsga2", "lexicase"] = Field(
        default="tournament",
        description="`lexicase` goes by one data set after the other, in random order",
    )
    tournament: int = Field(default=3, ge=1)
    niche: float = Field(
        default=0.98, gt=0, le=1, description="rank correlation above which two share a niche"
    )
    survivors: int = Field(
        default=0,
        ge=0,
        description="mu of a (mu + lambda) scheme: parents are drawn evenly and without niches, "
        "`population` children join them, and as many as this are chosen from all by tournament; "
        "0: elites and children are the next generation",
    )
    elites: int = Field(default=10, ge=0, description="that go on unchanged")
    immigrants: float = Field(default=0.05, ge=0, le=1, description="share of new random trees")
    crossover: float = Field(default=0.4, ge=0, le=1, description="share by subtree exchange")
    combine: float = Field(
        default=0.15, ge=0, le=1, description="share that joins two parents; the rest mutates"
    )
    brood: int = Field(
        default=1,
        ge=1,
        description="tries of which a joined child is the best on the training sample; parts of "
        "parents are judged already, so they cost no tensor",
    )
    leaf_bias: float = Field(default=0.1, ge=0, le=1, description="chance to move a leaf")
    mutations: dict[Literal["uniform", "node", "insert", "shrink", "hoist"], float] = Field(
        default={"uniform": 3.0, "node": 3.0, "insert": 2.0, "shrink": 1.0, "hoist": 1.0},
        description="relative rates",
    )
    racing: int = Field(
        default=0,
        ge=0,
        description="networks of every training sample on which a new individual must not be "
        "constant, failing or clearly below the last generation's median, or it stops there; 0 "
        "lets all of them run; changes results",
    )
    validate_best: int = Field(default=20, ge=1, description="of a generation")
    hall_of_fame: int = Field(default=20, ge=1)
    seeds: tuple[str, ...] = Field(default=(), description="in the first population")

    @model_validator(mode="after")
    def _consistent(self) -> EvolutionConfig:
        if self.elites >= self.population:
            raise ValueError("elites must be fewer than the population")
        if self.survivors > self.population:
            raise ValueError("survivors must not exceed the population")
        if self.survivors and self.selection != "tournament":
            raise ValueError("survivors go with selection tournament only")
        if self.crossover + self.combine > 1:
            raise ValueError("crossover and combine must not exceed 1 together")
        if (
            not self.mutations
            or min(self.mutations.values()) < 0
            or not sum(self.mutations.values())
        ):
            raise ValueError("mutations needs rates of at least 0, one of them above")
        return self


class ObjectiveConfig(_Model):
    """What is maximised: aggregate over tasks of tau-b minus parsimony x nodes."""

    aggregate: Literal["mean", "min"] = "mean"
    parsimony: float = Field(default=0.0005, ge=0, description="tau that a node costs")


class RunConfig(_Model):
    """One evolution run."""

    name: str = Field(default="", description="of the run; without it that of the benchmark")
    seed: int = Field(default=0, ge=0)
    benchmark: str | tuple[str, ...] = Field(
        default="digits-tss", description="or several, [nats-tss, nats-sss]"
    )
    datasets: tuple[str, ...] = Field(
        default=(), description="of every benchmark that has them; without any the first of each"
    )
    passes: tuple[Literal["data", "noise", "perturbed", "ones"], ...] = Field(
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
            raise ValueError(f"{value!r} is neither a benchmark nor a list of some")
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


def load_config(
    source: Path | RunConfig | None, overrides: Mapping[str, Any] | None = None
) -> RunConfig:
    """Read a run's settings.

    Args:
        source: a YAML file, or settings to start from; None takes the defaults.
        overrides: values by dotted key, such as ``{"evolution.population": 50}``.

    Raises:
        ConfigError: the file is missing or no YAML, a key is unknown, or a value is wrong.
    """
    settings: Any = {}
    if isinstance(source, RunConfig):
        settings = source.model_dump(exclude_unset=True)
    elif source is not None:
        try:
            settings = yaml.safe_load(source.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise ConfigError(f"cannot read {source}: {error.strerror}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{source} is not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(settings, dict):
            raise ConfigError(f"{source} must hold `key: value` lines")
    for key, value in (overrides or {}).items():
        *parents, last = key.split(".")
        place = settings
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"setting {key}: {parent} is not a group of settings")
        place[last] = copy.deepcopy(value)  # a later key may change what is inside
    try:
        return RunConfig.model_validate(settings)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(p) for p in fault['loc'])}: {_WORDS.get(fault['type'], fault['msg'])}"
            for fault in error.errors()
        )
        where = source if isinstance(source, Path) else "settings"
        raise ConfigError(f"{where}: {faults}") from None
