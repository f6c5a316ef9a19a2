"""Clusters whose machines share no folder: a run there is bit for bit that of one process."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.workers.namespaces import Machines, machines
from tests.workers.test_runs import kill_when_busy, outcome

SPACE = """
from torch import nn
from beside import hidden
INPUT_SHAPE = (3, 8, 8)
NUM_CLASSES = 4
def build(arch):
    width = hidden(arch)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4),
    )
"""

PLUGIN = """
import torch
from torch import nn
import greenmachine as gm
from greenmachine.networks.untouched import float_like
from greenmachine.signals.capture import run_pass

@gm.register_pass()
def uniform(model, inputs, wanted, seed):
    "Images drawn from U(0, 1)."
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(inputs.shape, generator=generator).to(float_like(model))
    return run_pass(model, images, torch.sum, wanted, seed=seed)

gm.register_benchmark(
    "brought",
    table="brought.csv",
    build=lambda arch: nn.Sequential(nn.Linear(6, int(arch)), nn.ReLU(), nn.Linear(int(arch), 3)),
    input_shape=(6,),
)
"""


@pytest.fixture
def client(tmp_path: Path, synthetic_data: Path) -> Path:
    """The folder of the machine that sends the work: settings, a space, a plugin, the data."""
    home = tmp_path / "client"
    home.mkdir()
    (home / "space.py").write_text(SPACE)
    (home / "beside.py").write_text("def hidden(arch):\n    return int(arch)\n")
    rows = [f"{width},{40 + (7 * width) % 23}" for width in range(2, 62)]
    for name in ("accuracies", "brought"):
        (home / f"{name}.csv").write_text("\n".join(["arch,accuracy", *rows]))
    (home / "words.py").write_text(PLUGIN)
    shutil.copytree(synthetic_data, home / "data")
    shutil.copytree(synthetic_data, tmp_path / "worker-data")
    settings: dict[str, Any] = {
        "tasks": ["digits-tss/digits", "nats-tss/cifar10", "space.py:accuracies.csv", "brought"],
        "seed": 5,
        "passes": ["noise", "uniform"],
        "samples": {name: {"size": 16} for name in ("train", "validation", "test")},
        "capture": {"batch": 2, "options": {"cells": 1}},
        "evolution": {"population": 30, "generations": 2, "elites": 2, "validate_best": 4},
    }
    (home / "run.yaml").write_text(yaml.safe_dump(settings))
    return home


EVOLVE = [sys.executable, "-c", "from greenmachine.cli import main; main()", "evolve", "run.yaml"]
EVOLVE += ["--plugin", "words.py", "--out"]


TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # of the machines


@contextmanager
def dask(found: Machines, client: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """A scheduler and two workers: the backend, and what finds the workers' processes."""
    program = str(Path(sys.executable).with_name("dask"))
    address = f"tcp://{found.address('hub')}:8786"
    words = [program, "scheduler", "--host", found.address("hub"), "--no-dashboard"]
    start(found, "hub", words, client)
    words = [program, "worker", address, "--nworkers", "1", "--nthreads", "1", "--no-dashboard"]
    daemons = [start(found, name, words, client) for name in ("one", "two")]

    def workers() -> list[psutil.Process]:
        return [child for daemon in daemons for child in psutil.Process(daemon.pid).children()]

    yield f"dask:{address}", workers


@contextmanager
def ray(found: Machines, client: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    program = str(Path(sys.executable).with_name("ray"))
    address = f"{found.address('hub')}:6379"
    common = ["--block", "--disable-usage-stats", "--object-store-memory", "100000000"]
    head = [program, "start", "--head", "--port", "6379", "--include-dashboard", "false"]
    head += ["--node-ip-address", found.address("hub"), "--num-cpus", "0"]
    daemons = [start(found, "hub", [*head, *common], client)]
    for name, cpus in (("one", 1), ("two", 1), ("client", 0)):
        words = [program, "start", "--address", address, "--num-cpus", str(cpus)]
        words += ["--node-ip-address", found.address(name)]
        daemons.append(start(found, name, [*words, *common], client))
        time.sleep(2)

    def workers() -> list[psutil.Process]:
        children = [c for daemon in daemons for c in psutil.Process(daemon.pid).children(True)]
        return [child for child in children if "ray::" in " ".join(child.cmdline())]

    yield f"ray:{address}", workers


def start(found: Machines, name: str, words: list[str], client: Path) -> subprocess.Popen[str]:
    """Start a daemon; of the client's folders it sees none, its cache is its own."""
    home = client.parent / name
    home.mkdir(exist_ok=True)
    cache = client.parent / "cache"
    cache.mkdir(exist_ok=True)
    environment = {
        "GREENMACHINE_DATA": str(client.parent / "worker-data"),
        "GREENMACHINE_CACHE": str(cache),
        **TOKEN,
    }
    hidden = [cache] if name == "client" else [client, cache]
    return found.start(name, words, hidden=hidden, folder=home, environment=environment)


def cached(found: Machines, client: Path) -> dict[str, int]:
    """How many shards lie in the cache of each machine that works."""
    roots = {name: Path(f"/proc/{found.process(name).pid}/root") for name in ("one", "two")}
    folders = {name: Path(f"{root}{client.parent}/cache/shards") for name, root in roots.items()}
    return {name: len(list(path.rglob("shard-*.json"))) for name, path in folders.items()}


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [dask, ray])
def test_run_without_a_shared_folder(cluster: Callable[..., Any], client: Path) -> None:
    """One of the workers is killed in mid-generation."""
    pytest.importorskip({"dask": "distributed", "ray": "ray"}[cluster.__name__])
    environment = {**os.environ, "GREENMACHINE_DATA": str(client / "data")}
    words = [*EVOLVE, "alone", "--workers", "1"]
    alone = subprocess.run(words, cwd=client, env=environment, capture_output=True, text=True)
    assert alone.returncode == 0, alone.stderr
    with machines("hub", "one", "two", "client") as found, cluster(found, client) as opened:
        backend, workers = opened
        process = found.start(
            "client",
            [*EVOLVE, "run", "--backend", backend],
            hidden=[],
            folder=client,
            environment={"GREENMACHINE_DATA": str(client / "data"), **TOKEN},
        )
        kill_when_busy(process, client / "run" / "checkpoint.json", workers)
        assert all(cached(found, client).values())
        process.communicate(timeout=300)
        complaint = (client / f"client{len(found.started) - 1}.err").read_text()
        assert process.returncode == 0, complaint
        assert "cache folders of workers" in complaint
        assert not any(cached(found, client).values())
        assert not list((client / "run").rglob("*.safetensors"))
    assert outcome(client / "run") == outcome(client / "alone")
