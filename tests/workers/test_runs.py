"""The same run on every backend: bit for bit the same files, also where a worker was killed."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from greenmachine.config import RunConfig
from greenmachine.evolution import Run
from tests.evolution.conftest import Quiet
from tests.workers.clusters import dask_cluster

SETTINGS: dict[str, Any] = {
    "passes": ["noise"],
    "seed": 5,
    "workers": 1,
    "samples": {"train": {"size": 48}, "validation": {"size": 16}, "test": {"size": 16}},
    "capture": {"batch": 4},
    "evolution": {"population": 60, "generations": 2, "elites": 2, "validate_best": 8},
}


def outcome(folder: Path, *ignored: str) -> dict[str, Any]:
    """Everything that a run found, without its times and what else is ``ignored``."""

    def kept(row: dict[str, Any]) -> dict[str, Any]:
        spent = {"seconds", "energy", "energy_kwh", "sha256", *ignored}
        return {key: value for key, value in row.items() if key not in spent}

    result = kept(json.loads((folder / "result.json").read_text()))
    with (folder / "history.csv").open() as file:
        history = [kept(row) for row in csv.DictReader(file)]
    search = json.loads((folder / "checkpoint.json").read_text())["search"]
    hall = json.loads((folder / "hall_of_fame.json").read_text())
    return {"result": result, "history": history, "search": search, "hall": hall}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run in this process, unbroken."""
    folder = tmp_path_factory.mktemp("one") / "run"
    Run(RunConfig.model_validate(SETTINGS), folder, [], Quiet()).execute()
    return folder


def evolve(folder: Path, *words: str) -> subprocess.Popen[str]:
    """``greenmachine evolve`` in a process of its own."""
    (folder / "run.yaml").write_text(yaml.safe_dump(SETTINGS))
    command = [sys.executable, "-c", "from greenmachine.cli import main; main()", "evolve"]
    return subprocess.Popen(
        [*command, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kill_when_busy(
    process: subprocess.Popen[str], checkpoint: Path, find: Callable[[], Any]
) -> None:
    """Kill -9 a worker of ``find()`` in mid-generation: after the checkpoint, and computing."""

    def until(condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 120
        while not (found := condition()) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        return found

    def busy() -> psutil.Process | None:
        for worker in find():
            now = sum(worker.cpu_times()[:2])
            if now - spent.setdefault(worker.pid, now) > 0.04:
                return worker
        return None

    until(checkpoint.exists)
    spent: dict[int, float] = {}
    until(busy).kill()


def test_resume_with_other_workers_one_of_them_killed(unbroken: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        Run(RunConfig.model_validate(SETTINGS), folder, [], Quiet(stop_after=0)).execute()
    process = evolve(tmp_path, "--resume", "run", "--workers", "2")

    def workers() -> list[psutil.Process]:
        found = []
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.NoSuchProcess):  # another child, which has just ended
                if "popen_loky" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    kill_when_busy(process, folder / "checkpoint.json", workers)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    said = re.findall("greenmachine: a worker process was killed: repeating .*\n", errors)
    assert len(said) == 1, errors
    cold = ("cache_hits", "cache_misses", "evaluated")  # of the cache, which a checkpoint lacks
    assert outcome(folder, *cold) == outcome(unbroken, *cold)
    assert json.loads((folder / "config.json").read_text())["config"]["workers"] == 1


@pytest.mark.slow
def test_run_on_a_dask_cluster_with_a_worker_killed(unbroken: Path, tmp_path: Path) -> None:
    with dask_cluster(tmp_path, "--nworkers", "2", "--nthreads", "1") as (address, daemons):
        process = evolve(tmp_path, "run.yaml", "--out", "run", "--backend", f"dask:{address}")
        find = daemons[1].children  # `dask worker` starts a process for each worker
        kill_when_busy(process, tmp_path / "run" / "checkpoint.json", find)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert outcome(tmp_path / "run") == outcome(unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", ["loky", "dask", "ray"])
def test_run_on_every_backend(unbroken: Path, name: str, workers: int, tmp_path: Path) -> None:
    pytest.importorskip({"loky": "joblib", "dask": "distributed", "ray": "ray"}[name])
    words = ["--backend", name, "--workers", str(workers)]
    process = evolve(tmp_path, "run.yaml", "--out", "run", *words)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert outcome(tmp_path / "run") == outcome(unbroken)
