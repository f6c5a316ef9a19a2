"""Time whole runs of evolution by phase, and the engine alone, on a device and on the CPU."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.gpu.checks import TOLERANCE, deviation
from experiments.gpu.watch import Watch
from experiments.performance.growth import random_trees
from greenmachine.config import RunConfig, load_config
from greenmachine.engine import Evaluator
from greenmachine.evolution import Run
from greenmachine.language.grammar import Grammar
from greenmachine.signals import CaptureSpec, Store

__all__ = ["settings", "whole_run", "whole_sample"]


def settings(task: str, device: str, quick: bool) -> RunConfig:
    """Return the settings of a run on ``task``."""
    changes: dict[str, Any] = {
        "tasks": [task],
        "seed": 1,
        "workers": -1,
        "capture.device": device,
    }
    if task.startswith("nats"):
        changes |= {"passes": ["noise"], "samples.validation.size": 64, "samples.test.size": 128}
    changes |= {"evolution.generations": 10}
    if quick:
        sizes = {"train": 12, "validation": 8, "test": 8}
        changes |= {f"samples.{name}.size": size for name, size in sizes.items()}
        changes |= {
            "capture.batch": 2,
            "capture.options": {"cells": 1},
            "evolution.population": 16,
            "evolution.generations": 1,
            "workers": 1,
        }
    return load_config(None, changes)


def whole_run(task: str, device: str, quick: bool) -> dict[str, Any]:
    """Run evolution and return seconds by phase, tau, utilisation and memory."""
    _reset(device)
    with tempfile.TemporaryDirectory(prefix="greenmachine-") as folder, Watch() as watch:
        started = time.monotonic()
        run = Run(settings(task, device, quick), Path(folder) / "run", [])
        result = run.execute()
        seconds = time.monotonic() - started
    (rows,) = result["test"].values()
    return {
        "task": task,
        "device": device,
        "seconds": seconds,
        "phases": run.phases,
        "individuals": result["individuals"],
        "boundary_expressions": run.evaluated["train"],
        "test_tau": rows["champion"]["tau"],
        "gpu": watch.facts(),
        "gpu_allocated_mb": _allocated(device),
    }


def whole_sample(task: str, device: str, quick: bool) -> dict[str, Any]:
    """Evaluate many expressions on one captured sample, on the CPU and then twice on the device."""
    benchmark, _, dataset = task.partition("/")
    grammar = Grammar(("noise",), ())
    expressions = random_trees(grammar, 20 if quick else 400, 25, seed=1)
    options = {"cells": 1} if quick else {}
    spec = CaptureSpec(benchmark, dataset, tuple(grammar.terminals), 2 if quick else 8, 0, options)
    networks = range(0, 380, 40) if quick else range(0, 384, 3)
    found: dict[str, Any] = {"task": task, "expressions": len(expressions)}
    with tempfile.TemporaryDirectory(prefix="greenmachine-") as folder:
        store = Store(Path(folder) / "store", spec, networks)
        started = time.monotonic()
        store.build(1 if quick else -1)
        found |= {"networks": len(networks), "capture_seconds": time.monotonic() - started}
        scores = {}
        _reset(device)
        for name, place in (("cpu", "cpu"), ("first", device), ("second", device)):
            evaluator = Evaluator.of_store(store, workers=1, device=place)
            with Watch() as watch:
                scores[name] = evaluator.scores(expressions)
            found[f"{name}_seconds"] = evaluator.seconds
            if name == "second":
                found |= {"gpu": watch.facts(), "gpu_allocated_mb": _allocated(device)}
    worst = [deviation(two, one) for one, two in zip(scores["cpu"], scores["second"], strict=True)]
    found["beyond_tolerance"] = int(sum(value > TOLERANCE for value in worst))
    found["median_deviation"] = float(np.median(worst))
    return found


def _reset(device: str) -> None:
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()


def _allocated(device: str) -> float | None:
    return None if device == "cpu" else round(torch.cuda.max_memory_allocated() / 1e6, 1)
