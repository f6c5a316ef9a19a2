"""Part f: the time from the architecture of a network to its signals in the store."""

from __future__ import annotations

import numpy as np

from experiments.performance.report import Report
from experiments.performance.workload import Workload, synchronised
from greenmachine.neutral import neutral
from greenmachine.signals.network_capture import build_network
from greenmachine.signals.run_passes import run_passes
from greenmachine.workers import count_workers

__all__ = ["measure_capture"]

_STEPS = 10  # networks for which each step is timed


def measure_capture(workload: Workload, report: Report) -> None:
    """Report the capture time of the workload, and the time of each step for some networks."""
    store, settings, spec = workload.store, workload.settings, workload.spec
    workers = count_workers(settings.workers)
    wall = 1000 * workload.capture_seconds / len(store.indices)
    written = sum(p.with_suffix(".safetensors").stat().st_size for p in store.paths)
    passes = f"batch {spec.batch}, noise pass, {len(spec.terminals)} signals"
    report.add(
        "f",
        f"wall time a network, {workers} workers",
        wall,
        "ms",
        f"capture / networks: build, forward, backward, write, size estimate; {passes}",
    )
    report.add("f", "core time a network", wall * workers, "ms", "wall time x workers")
    report.add("f", "signals written a network", written / len(store.indices) / 1e6, "MB")
    report.summary["capture_ms"] = wall
    shape = (spec.batch, *workload.benchmark.input_shape(spec.dataset))
    built, passed = [], []
    with neutral():
        for index in store.indices[:_STEPS]:
            started = synchronised(spec.device)
            model = build_network(workload.benchmark, index, spec)
            middle = synchronised(spec.device)
            run_passes(model, set(spec.terminals), shape, seed=spec.seed)
            passed.append(synchronised(spec.device) - middle)
            built.append(middle - started)
    note = f"one thread, mean of {len(built)} networks"
    report.add("f", "build alone", 1000 * float(np.mean(built)), "ms", note)
    report.add("f", "forward and backward alone", 1000 * float(np.mean(passed)), "ms", note)
