"""``greenmachine.evolve`` and its result; what importing the package brings along."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import greenmachine
from greenmachine.benchmarks import Benchmark
from greenmachine.callbacks import Generation
from greenmachine.config import RunConfig
from greenmachine.errors import ConfigError, DataError, RunError
from greenmachine.export.run_export import export_run
from tests.disguises import everything
from tests.proxies.loading import load
from tests.proxies.tiny_networks import SHAPE, network

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "tasks": "nats-tss",
    "workers": 1,
    "samples": {"train": {"size": 12}, "validation": {"size": 8}, "test": {"size": 12}},
    "capture.batch": 2,
    "capture.options": {"cells": 1, "channels": 4},
    "evolution": {"population": 8, "generations": 2, "elites": 1, "hall_of_fame": 4},
}


@pytest.fixture(scope="module")
def result(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> greenmachine.Result:
    folder = tmp_path_factory.mktemp("api") / "tiny"
    return greenmachine.evolve("nats-tss", settings=SETTINGS, out=folder, seed=1)


@pytest.mark.usefixtures("synthetic_data")
def test_torch_settings_around_a_run_change_nothing(
    result: greenmachine.Result, tmp_path: Path
) -> None:
    with everything():
        again = greenmachine.evolve("nats-tss", settings=SETTINGS, out=tmp_path / "run", seed=1)
    assert again.hall_of_fame.equals(result.hall_of_fame)
    assert again.tau == result.tau


def test_result_tells_what_the_run_found(result: greenmachine.Result) -> None:
    facts = json.loads((result.folder / "result.json").read_text())
    assert result.best.expression == facts["best"]["expression"]
    assert result.best.direction == facts["best"]["direction"]
    assert result.tau == facts["best"]["tau"]
    assert set(result.tau) == {"train", "validation", "test"}
    assert result.test.loc[("cifar10", "champion"), "tau"] == result.tau["test"]["cifar10"]
    assert {"params", "flops"} <= set(result.test.loc["cifar10"].index)
    assert result.test["networks"].tolist() == [12] * len(result.test)
    assert result.history["generation"].tolist() == [0, 1, 2]
    assert result.seconds > 0
    hall = result.hall_of_fame
    assert hall.index[0] == 1
    assert hall.loc[1, "expression"] == result.best.expression
    assert hall.loc[1, "train.cifar10"] == pytest.approx(result.tau["train"]["cifar10"], abs=1e-6)
    assert hall["validation"].is_monotonic_decreasing
    tau, error = result.test.loc[("cifar10", "champion"), ["tau", "standard_error"]]
    assert f"cifar10 {tau:.3f} ± {error:.3f}" in repr(result)
    assert result.best.expression in repr(result)
    assert greenmachine.Result.open(str(result.folder)) == result


def test_result_exports_what_it_scores(result: greenmachine.Result, tmp_path: Path) -> None:
    path = result.export(tmp_path / "proxy.py")
    model = network("branches")
    expected = load(path).score(model, torch.zeros(SHAPE))
    for proxy in (result.best, path, result.folder, result.best.expression):
        found = greenmachine.score(model, proxy, shape=SHAPE)
        assert found == expected or (math.isnan(found) and math.isnan(expected))
    second = result.export(str(tmp_path / "second.py"), rank=2, exact=True)
    assert result.hall_of_fame.loc[2, "expression"] == load(second).EXPRESSION
    with pytest.raises(ConfigError, match="hall of fame"):
        result.export(tmp_path / "proxy.py", rank=99)
    with pytest.raises(ConfigError, match=r"must end in \.py"):
        result.export(tmp_path / "proxy.txt")


def test_same_seed_same_run_and_settings_by_any_way(
    result: greenmachine.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nested = {key: value for key, value in SETTINGS.items() if "." not in key}
    nested["capture"] = {"batch": 2, "options": {"cells": 1, "channels": 4}}
    config = RunConfig.model_validate(nested)
    again = greenmachine.evolve(config=config, seed=1)
    assert again.folder == Path("runs/tiny-1")
    assert again.best.expression == result.best.expression
    assert again.tau == result.tau
    histories = [
        run.history.drop(columns=["seconds", "energy_kwh"], errors="ignore")
        for run in (again, result)
    ]
    pd.testing.assert_frame_equal(*histories)
    settings = [json.loads((r.folder / "config.json").read_text()) for r in (again, result)]
    assert settings[0] == settings[1]
    other = greenmachine.evolve(config=config, settings={"evolution.generations": 0}, seed=2)
    assert other.folder == Path("runs/tiny-2")
    assert len(other.history) == 1


class Noting(greenmachine.Callback):
    """Notes the generations, and interrupts after one if asked to."""

    stop_after: int | None = None

    @cached_property
    def generations(self) -> list[int]:
        return []

    def on_generation(self, generation: Generation) -> None:
        self.generations.append(int(generation.row["generation"]))
        if generation.row["generation"] == self.stop_after:
            raise KeyboardInterrupt


def test_a_finished_run_is_returned_at_once(result: greenmachine.Result) -> None:
    noting = Noting()
    again = greenmachine.evolve(
        "nats-tss", settings=SETTINGS, out=result.folder, seed=1, callbacks=[noting]
    )
    assert noting.generations == []
    assert again == result
    with pytest.raises(RunError, match="holds another run"):
        greenmachine.evolve("nats-tss", settings=SETTINGS, out=result.folder, seed=2)


@pytest.mark.parametrize("how", ["same call", "resume"])
def test_an_interrupted_run_goes_on(how: str, result: greenmachine.Result, tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    call: dict[str, Any] = {"settings": SETTINGS, "out": out, "seed": 1}
    with pytest.raises(KeyboardInterrupt):
        greenmachine.evolve("nats-tss", **call, callbacks=[Noting(stop_after=0)])
    with pytest.raises(RunError, match="holds no result.json"):
        greenmachine.Result.open(out)
    noting = Noting()
    if how == "resume":
        again = greenmachine.evolve(resume=out, callbacks=[noting])
    else:
        again = greenmachine.evolve("nats-tss", **call, callbacks=[noting])
    assert noting.generations == [1, 2]
    assert again.tau == result.tau


READERS: dict[str, Any] = {
    "load_run": greenmachine.load_run,
    "report": greenmachine.report,
    "resume": lambda folder: greenmachine.Search.resume(folder),
    "proxy": lambda folder: greenmachine.score(nn.Conv2d(3, 4, 3), folder, shape=(2, 3, 8, 8)),
    "export": lambda folder: export_run(folder, folder / "proxy.py"),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_that_is_no_run_is_called_what_it_is(
    reader: str, result: greenmachine.Result, tmp_path: Path
) -> None:
    searched = tmp_path / "search"
    searched.mkdir()
    (searched / "result.json").write_text("{}")  # a search for networks leaves one
    shutil.copytree(result.folder, tmp_path / "seeds" / "seed-0")
    for folder, says in ((searched, "holds no run"), (tmp_path / "seeds", "seed-0")):
        with pytest.raises(RunError, match=says) as raised:
            READERS[reader](folder)
        assert "remove" not in str(raised.value) and "\n" not in str(raised.value)


def test_result_of_a_damaged_run(result: greenmachine.Result, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(result.folder, folder)
    opened = greenmachine.Result.open(folder)
    (folder / "checkpoint.json").write_text("[{")
    with pytest.raises(RunError, match="checkpoint.json"):
        _ = opened.history
    with pytest.raises(RunError, match="checkpoint.json"):
        _ = opened.hall_of_fame
    (folder / "result.json").write_text('{"best": {}}')
    with pytest.raises(RunError, match="damaged"):
        greenmachine.Result.open(folder)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ({"tasks": "nats-xyz"}, DataError, "no benchmark 'nats-xyz'"),
        ({"config": "missing.yaml"}, ConfigError, "cannot read missing.yaml"),
        ({"settings": {"evolution.populaton": 9}}, ConfigError, "there is no such setting"),
        ({"settings": {"evolution.population": "two"}}, ConfigError, "evolution.population"),
        ({"settings": {"evolution.seeds": ["nwott"]}}, ConfigError, "unknown proxy"),
        ({"settings": {"evolution.seeds": ["nwot"]}}, ConfigError, "is a function"),
        ({"settings": {"tasks": "nats-tss/svhn"}}, DataError, "svhn"),
        ({"seed": -1}, ConfigError, "seed"),
        ({"resume": "nowhere"}, RunError, "holds no run"),
        ({"resume": "nowhere", "seed": 1}, ConfigError, "give no"),
        ({"resume": "nowhere", "tasks": "nats-tss"}, RunError, "holds no run"),
    ],
)
def test_evolve_refuses_what_does_not_fit(
    call: dict[str, Any],
    error: type[Exception],
    says: str,
    synthetic_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says) as caught:
        greenmachine.evolve(**call)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_settings_are_left_as_they_were_given() -> None:
    evolution = {"population": 8, "elites": 1}
    config = greenmachine.Search(
        settings={"evolution": evolution, "evolution.generations": 3}
    ).settings
    assert (config.evolution.population, config.evolution.generations) == (8, 3)
    assert evolution == {"population": 8, "elites": 1}


def test_run_is_called_as_its_benchmark_and_takes_its_first_data_set(
    synthetic_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {key: value for key, value in SETTINGS.items() if key != "name"}
    settings |= {"capture.options": {}, "evolution.generations": 0, "seed": np.int64(4)}
    found = greenmachine.evolve("nats-sss", settings=settings, seed=3)
    assert found.folder == Path("runs/nats-sss-3")
    described = json.loads((found.folder / "config.json").read_text())["config"]
    assert (described["name"], described["tasks"]) == ("nats-sss", ["nats-sss/cifar10"])
    assert RunConfig(tasks="spaces/my_space.py:accuracies.csv").name == "my_space"


def test_networks_that_fail_are_warned_of_and_lines_are_written(
    synthetic_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    build = Benchmark.build

    def broken(self: Benchmark, index: int, dataset: str, **options: Any) -> nn.Module:
        if index % 2:
            raise RuntimeError("no such convolution")
        return build(self, index, dataset, **options)

    monkeypatch.setattr(Benchmark, "build", broken)
    settings = SETTINGS | {"evolution.generations": 0}
    with pytest.warns(UserWarning, match="of 12 cifar10 test networks failed"):
        greenmachine.evolve(settings=settings, out=tmp_path / "run", verbose=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "generation 0/0" in printed.err
    assert "no such convolution" in printed.err


SCRIPT = """
import greenmachine

result = greenmachine.evolve("nats-tss", settings={settings!r}, seed=1, out="run")
print("SCRIPT", result.best.expression)
"""


@pytest.mark.slow
def test_evolve_in_a_script_without_main_guard(result: greenmachine.Result, tmp_path: Path) -> None:
    """Workers must not run the script again."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(settings=SETTINGS | {"workers": 2}))
    done = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"SCRIPT {result.best.expression}\n"
    assert done.stderr == ""


# --- the package ----------------------------------------------------------------------------


def test_importing_a_module_does_not_import_them_all() -> None:
    code = (
        "import sys, greenmachine.errors, greenmachine\n"
        "assert greenmachine.__version__\n"
        "assert not {'torch', 'pandas', 'greenmachine.api'} & set(sys.modules)\n"
        "assert 'score' in dir(greenmachine)\n"
        "from greenmachine import *\n"
        "assert callable(score) and callable(rank) and callable(evolve)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = greenmachine.scores  # type: ignore[attr-defined]
