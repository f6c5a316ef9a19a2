"""Compare the cost model with real runs: predict each run, run it, and write both.

    python -m experiments.cost --out results/cost
    python -m experiments.cost --only digits-tss --workers 2
    python -m experiments.cost --scale nats-tss   the model far beyond the run, from cost.json
    python -m experiments.cost --again            new forecasts, from the calibrations in cost.json

Runs: the embedded topology and size spaces, and the topology space of NATS-Bench if
GREENMACHINE_DATA names its folder. Each is calibrated just before it is run. `cost.json` has the
calibration, the forecast and the measured values, by phase. With one worker all seconds are CPU
seconds, so other work on the machine does not count. With --workers they are wall time, and the
load of the machine is written beside them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from experiments.peak_memory import Watch
from greenmachine.config import load_config
from greenmachine.errors import DataError
from greenmachine.evolution import Run
from greenmachine.evolution.cost_model import Calibration, Forecast, Plan, calibrate, forecast, plan
from greenmachine.files import read_json, write_json
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
    config = load_config(None, {**changes, "capture.keep_signals": True, "seed": 2})
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


def _forecast(found: dict[str, Any], **changes: Any) -> Forecast:
    size = replace(Plan(**found["predicted"]["plan"]), **changes)
    return forecast(Calibration(**found["calibration"]), size)


def scaled(found: dict[str, Any]) -> str:
    """Return a Markdown table of larger runs, of 400 individuals and 40 generations."""
    lines = [
        "| networks | workers | capture | tensors | main process | test | whole | disk "
        "| disk of one worker |",
        "|" + "--:|" * 9,
    ]
    measured = Calibration(**found["calibration"])
    for networks in (128, 10_000, 1_000_000):
        for workers in (1, 8, 100):
            shard = max(8, min(round(2**26 / measured.network_bytes), -(-networks // 4)))
            size = _forecast(
                found,
                train=networks,
                validation=200,
                test=1000,
                individuals=400 + 40 * 390,
                first=400,
                generations=41,
                validated=20,
                workers=workers,
                shards=-(-networks // shard),
                validation_shards=-(-200 // shard),
            )
            hours = [_time(size.seconds[name]) for name in ("capture", "tensors", "above", "test")]
            share = size.disk_bytes / min(workers, size.plan.shards)
            cells = [f"{networks:,}", str(workers), *hours, _time(size.total_seconds)]
            cells += [_bytes(size.disk_bytes), _bytes(share)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _time(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _bytes(size: float) -> str:
    return f"{size / 1e12:.1f} TB" if size > 1e12 else f"{size / 1e9:.1f} GB"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results/cost"))
    parser.add_argument("--only", nargs="*", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--workers", type=int, help="of every run")
    parser.add_argument("--generations", type=int, help="of every run")
    parser.add_argument("--scale", choices=list(RUNS), help="print larger runs of this one")
    parser.add_argument("--again", action="store_true", help="forecast the runs of cost.json anew")
    given = parser.parse_args(arguments)
    saved = given.out / "cost.json"
    if given.scale is not None:
        runs = {each["run"]: each for each in read_json(saved)["runs"]}
        print(scaled(runs[given.scale]))
        return 0
    if given.again:
        whole = read_json(saved)
        for each in whole["runs"]:
            each["predicted"] = _forecast(each).facts()
            _show(each)
        write_json(saved, whole)
        return 0
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
