"""Estimate the cost of a run (networks, disk, memory and time) before anything is written.

A calibration (:func:`calibrate`) runs the first generations of the search twice, on two small
samples of networks, in a temporary folder. The model (:func:`forecast`) scales the measured times:

| phase | seconds |
|---|---|
| start | workers start and import torch |
| capture | networks x seconds per network / S |
| tensors | boundary expressions x (seconds per shard x shards + per network x networks) / S |
| communication | generations x calls x tasks per worker x seconds per task |
| above | in the main process: first generation + later ones x (a + b x networks) |
| test | networks x seconds per network / S |

S is the speed-up of W workers: W / (1 + LOSS x (W - 1)), with W at most the cores of this machine
and the number of shards. The number of new boundary expressions decreases: generation g has
g ** -FADE times those of the first generation that was bred. FADE was fitted to runs (``python -m
experiments.cost``, results/cost); LOSS is an assumption. On CPUs a calibration counts CPU seconds:
the forecast is for a machine without other work.
"""

from __future__ import annotations

import math
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import joblib
import numpy as np
from scipy.optimize import nnls

from greenmachine.config import RunConfig
from greenmachine.errors import ConfigError
from greenmachine.evolution.run import Run
from greenmachine.language import Expression
from greenmachine.signals.store import SHARD_BYTES, SHARD_NETWORKS
from greenmachine.workers import backend, count_workers, remote, run_tasks
from greenmachine.workers.gpus import is_gpu, visible_gpus

__all__ = [
    "Calibration",
    "Forecast",
    "Plan",
    "calibrate",
    "estimate",
    "forecast",
    "individuals",
    "plan",
    "process_memory",
    "speed_up",
    "times",
    "working",
]

FADE = 0.25
"""Exponent by which new boundary expressions become fewer from generation to generation."""

LOSS = 0.1
"""How much each further worker slows down all of them: they share memory and caches."""

_NETWORKS = (12, 48)  # of the two training samples of a calibration
_OTHERS = 8  # networks of its validation and test samples
_POPULATION = 1000  # at most; more are scaled
_GENERATIONS = 2  # after the first
_CALLS = 2  # of the workers in a generation: training and validation
_CACHES = 2**29 + 2**28  # bytes that an evaluator keeps at most


@dataclass(frozen=True)
class Calibration:
    """Times and sizes that a small run needed on this machine.

    Attributes:
        start: seconds until all workers have answered once.
        task: seconds of an empty task, per worker.
        capture: CPU seconds per network of train and validation.
        test: the same of the test sample, including scores.
        network_bytes: size of a network's signals on disk.
        tensors: CPU seconds of one boundary expression, per network.
        tensors_shard: the same per shard: the part that does not depend on its size.
        boundary_first: boundary expressions per individual of the first generation.
        boundary: new ones per individual of the first generation that was bred.
        validated: boundary expressions per individual that is evaluated on validation.
        above_first: seconds in the main process per individual of the first generation.
        above: the same of later generations, for no networks.
        above_network: additional seconds per individual of later generations and training network.
        process_bytes: memory of a process without signals.
        kept_bytes: size of the cached values, per individual and training network.
        seconds: duration of the calibration.
    """

    start: float
    task: float
    capture: float
    test: float
    network_bytes: float
    tensors: float
    tensors_shard: float
    boundary_first: float
    boundary: float
    validated: float
    above_first: float
    above: float
    above_network: float
    process_bytes: float
    kept_bytes: float
    seconds: float


@dataclass(frozen=True)
class Plan:
    """The size of a run.

    Attributes:
        train: networks of all benchmarks and data sets that have their own signals.
        validation: the same.
        test: networks on which the champion is scored, of all data sets.
        individuals: total number.
        first: number in the first generation.
        generations: including the first.
        validated: individuals that are evaluated on validation, per generation.
        workers: processes that compute.
        gpus: number of GPUs that evaluate tensors; 0 if the workers do.
        shards: of train; at most this number of workers have work at the same time.
        validation_shards: of validation.
        stores: samples of networks that have their own evaluator.
    """

    train: int
    validation: int
    test: int
    individuals: int
    first: int
    generations: int
    validated: int
    workers: int
    gpus: int
    shards: int
    validation_shards: int
    stores: int


@dataclass(frozen=True)
class Forecast:
    """The estimated cost of a run.

    Attributes:
        plan: its size.
        seconds: by phase: start, capture, tensors, communication, above, test.
        total_seconds: of all phases.
        disk_bytes: of the signals; they are removed at the end unless ``capture.keep_signals``.
        memory_bytes: of all processes on one machine.
        calibration_seconds: duration of the calibration.
    """

    plan: Plan
    seconds: dict[str, float]
    total_seconds: float
    disk_bytes: int
    memory_bytes: int
    calibration_seconds: float

    def facts(self) -> dict[str, Any]:
        """Return the forecast as JSON."""
        return asdict(self)


def estimate(run: Run) -> Forecast:
    """Return the estimated cost of ``run``; writes only to a temporary folder.

    Raises:
        GreenMachineError: as the run itself would: data, settings, a cluster that does not answer.
    """
    measured = calibrate(run.config, run.seeds)
    return forecast(measured, plan(run, measured))


def calibrate(config: RunConfig, seeds: Sequence[Expression] = ()) -> Calibration:
    """Run ``config`` in miniature and return the measured times and sizes.

    Args:
        config: settings whose samples have sizes, as ``fitted`` returns them.
        seeds: of the first population.
    """
    started = time.monotonic()
    start, task = times(config.backend, config.workers)
    largest = config.samples.train.size
    sizes = [min(size, int(largest)) for size in _NETWORKS]
    if sizes[0] == sizes[1]:
        sizes[0] = max(3, sizes[1] // 2)
    few, many = (_miniature(config, seeds, size) for size in sizes)
    a_network, a_shard = _solved(few, many)
    slope = max(0.0, (many.later - few.later) / max(1, many.train - few.train))
    return Calibration(
        start=start,
        task=task,
        # Of the second sample: the first one paid for what is made once a process.
        capture=many.capture / many.captured,
        test=many.test / many.tested,
        network_bytes=many.bytes / many.captured,
        tensors=a_network,
        tensors_shard=a_shard,
        boundary_first=many.boundary_first,
        boundary=many.boundary,
        validated=many.validated,
        above_first=many.first,
        above=max(0.0, many.later - slope * many.train),
        above_network=slope,
        process_bytes=process_memory(),
        kept_bytes=many.kept,
        seconds=time.monotonic() - started,
    )


def plan(run: Run, measured: Calibration) -> Plan:
    """Return the size of ``run``."""
    config, evolution = run.config, run.config.evolution
    sizes = dict.fromkeys(("train", "validation", "test"), 0)
    shards, stores = {"train": 0, "validation": 0}, 0
    for task_set in run.task_sets:
        sources = len(set(task_set.sources.values()))
        for name in ("train", "validation"):
            count = len(task_set.indices(name))
            sizes[name] += count * sources
            shards[name] += sources * _shards(count, measured.network_bytes)
        sizes["test"] += len(task_set.indices("test")) * len(task_set.tasks)
        stores += 2 * sources
    return Plan(
        **sizes,
        individuals=individuals(config),
        first=evolution.population,
        generations=evolution.generations + 1,
        validated=min(evolution.validate_best, evolution.population),
        workers=working(config.backend, config.workers),
        gpus=len(visible_gpus(config.capture.device)) if is_gpu(config.capture.device) else 0,
        shards=shards["train"],
        validation_shards=shards["validation"],
        stores=stores,
    )


def individuals(config: RunConfig) -> int:
    """Return the number of individuals that are evaluated in a run."""
    evolution = config.evolution
    kept = 0 if config.selection.plus else evolution.elites
    return evolution.population + evolution.generations * (evolution.population - kept)


def forecast(measured: Calibration, size: Plan) -> Forecast:
    """Return the cost of a run of ``size`` by the model at the top of this module."""
    networks = size.train + size.validation
    bred = (size.individuals - size.first) / max(1, size.generations - 1)
    fading = sum(generation**-FADE for generation in range(1, size.generations))
    expressions = size.first * measured.boundary_first + bred * measured.boundary * fading
    looked_at = size.generations * size.validated * measured.validated
    work = measured.tensors * (expressions * size.train + looked_at * size.validation)
    work += measured.tensors_shard * (
        expressions * size.shards + looked_at * size.validation_shards
    )
    busy = min(size.workers, size.shards)
    later = measured.above + measured.above_network * size.train
    rounds = math.ceil(size.shards / size.workers)
    seconds = {
        "start": measured.start,
        "capture": networks * measured.capture / speed_up(busy),
        "tensors": work / speed_up(min(size.gpus, size.shards) or busy),
        "communication": size.generations * _CALLS * rounds * measured.task,
        "above": size.first * measured.above_first + (size.individuals - size.first) * later,
        "test": size.test * measured.test / speed_up(min(size.workers, max(1, size.test // 8))),
    }
    kept = size.individuals * size.train * measured.kept_bytes
    vectors = min(size.stores * _CACHES, kept)
    processes = 1 + (size.workers if size.workers > 1 else 0)
    shard = networks * measured.network_bytes / max(1, size.shards)
    return Forecast(
        plan=size,
        seconds=seconds,
        total_seconds=sum(seconds.values()),
        disk_bytes=round(networks * measured.network_bytes),
        memory_bytes=round(processes * measured.process_bytes + vectors + size.workers * shard),
        calibration_seconds=measured.seconds,
    )


def times(name: str, workers: int) -> tuple[float, float]:
    """Return the seconds until all workers of a backend have answered, and those of one task."""
    with backend(name, workers):
        count = count_workers(workers)
        if count == 1 and not remote():
            return 0.0, 0.0
        started = time.monotonic()
        run_tasks(_nothing, [()] * count, workers)
        ready = time.monotonic()
        run_tasks(_nothing, [()] * (4 * count), workers)
        return ready - started, (time.monotonic() - ready) / 4


@dataclass(frozen=True)
class _Small:
    """A run in miniature."""

    train: int
    captured: int
    tested: int
    boundary_first: float
    boundary: float
    first: float
    later: float
    validated: float
    work: int
    calls: int
    bytes: int
    kept: float
    capture: float
    tensors: float
    test: float


def _miniature(config: RunConfig, seeds: Sequence[Expression], train: int) -> _Small:
    samples = {
        name: {"size": train if name == "train" else _OTHERS, "best": sample.best}
        for name, sample in config.samples
    }
    evolution = config.evolution
    population = min(evolution.population, _POPULATION)
    try:
        config.selection.check(config.tasks, population)
    except ConfigError:  # it keeps more than that
        population = evolution.population
    small = {
        "population": population,
        "generations": min(_GENERATIONS, evolution.generations),
        "elites": min(evolution.elites, population - 1),
        "racing": min(evolution.racing, train),
    }
    changed = config.model_copy(
        update={
            "samples": type(config.samples).model_validate(samples),
            "evolution": evolution.model_copy(update=small),
            "workers": 1,
            "backend": "loky",
            "callbacks": (),
            "capture": config.capture.model_copy(update={"keep_signals": True}),
        }
    )
    with tempfile.TemporaryDirectory(prefix="greenmachine-") as folder:
        run = Run(changed, Path(folder) / "run", seeds)
        if config.capture.device == "cpu":  # what else the machine does would be counted too
            run.clock = time.process_time
        run.execute()
        files = list(run.folder.signals.rglob("*.safetensors"))
        size = sum(path.stat().st_size for path in files)
    of, evaluated, begun, ended = plan(run, _NOTHING), run.evaluated, run.spent[0], run.spent[-1]
    bred = of.individuals - population
    above = [
        (after[0] - after[1]) - (before[0] - before[1]) for before, after in pairwise(run.spent)
    ]
    fading = fmean(g**-FADE for g in range(1, of.generations)) if bred else 1.0
    looked_at = of.generations * of.validated
    return _Small(
        train=of.train,
        captured=of.train + of.validation,
        tested=of.test,
        boundary_first=begun[2] / population,
        boundary=(ended[2] - begun[2]) / max(1, bred) / fading,
        first=(begun[0] - begun[1]) / population,
        # The least: what is made once a process belongs to none of them.
        later=min(above, default=0.0) * len(above) / max(1, bred),
        validated=evaluated["validation"] / looked_at,
        work=evaluated["train"] * of.train + evaluated["validation"] * of.validation,
        calls=evaluated["train"] * of.shards + evaluated["validation"] * of.validation_shards,
        bytes=size,
        kept=run.cached_bytes / (of.individuals * of.train),
        **{name: run.phases[name] for name in ("capture", "tensors", "test")},
    )


def _solved(few: _Small, many: _Small) -> tuple[float, float]:
    """Return the seconds of a boundary expression per network and per shard, both at least 0."""
    found, _ = nnls(
        np.array([[few.work, few.calls], [many.work, many.calls]], dtype=np.float64),
        np.array([few.tensors, many.tensors]),
    )
    return float(found[0]), float(found[1])


_NOTHING = Calibration(*([0.0] * 16))


def _shards(networks: int, network_bytes: float) -> int:
    fitting = SHARD_BYTES / max(1.0, network_bytes)
    a_shard = max(SHARD_NETWORKS, min(fitting, math.ceil(networks / 4)))
    return math.ceil(networks / a_shard)


def working(name: str, workers: int) -> int:
    """Return how many workers of a backend compute at once: on this machine, at most its cores."""
    with backend(name, workers):
        count = count_workers(workers)
        return count if remote() else min(count, joblib.cpu_count())


def speed_up(workers: int) -> float:
    """Return the speed-up of ``workers`` over one."""
    return workers / (1 + LOSS * (workers - 1))


def process_memory() -> float:
    """Return the bytes that only this process uses (Linux), or its peak memory."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
    return float(sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private")))


def _nothing() -> None:
    return None
