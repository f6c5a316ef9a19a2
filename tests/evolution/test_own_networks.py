"""Runs on a user's own networks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from greenmachine.config import RunConfig
from greenmachine.errors import RunError
from greenmachine.evolution import Run

from .conftest import Quiet, settings

SPACE = """
from torch import nn

INPUT_SHAPE = (4,)


def build(arch):
    kind, width, depth = arch.split("-")
    if kind == "bad":
        raise RuntimeError("no such network")
    layers = [nn.Linear(4, int(width))]
    for _ in range(int(depth)):
        layers += [nn.ReLU(), nn.Linear(int(width), int(width))]
    return nn.Sequential(*layers)
"""

ARCHS = [
    f"{'bad' if width == 5 else 'mlp'}-{width}-{depth}"
    for width in range(2, 10)
    for depth in range(4)
]


def own(**changes: Any) -> RunConfig:
    changes = {
        "tasks": ["space.py:acc.csv"],
        "passes": [],
        "samples": {n: {"size": "auto"} for n in ("train", "validation", "test")},
        "capture": {"options": {}},
        "evolution": {"population": 12, "generations": 2},
        **changes,
    }
    return settings(**changes)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "space.py").write_text(SPACE)
    lines = [f"{arch},{20 + row}" for row, arch in enumerate(ARCHS)]
    (tmp_path / "acc.csv").write_text("\n".join(["arch,accuracy", *lines]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_from_a_relative_name_goes_on_anywhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Quiet()
    result = Run(own(workers=2), Path("whole"), [], listener).execute()
    sizes = {sample: own["space.py:acc.csv"] for sample, own in result["samples"].items()}
    assert sizes == {"train": 13, "validation": 10, "test": 9}
    assert set(result["test"]["own"]) == {"champion", "params", "flops"}
    assert sum(row["failed"] for row in result["test"]["own"].values()) % 3 == 0
    config = json.loads((folder / "whole" / "config.json").read_text())["config"]
    assert config["tasks"] == [f"{folder}/space.py:{folder}/acc.csv/own"]
    told = [line for line in listener.lines if "networks failed" in line]
    assert told
    assert all("the first: RuntimeError: no such network" in line for line in told)
    with pytest.raises(KeyboardInterrupt):
        Run(own(), Path("broken"), [], Quiet(stop_after=1)).execute()
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    resumed = Run.resume(folder / "broken", Quiet()).execute()
    assert resumed["best"] == result["best"]
    assert resumed["test"] == result["test"]


@pytest.mark.parametrize("name", ["space.py", "acc.csv"])
def test_changed_data_stop_a_resumed_run(folder: Path, name: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        Run(own(), Path("run"), [], Quiet(stop_after=0)).execute()
    kept = (folder / name).read_text()
    (folder / name).write_text(kept + "\n")
    with pytest.raises(RunError, match="the data changed since this run began"):
        Run.resume(Path("run"), Quiet()).execute()
    (folder / name).write_text(kept)
    assert Run.resume(Path("run"), Quiet()).execute()["generations"] == 2
    shutil.rmtree("run/signals")
    (folder / "run" / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match=r"manifest.json is damaged"):
        Run.resume(Path("run"), Quiet()).execute()


def test_a_sample_of_failures_stops_the_run(folder: Path) -> None:
    (folder / "space.py").write_text(SPACE.replace('"bad"', '"mlp"'))
    config = own(samples={"train": {"size": 4}, "validation": {"size": 4}, "test": {"size": 4}})
    (folder / "acc.csv").write_text(
        "\n".join(["arch,accuracy", *(f"mlp-{w}-1,{50 + w}" for w in range(20))])
    )
    with pytest.raises(
        RunError, match="all 4 own train networks failed; the first: RuntimeError: no such network"
    ):
        Run(config, Path("run"), [], Quiet()).execute()
