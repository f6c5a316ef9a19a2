"""Runs that maximise each objective, and runs by another accuracy of the table."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

import greenmachine
from greenmachine.benchmarks import load_benchmark
from greenmachine.errors import ConfigError, DataError, RunError
from greenmachine.evolution import Run, RunFolder
from greenmachine.fitness import Objective
from greenmachine.reports import write_report

from .conftest import Quiet, settings

SMALL: dict[str, Any] = {
    "passes": ["noise"],
    "samples": {"train": {"size": 40}, "validation": {"size": 40}, "test": {"size": 40}},
    "capture": {"batch": 2, "options": {}, "keep_signals": False},
    "evolution": {"population": 8, "generations": 1, "elites": 2, "brood": 2, "racing": 30},
}


def run(folder: Path, *tasks: str, **changes: Any) -> dict[str, Any]:
    config = settings(**{"tasks": list(tasks or ["digits-tss"]), **SMALL, **changes})
    return Run(config, folder, [], Quiet()).execute()


def champions(folder: Path, result: dict[str, Any], task: str) -> dict[str, tuple[Any, Any]]:
    """Return scores in the champion's direction, and accuracies, by sample."""
    frame = pd.read_parquet(folder / "scores.parquet")
    frame = frame[frame["dataset"] == task]
    return {
        str(name): (result["best"]["direction"] * part["champion"], part["accuracy"])
        for name, part in frame.groupby("sample")
    }


@pytest.mark.parametrize("scheme", ["spearman", "weighted_tau", "tau_of_best", "ndcg_of_best"])
def test_a_run_reports_its_objective_and_true_tau(
    tmp_path: Path, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(tmp_path / "run", objective={"scheme": scheme, "aggregate": "min"})
    objective = Objective.make(result["objective"])
    assert (objective.scheme, objective.aggregate) == (scheme, "min")
    best = result["best"]
    (famous, *_) = RunFolder(tmp_path / "run").hall()
    for sample, (scores, accuracy) in champions(tmp_path / "run", result, "digits").items():
        value, tau = objective.value(scores, accuracy), kendalltau(scores, accuracy).statistic
        assert best["objective"][sample]["digits"] == pytest.approx(value, abs=1e-6)
        assert best["tau"][sample]["digits"] == pytest.approx(tau, abs=1e-6)
        row = result[sample]["digits"]["champion"]
        assert (row["objective"], row["tau"]) == (
            best["objective"][sample]["digits"],
            best["tau"][sample]["digits"],
        )
        if sample == "test":
            assert value != pytest.approx(tau, abs=1e-3)
            continue
        assert famous.objective[sample] == pytest.approx([value])
        assert famous.tau[sample] == pytest.approx([tau])
        cost = objective.parsimony * famous.size
        assert getattr(famous, sample) == pytest.approx(value - cost)
    opened = greenmachine.Result.open(tmp_path / "run")
    assert opened.objective == best["objective"] and opened.tau == best["tau"]
    hall = opened.hall_of_fame
    assert hall.loc[1, f"validation.digits.{scheme}"] == famous.objective["validation"][0]
    assert hall.loc[1, "validation.digits"] == famous.tau["validation"][0]
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert f"{scheme} of the champion" in page and f"Fitness is {scheme}" in page
    again = Run.resume(tmp_path / "run", Quiet()).execute()
    assert again["best"] == best


def test_an_interrupted_run_of_another_objective_goes_on(tmp_path: Path) -> None:
    changes = {"objective": "ndcg_of_best", "evolution": {**SMALL["evolution"], "generations": 2}}
    config = settings(**{"tasks": ["digits-tss"], **SMALL, **changes})
    whole = Run(config, tmp_path / "whole", [], Quiet()).execute()
    with pytest.raises(KeyboardInterrupt):
        Run(config, tmp_path / "broken", [], Quiet(stop_after=1)).execute()
    resumed = Run.resume(tmp_path / "broken", Quiet()).execute()
    assert resumed["best"] == whole["best"]
    states = [RunFolder(tmp_path / name).checkpoint() for name in ("whole", "broken")]
    assert states[0] is not None and states[1] is not None
    assert states[0].search == states[1].search


def test_a_share_too_small_for_a_sample_is_refused_before_capture(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"samples\.train of digits: .*share"):
        run(tmp_path / "run", objective={"scheme": "tau_of_best", "share": 0.01})
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("synthetic_data")
def test_a_run_by_validation_accuracy(tmp_path: Path) -> None:
    result = run(
        tmp_path / "run",
        "nats-tss/cifar10",
        target="valid",
        capture={"options": {"cells": 1, "channels": 4}, "batch": 2},
    )
    assert result["targets"] == {"cifar10": "valid"}
    folder = RunFolder(tmp_path / "run")
    assert folder.description().config.target == "valid"
    assert folder.manifest().targets == {"cifar10": "valid"}
    frame = pd.read_parquet(tmp_path / "run" / "scores.parquet")
    table = load_benchmark("nats-tss").frame
    assert not np.array_equal(table["cifar10.valid"], table["cifar10.test"])
    assert set(frame["sample"]) == {"train", "validation", "test"}
    np.testing.assert_array_equal(frame["accuracy"], table["cifar10.valid"][frame["index"]])
    for sample, (scores, accuracy) in champions(tmp_path / "run", result, "cifar10").items():
        tau = kendalltau(scores, accuracy).statistic
        assert result["best"]["tau"][sample]["cifar10"] == pytest.approx(tau, abs=1e-6)
    assert "valid accuracies" in write_report(tmp_path / "run").read_text(encoding="utf-8")
    with pytest.raises(RunError, match="another run"):
        run(
            tmp_path / "run",
            "nats-tss/cifar10",
            capture={"options": {"cells": 1, "channels": 4}, "batch": 2},
        )


def test_the_target_is_test_unless_the_table_has_none(tmp_path: Path) -> None:
    config = settings(**{"tasks": ["digits-tss"], **SMALL})
    assert config.target == "auto"
    assert Run(config, tmp_path / "run", [], Quiet()).config.target == "test"


SPACE = """
import torch
from torch import nn
INPUT_SHAPE, NUM_CLASSES = (1, 6, 6), 3
def build(arch):
    width = int(arch)
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, 3))
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "space.py").write_text(SPACE)
    rows = [f"{w},{50 + w},{90 - w},{40 + w % 7},{'' if w == 3 else 30 + w}" for w in range(1, 31)]
    header = "arch,a.test,a.valid,a.test@12,a.valid@12\n"
    (tmp_path / "accuracies.csv").write_text(header + "\n".join(rows))
    return f"{tmp_path / 'space.py'}:{tmp_path / 'accuracies.csv'}"


def test_every_column_of_a_users_table_is_a_target(tmp_path: Path, own: str) -> None:
    benchmark = load_benchmark(own)
    assert benchmark.targets("a") == ["test", "valid", "test@12", "valid@12"]
    assert benchmark.with_target("valid").accuracy("a").tolist() == [90 - w for w in range(1, 31)]
    sizes = {"train": {"size": 8}, "validation": {"size": 8}, "test": {"size": 8}}
    evolution = {"population": 6, "generations": 0, "elites": 1, "hall_of_fame": 3}
    result = run(
        tmp_path / "run",
        own,
        target="test@12",
        samples=sizes,
        evolution=evolution,
        capture={"batch": 2, "options": {}},
    )
    (task,) = result["targets"]
    assert result["targets"][task] == "test@12"
    assert result["training"] == {}
    frame = pd.read_parquet(tmp_path / "run" / "scores.parquet")
    assert frame["accuracy"].tolist() == [40 + (i + 1) % 7 for i in frame["index"]]
    for sample in ("train", "validation", "test"):
        assert math.isfinite(result[sample][task]["params"]["tau"])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("valid@50", r"valid@50.*test, valid, test@12, valid@12"),
        ("tset", r"'tset'.*test, valid"),
        ("valid@12", r"a\.valid@12 is missing for 1 of 30"),
    ],
)
def test_a_target_that_the_table_lacks_is_refused(
    tmp_path: Path, own: str, target: str, message: str
) -> None:
    with pytest.raises(DataError, match=message) as raised:
        run(tmp_path / "run", own, target=target)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


PLUGIN = """
import greenmachine

@greenmachine.objective(greater_is_better=False)
def regret(scores, truth):
    return truth.max() - truth[scores.argmax()]
"""


def test_a_plugins_objective_is_named_in_settings(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN)
    (tmp_path / "run.yaml").write_text("objective: {scheme: regret, parsimony: 0.01}\n")
    known = dict(Objective.members)
    try:
        search = greenmachine.Search(
            "digits-tss",
            config=tmp_path / "run.yaml",
            plugins=[plugin],
            workers=1,
            **{key: SMALL[key] for key in ("passes", "samples", "evolution")},
        )
        result = search.run(tmp_path / "run")
        for sample, (scores, accuracy) in champions(
            tmp_path / "run", dict(result.facts), "digits"
        ).items():
            value = result.objective[sample]["digits"]
            first = accuracy[scores.idxmax()]
            assert value == pytest.approx(first - accuracy.max(), abs=1e-6)
        again = greenmachine.Search.resume(tmp_path / "run", plugins=[plugin]).run()
        assert again.facts["best"] == json.loads(json.dumps(result.facts["best"]))
    finally:
        Objective.members.clear()
        Objective.members.update(known)


@pytest.mark.data
def test_a_run_on_the_real_table_by_another_accuracy(
    tmp_path: Path, real_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENMACHINE_DATA", str(real_folder))
    result = run(
        tmp_path / "run",
        "nats-tss/cifar100",
        target="valid@12",
        capture={"options": {"cells": 1, "channels": 4}, "batch": 2},
        samples={"train": {"size": 8}, "validation": {"size": 8}, "test": {"size": 8}},
        evolution={"population": 6, "generations": 0, "elites": 1, "hall_of_fame": 3},
    )
    assert result["targets"] == {"cifar100": "valid@12"}
    frame = pd.read_parquet(tmp_path / "run" / "scores.parquet")
    table = load_benchmark("nats-tss", real_folder).frame
    np.testing.assert_array_equal(frame["accuracy"], table["cifar100.valid@12"][frame["index"]])
