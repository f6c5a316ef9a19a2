"""Hold the cost model against real runs: predict each, run it, write both.

    python -m experiments.cost --out results/cost
    python -m experiments.cost --only digits-tss --workers 1

Runs: the embedded topology and size spaces, and NATS-Bench's topology space where
GREENMACHINE_DATA names its folder. Each is calibrated just before it is run. `cost.json` holds the
calibration, the forecast and what was measured, by phase. With one worker all seconds are those of
the processor, so that other work on the machine does not count. With --workers they are wall time,
and the load of the machine stands beside them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.peak_memory import Watch
from greenmachine.config import load_config
from greenmachine.errors import DataError
from greenmachine.evolution import Run
from greenmachine.evolution.cost_model import calibrate, forecast, plan
from greenmachine.files import write_json
from greenmachine.manifest import manifest

RUNS: dict[str, dict[str, Any]] = {
    "digits-tss": {
        "tasks": ["digits-tss"],
        "evolution.population": 200,
        "evolution.generations": 12,
        "workers": 1,
    },
    "digits-sss": {
        "tasks": ["digits-sss"],
        "samples.train.size": 64,
        "evolution.population": 100,
        "evolution.generations": 20,
        "workers": 1,
    },
    "nats-tss": {
        "tasks": ["nats-tss/cifar10"],
        "passes": ["noise"],
        "samples.train.size": 48,
        "samples.validation.size": 24,
        "samples.test.size": 48,
        "evolution.population": 60,
        "evolution.generations": 6,
        "workers": 1,
    },
}


def compare(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Predict and measure a run."""
    config = load_config(None, {**changes, "capture.keep": True, "seed": 2})
    with tempfile.TemporaryDirectory(prefix="greenmachine-") as folder:
        run = Run(config, Path(folder) / "run", [])
        load = os.getloadavg()[0]
        measured = calibrate(run.config)
        predicted = forecast(measured, plan(run, measured))
        if config.workers == 1:
            run.clock = time.process_time
        started = run.clock()
        with Watch() as watch:
            run.execute()
        seconds = run.clock() - started
        signals = sum(path.stat().st_size for path in run.folder.signals.rglob("*.safetensors"))
        rows = list(csv.DictReader((run.folder.path / "history.csv").open()))
    evaluated = [int(row["evaluated"]) for row in rows]
    return {
        "run": name,
        "settings": changes,
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "calibration": asdict(measured),
        "predicted": predicted.facts(),
        "measured": {
            "seconds": run.phases,
            "total_seconds": seconds,
            "disk_bytes": signals,
            "memory_bytes": watch.peak_gb * 1e9,
            "boundary": run.evaluated,
        },
        "boundary_by_generation": [b - a for a, b in zip([0, *evaluated], evaluated, strict=False)],
        "individuals_by_generation": [int(row["individuals"]) for row in rows],
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results/cost"))
    parser.add_argument("--only", nargs="*", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--workers", type=int, help="of every run")
    parser.add_argument("--generations", type=int, help="of every run")
    given = parser.parse_args(arguments)
    found = []
    for name in given.only:
        changes = dict(RUNS[name])
        if given.workers is not None:
            changes["workers"] = given.workers
        if given.generations is not None:
            changes["evolution.generations"] = given.generations
        try:
            found.append(compare(name, changes))
        except DataError as error:
            print(f"{name}: left out ({error})")
            continue
        _show(found[-1])
        given.out.mkdir(parents=True, exist_ok=True)
        write_json(given.out / "cost.json", {"manifest": manifest(), "runs": found})
    return 0


def _show(found: dict[str, Any]) -> None:
    predicted, measured = found["predicted"], found["measured"]
    print(f"{found['run']}: predicted and measured (load {found['load'][0]} to {found['load'][1]})")
    for phase in ("capture", "tensors", "above", "test"):
        one, two = predicted["seconds"][phase], measured["seconds"][phase]
        print(f"  {phase:<12} {one:8.1f} s {two:8.1f} s")
    print(f"  {'total':<12} {predicted['total_seconds']:8.1f} s {measured['total_seconds']:8.1f} s")
    for name in ("disk_bytes", "memory_bytes"):
        print(f"  {name[:-6]:<12} {predicted[name] / 1e9:8.2f} GB {measured[name] / 1e9:7.2f} GB")
    print(f"  {json.dumps(found['boundary_by_generation'])}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
