"""The data of a run; reports use only these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from greenmachine.benchmarks import short_name
from greenmachine.config import RunConfig
from greenmachine.energy import ENERGY
from greenmachine.evolution import Famous
from greenmachine.evolution.equations import Equation
from greenmachine.fitness import KendallTau

__all__ = ["SAMPLES", "Record", "Score", "Taus"]

SAMPLES = ("train", "validation", "test")

Taus: TypeAlias = "dict[str, dict[str, dict[str, Score]]]"
"""By sample, data set and name: the champion, then the baselines."""


@dataclass(frozen=True)
class Score:
    """A row of ``result.json``: NaN where tau or its standard error is undefined or unknown."""

    tau: float
    standard_error: float = math.nan
    failed: int = 0


@dataclass(frozen=True)
class Record:
    """A run.

    Attributes:
        folder: folder of the run.
        config: ``config.json`` without the seeds.
        manifest: ``manifest.json``.
        hall: the hall of fame, the champion first.
        history: one row per generation.
        result: ``result.json``; None for an unfinished run.
        tau: tau of the champion and the baselines; on test only if the run is finished.
        samples: number of networks by sample and data set.
        scores: the scores of every network, see ``evolution/summary.py``; None without the file.
        primitives: number of individuals that contain each primitive, one row per generation, with
            ``population``.
        front: the best formula of each size, the smallest first.
    """

    folder: Path
    config: Mapping[str, Any]
    manifest: Mapping[str, Any]
    hall: list[Famous]
    history: pd.DataFrame
    result: Mapping[str, Any] | None
    tau: Taus
    samples: Mapping[str, Mapping[str, int]]
    scores: pd.DataFrame | None
    primitives: pd.DataFrame | None
    front: Sequence[Equation] = ()

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.config["name"])

    @property
    def place(self) -> str:
        """Names of the benchmarks and of the data sets, for display."""
        config = RunConfig.model_validate(self.config)
        benchmarks = " + ".join(map(short_name, config.benchmarks))
        return f"{benchmarks}, {', '.join(config.datasets)}"

    @property
    def datasets(self) -> list[str]:
        """The data sets in order; for several benchmarks in the form ``nats-tss/cifar10``."""
        return [str(name) for name in self.manifest["tasks"]]

    @property
    def objective(self) -> str:
        """Name of the objective, for display."""
        scheme = str(self.config["objective"]["scheme"])
        return "τ" if scheme == KendallTau.scheme else scheme

    @property
    def targets(self) -> Mapping[str, str]:
        """The kind of accuracy that is the true one, by data set."""
        found: Mapping[str, str] = self.manifest["targets"]
        return found

    def values(self, dataset: str) -> list[str]:
        """Return the objective of the champion by sample, for display."""
        place = self.datasets.index(dataset)
        known = {sample: values[place] for sample, values in self.champion.objective.items()}
        if self.result:
            known = {s: self.result["best"]["objective"][s][dataset] for s in SAMPLES}
        return ["undefined" if value is None else f"{value:.3f}" for value in known.values()]

    @property
    def champion(self) -> Famous:
        """The best individual on validation (so far)."""
        return self.hall[0]

    @property
    def individuals(self) -> int:
        """Number of evaluated individuals (so far)."""
        return int(self.history["individuals"].iloc[-1])

    @property
    def seconds(self) -> float:
        """Wall time in seconds (so far)."""
        return float(self.result["seconds"] if self.result else self.history["seconds"].iloc[-1])

    @property
    def energy(self) -> float | None:
        """Kilowatt hours (so far), or None if the run did not measure them."""
        found = (self.result or {}).get(ENERGY)
        if found is None and ENERGY in self.history:
            found = self.history[ENERGY].iloc[-1]
        return None if found is None or not math.isfinite(found) else float(found)

    @property
    def identity(self) -> object:
        """Equal for runs that were evaluated on the same networks and accuracies."""
        made = self.manifest
        return made["benchmarks"], made["samples"], self.datasets, made["targets"]
