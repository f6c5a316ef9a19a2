"""The cost model: it scales as it says, and a dry run writes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenmachine.cli.app import app
from greenmachine.config import load_config
from greenmachine.errors import ConfigError
from greenmachine.evolution import Run
from greenmachine.evolution.cost_model import (
    Calibration,
    Forecast,
    Plan,
    forecast,
    individuals,
    plan,
    speed_up,
)

MEASURED = Calibration(
    start=3.0,
    task=0.01,
    capture=0.05,
    test=0.03,
    network_bytes=1e6,
    tensors=1e-4,
    tensors_shard=1e-3,
    boundary_first=0.6,
    boundary=0.1,
    validated=0.5,
    above_first=1e-3,
    above=1e-3,
    above_network=1e-5,
    process_bytes=3e8,
    kept_bytes=30.0,
    seconds=9.0,
)
SIZE = Plan(
    train=128,
    validation=64,
    test=1000,
    individuals=1000,
    first=100,
    generations=10,
    validated=20,
    workers=4,
    gpus=0,
    shards=16,
    validation_shards=8,
    stores=2,
)


def of(**changes: Any) -> Forecast:
    return forecast(MEASURED, replace(SIZE, **changes))


@pytest.mark.parametrize(
    ("changes", "phase", "ratio"),
    [
        ({"test": 2000}, "test", 2),
        ({"train": 256, "validation": 128}, "capture", 2),
        ({"workers": 1}, "capture", speed_up(4)),
        ({"workers": 1}, "tensors", speed_up(4)),
        ({"workers": 400}, "tensors", speed_up(4) / speed_up(16)),
        ({"workers": 400}, "above", 1),
        ({"gpus": 2}, "tensors", speed_up(4) / speed_up(2)),
        ({"gpus": 2}, "capture", 1),
        ({"workers": 8}, "communication", 0.5),
        ({"generations": 20}, "communication", 2),
        ({"first": 200, "individuals": 2000}, "above", 2),
    ],
)
def test_phases_scale(changes: dict[str, Any], phase: str, ratio: float) -> None:
    assert of(**changes).seconds[phase] == pytest.approx(ratio * of().seconds[phase])


def test_a_whole_is_the_sum_of_its_parts() -> None:
    found = of()
    assert found.total_seconds == pytest.approx(sum(found.seconds.values()))
    assert found.disk_bytes == 192e6
    assert of(workers=8).memory_bytes > found.memory_bytes > 4 * MEASURED.process_bytes
    assert json.loads(json.dumps(found.facts())) == found.facts()


@pytest.mark.parametrize("scheme", ["tournament", {"scheme": "mu_plus_lambda", "mu": 6}])
@pytest.mark.parametrize("generations", [0, 2])
def test_sizes_are_those_of_the_run(generations: int, scheme: Any, tmp_path: Path) -> None:
    config = load_config(
        None,
        {
            "samples": {"train": {"size": 20}, "validation": {"size": 8}, "test": {"size": 9}},
            "capture": {"batch": 2, "options": {"cells": 1}, "keep_signals": True},
            "evolution": {"population": 12, "generations": generations, "elites": 2},
            "selection": scheme,
            "workers": 1,
        },
    )
    run = Run(config, tmp_path / "run", [])
    size = plan(run, MEASURED)
    result = run.execute()
    assert (size.train, size.validation, size.test) == (20, 8, 9)
    assert size.individuals == individuals(run.config) == result["individuals"]
    assert size.generations == generations + 1 == len(run.spent)
    shards = list((tmp_path / "run" / "signals").rglob("shard-*.json"))
    assert size.shards + size.validation_shards == len(shards)
    assert sum(run.phases.values()) == pytest.approx(result["seconds"], abs=0.3)
    assert run.phases["tensors"] == pytest.approx(run.spent[-1][1])


SMALL = ["samples.train.size=12", "samples.validation.size=6", "samples.test.size=6"]
SMALL += ["capture.batch=2", "capture.options={cells: 1}", "evolution.population=10"]
SMALL += ["evolution.generations=2", "evolution.elites=1"]


def test_dry_runs_print_and_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["evolve", "--dry-run", "--json", "--workers", "1"]
    done = CliRunner().invoke(app, words + [word for each in SMALL for word in ("--set", each)])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["plan"]["individuals"] == 10 + 2 * 9
    assert found["total_seconds"] > 0 and found["disk_bytes"] > 1000
    words = ["score", "l2_norm", "--sample", "20", "--batch", "2", "--workers", "1", "--dry-run"]
    for extra, networks in ([], 20), (["--out", "scores.parquet"], 20):
        done = CliRunner().invoke(app, [*words, "--json", *extra])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["plan"]["test"] == networks
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0 and "GB" in shown.output
    assert not list(tmp_path.iterdir())


def test_dry_run_of_a_resumed_run_is_refused(tmp_path: Path) -> None:
    words = ["evolve", "--resume", str(tmp_path), "--dry-run"]
    with pytest.raises(ConfigError, match="--dry-run"):
        CliRunner().invoke(app, words, catch_exceptions=False)
