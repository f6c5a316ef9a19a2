"""Trackers write what the run has found, read back by the tools' own readers.

Each is tested where its package is installed; ``pip install 'greenmachine[mlflow,wandb]'`` for all.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import greenmachine
from greenmachine.callbacks import Callback, MLflow, RunInfo, TensorBoard, WandB
from tests.cli.conftest import RUN, command

from .conftest import SETTINGS, Noting

PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}
INSTALLED = {name for name, module in PACKAGES.items() if importlib.util.find_spec(module)}
needs = {
    name: pytest.mark.skipif(name not in INSTALLED, reason=f"{name} is not installed")
    for name in PACKAGES
}


def trackers(place: Path) -> list[Callback]:
    every: list[Callback] = [
        TensorBoard(),
        MLflow(uri=f"sqlite:///{place}/mlflow.db", experiment="tiny"),
        WandB(project="tiny"),
    ]
    return [tracker for tracker in every if tracker.scheme in INSTALLED]


@pytest.fixture(scope="module")
def stopped_and_resumed(
    synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[greenmachine.Result, str]:
    """A run that was stopped after generation 1 and resumed; how MLflow had it in between."""
    place = tmp_path_factory.mktemp("trackers")
    folder = place / "run"
    last = Noting(interrupt=1)
    with pytest.raises(KeyboardInterrupt):
        greenmachine.evolve(settings=SETTINGS, out=folder, callbacks=[*trackers(place), last])
    status = mlflow_run(place).info.status if "mlflow" in INSTALLED else ""
    return greenmachine.evolve(resume=folder), status


def mlflow_client(place: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{place}/mlflow.db")


def mlflow_run(place: Path, experiment: str = "tiny") -> Any:
    client = mlflow_client(place)
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return run


def final_taus(result: greenmachine.Result) -> dict[str, float]:
    return {
        f"tau/{sample}/{dataset}": tau
        for sample, row in result.tau.items()
        for dataset, tau in row.items()
    }


@needs["tensorboard"]
def test_tensorboard_has_each_generation_once(
    stopped_and_resumed: tuple[greenmachine.Result, str],
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    result, _ = stopped_and_resumed
    assert len(list((result.folder / "tensorboard").iterdir())) == 2
    reader = EventAccumulator(str(result.folder / "tensorboard"))
    reader.Reload()
    for column in result.history.columns.drop("generation"):
        events = reader.Scalars(column)
        assert [event.step for event in events] == [0, 1, 2], column
        values = [event.value for event in events]
        assert values == pytest.approx(result.history[column].tolist(), rel=1e-5)
    for name, tau in final_taus(result).items():
        (event,) = reader.Scalars(name)
        assert event.value == pytest.approx(tau, abs=1e-6)
    texts = reader.Tensors("champion/text_summary")
    assert result.best.expression.encode() in texts[-1].tensor_proto.string_val[0]
    data = reader.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    stored = plugin_data_pb2.HParamsPluginData.FromString(data).session_start_info.hparams
    assert stored["evolution.population"].number_value == 8


@needs["mlflow"]
def test_mlflow_continues_one_run(stopped_and_resumed: tuple[greenmachine.Result, str]) -> None:
    result, status = stopped_and_resumed
    assert status == "KILLED"
    place = result.folder.parent
    run, client = mlflow_run(place), mlflow_client(place)
    assert run.info.status == "FINISHED"
    for column in result.history.columns.drop("generation"):
        logged = client.get_metric_history(run.info.run_id, column)
        assert [metric.step for metric in logged] == [0, 1, 2], column
        assert [metric.value for metric in logged] == result.history[column].tolist()
    for name, tau in final_taus(result).items():
        assert run.data.metrics[name] == tau
    assert run.data.params["evolution.population"] == "8"
    assert run.data.tags["champion"] == result.best.expression
    assert run.data.tags["direction"] == str(result.best.direction)


def records(path: Path) -> Iterator[Any]:
    """Read what W&B stored in a file: its own messages, in the log format of LevelDB.

    https://github.com/google/leveldb/blob/main/doc/log_format.md; the package brings no reader.
    """
    from wandb.proto import wandb_internal_pb2

    content, at, message = path.read_bytes(), 7, b""  # after the header of W&B
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:  # the trailer of a block
            at += 32768 - at % 32768
        length, kind = struct.unpack_from("<HB", content, at + 4)
        message += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(message)
            message = b""


def values(items: Any) -> dict[str, Any]:
    return {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items}


@needs["wandb"]
def test_wandb_writes_offline(stopped_and_resumed: tuple[greenmachine.Result, str]) -> None:
    result, _ = stopped_and_resumed
    files = sorted((result.folder / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2
    assert len({path.name for path in files}) == 1  # one run of W&B
    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    config: dict[str, Any] = {}
    codes = []
    for record in records(files[-1]):
        if record.HasField("history"):
            rows.append(values(record.history.item))
        if record.HasField("exit"):
            codes.append(record.exit.exit_code)
        config |= values(record.run.config.update)
        summary |= values(record.summary.update)
    assert [row["_step"] for row in rows] == [0, 1, 2]
    for column in result.history.columns.drop("generation"):
        assert [row[column] for row in rows] == result.history[column].tolist()
    assert summary["champion"] == result.best.expression
    for name, tau in final_taus(result).items():
        assert summary[name] == tau
    assert config["evolution"]["population"] == 8
    assert codes == [0]
    assert [r.exit.exit_code for r in records(files[0]) if r.HasField("exit")] == [1]


@needs["mlflow"]
@pytest.mark.usefixtures("synthetic_data")
def test_signal_closes_the_run_of_a_tracker(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    words = ["evolve", "run.yaml", "--out", "run", "--set", "evolution.generations=500"]
    process = subprocess.Popen(
        command(*words, "--callback", "mlflow"), cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "MLFLOW_TRACKING_URI": ""},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoint.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert "Traceback" not in errors
    run = mlflow_run(tmp_path, "greenmachine")
    assert run.info.status == "KILLED"
    assert "best" in run.data.metrics or run.data.params["seed"] == "1"


@pytest.mark.parametrize("name", sorted(INSTALLED))
def test_tracker_that_is_added_late_gets_the_whole_history(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a run: what trackers do with a history, and that it may be closed twice."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "run").mkdir()
    tracker = Callback.make(name)
    logged: list[int] = []
    log = type(tracker).log
    monkeypatch.setattr(
        type(tracker),
        "log",
        lambda self, values, step: (logged.append(step), log(self, values, step)),
    )
    history = [{"generation": n, "best": 0.1 * n} for n in range(3)]
    run = RunInfo({"seed": 1}, tmp_path / "run", "today", history)
    tracker.on_start(run)
    assert logged == [0, 1, 2]
    tracker.on_stop(ValueError())
    tracker.on_stop(ValueError())
    tracker.on_start(run)
    tracker.on_end({"best": {"tau": {"test": {"cifar10": 0.5, "cifar100": None}}}})
    assert logged[-1] == 2  # also where the run was resumed after its last generation
