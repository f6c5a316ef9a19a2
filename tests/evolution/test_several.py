"""One run over several benchmarks and data sets: tasks, stand-ins, files, resumption."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kendalltau

from greenmachine.api import Result
from greenmachine.config import RunConfig, load_config
from greenmachine.errors import ConfigError, DataError, RunError
from greenmachine.evolution import Run
from greenmachine.evolution.evaluators import SampleEvaluators
from greenmachine.evolution.run_folder import RunFolder
from greenmachine.files import read_json
from greenmachine.language import parse
from greenmachine.reports import write_comparison, write_report
from greenmachine.signals.network_capture import CaptureSpec, cached_benchmark, capture_network
from tests.reports.conftest import Page
from tests.sealed import edit

from .conftest import Quiet

BOTH = ("digits-tss", "digits-sss")
TASKS = ["digits-tss/digits", "digits-sss/digits"]
SMALL: dict[str, Any] = {
    "tasks": BOTH,
    "seed": 3,
    "workers": 1,
    "passes": ["noise"],
    "samples": {"train": {"size": 10}, "validation": {"size": 8}, "test": {"size": 12}},
    "capture": {"batch": 2, "options": {"cells": 1, "channels": 4}},
    "evolution": {"population": 8, "generations": 1, "elites": 2},
    "selection": "lexicase",
}
SPACE = """
from torch import nn

INPUT_SHAPE = (4,)


def build(arch):
    return nn.Sequential(nn.Linear(4, int(arch)), nn.ReLU(), nn.Linear(int(arch), 3))
"""
DATASETS = ("cifar10", "cifar100")
CIFARS = {"tasks": [f"nats-tss/{name}" for name in DATASETS]}
STAND_IN = {"capture.stand_in": {"cifar100": "cifar10"}}
TIMES = {"seconds", "energy", "energy_kwh", "cache_hits", "cache_misses", "evaluated"}


def small(**changes: Any) -> RunConfig:
    return load_config(None, {**SMALL, **changes})


def search_state(folder: Path) -> Any:
    return read_json(folder / "checkpoint.json")["search"]


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in TIMES}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run of both embedded benchmarks: its folder and its result."""
    folder = tmp_path_factory.mktemp("several") / "whole"
    return folder, Run(small(), folder, [], Quiet()).execute()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, stopped in its first generation."""
    folder = tmp_path_factory.mktemp("several") / "stopped"
    with pytest.raises(KeyboardInterrupt):
        Run(small(), folder, [], Quiet(stop_after=0)).execute()
    return folder


def test_result_tells_of_every_benchmark(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, result = whole
    assert result == RunFolder(folder).result()
    assert result["benchmarks"] == list(BOTH)
    assert result["tasks"] == TASKS
    assert result["name"] == "digits-tss+digits-sss"
    assert result["samples"]["test"] == {"digits-tss": 12, "digits-sss": 12}
    for sample in ("train", "validation", "test"):
        assert list(result[sample]) == list(result["best"]["tau"][sample]) == TASKS
    config = read_json(folder / "config.json")["config"]
    assert config["tasks"] == TASKS
    manifest = read_json(folder / "manifest.json")
    checksums = [cached_benchmark(name).checksum for name in BOTH]
    assert [b["sha256"] for b in manifest["benchmarks"]] == checksums
    assert [len(own) for own in manifest["samples"]["train"].values()] == [10, 10]


def test_scores_are_those_that_the_result_tells_of(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, result = whole
    scores = pd.read_parquet(folder / "scores.parquet")
    assert set(zip(scores["task"], scores["benchmark"], scores["dataset"], strict=True)) == {
        (f"{name}/digits", name, "digits") for name in BOTH
    }
    taus = []
    for task_set in Run.resume(folder, Quiet()).task_sets:
        for sample, indices in vars(task_set.split).items():
            part = scores[(scores["benchmark"] == task_set.name) & (scores["sample"] == sample)]
            assert part["index"].tolist() == indices.tolist()
            truth = task_set.benchmark.accuracy("digits")[indices]
            assert part["accuracy"].tolist() == truth.tolist()
            tau = kendalltau(result["best"]["direction"] * part["champion"], truth).statistic
            assert tau == pytest.approx(
                result[sample][f"{task_set.name}/digits"]["champion"]["tau"], abs=1e-6
            )
            taus += [tau] if sample == "validation" else []
    # The fitness is the mean over the tasks.
    champion = read_json(folder / "hall_of_fame.json")[0]
    node = load_config(None).objective.parsimony
    assert np.mean(taus) - node * champion["size"] == pytest.approx(champion["validation"])


def test_resumed_and_with_two_workers_it_is_the_same_run(
    whole: tuple[Path, dict[str, Any]], stopped: Path, tmp_path: Path
) -> None:
    folder, result = whole
    again = tmp_path / "again"
    shutil.copytree(stopped, again)
    resumed = Run.resume(again, Quiet(), config=small(workers=2)).execute()
    assert without_times(resumed) == without_times(result)
    assert search_state(again) == search_state(folder)
    for name in ("primitives.csv", "scores.parquet"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("place", [0, 1])
def test_changed_data_of_any_benchmark_stop_a_resumed_run(
    whole: tuple[Path, dict[str, Any]], tmp_path: Path, place: int
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)
    path = folder / "manifest.json"
    edit(path, lambda manifest: manifest["benchmarks"][place].update(sha256="0"))
    with pytest.raises(RunError, match=rf"the data changed .* \({BOTH[place]}\)"):
        Run.resume(folder, Quiet()).execute()
    edit(path, lambda manifest: manifest["benchmarks"][place].update(sha256=0))
    with pytest.raises(RunError, match=r"manifest.json is damaged"):
        Run.resume(folder, Quiet()).execute()


def test_reports_results_and_exports_read_its_folder(
    whole: tuple[Path, dict[str, Any]], stopped: Path, tmp_path: Path
) -> None:
    folder, facts = whole
    for run in (folder, stopped):
        page = Page(write_report(run, tmp_path / "report.html"))
        assert "digits-tss + digits-sss, digits" in page.text
        assert all(f"Kendall's τ on {task}" in page.text for task in TASKS)
    compared = Page(write_comparison([folder, stopped], tmp_path / "both.html"))
    assert all(task in compared.text for task in TASKS)
    result = Result.open(folder)
    assert result.tau == facts["best"]["tau"]
    assert list(dict.fromkeys(result.test.index.get_level_values("dataset"))) == TASKS
    assert {f"train.{task}" for task in TASKS} < set(result.hall_of_fame.columns)
    for rank in (1, 2):
        path = result.export(tmp_path / "proxy.py", rank=rank, exact=True)
        known = read_json(path.with_suffix(".json"))
        assert set(known["tau"]["train"]) == set(TASKS)
        assert "20 train, 16 validation, 24 test" in path.read_text()


def test_own_networks_beside_an_embedded_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    lines = [f"{width},{20 + width}" for width in range(2, 42)]
    (tmp_path / "acc.csv").write_text("\n".join(["arch,accuracy", *lines]) + "\n")
    monkeypatch.chdir(tmp_path)
    samples = {name: {"size": "auto"} for name in ("train", "validation", "test")}
    config = small(
        tasks=["space.py:acc.csv", "digits-sss"],
        samples=samples,
        **{"capture.options": {}, "evolution.generations": 1, "evolution.racing": 4},
    )
    run = Run(config, tmp_path / "run", [], Quiet())
    assert run.config.datasets == ("own", "digits")
    result = run.execute()
    assert result["tasks"] == ["space.py:acc.csv/own", "digits-sss/digits"]
    assert result["samples"]["train"] == {"space.py:acc.csv": 16, "digits-sss": 16}
    # Own networks have no number of convolutions: no row of it, and no empty chart.
    assert set(result["test"]["space.py:acc.csv/own"]) == {"champion", "params", "flops"}
    assert "space.py:acc.csv/own" in Page(write_report(tmp_path / "run")).text


def test_a_stand_in_saves_capture_and_leaves_test_alone(
    synthetic_data: Path, tmp_path: Path
) -> None:
    keep = {"capture.keep_signals": True, "evolution.generations": 0}
    run = Run(small(**CIFARS, **STAND_IN, **keep), tmp_path / "run", [], Quiet())
    result = run.execute()
    names = {path.name for path in (tmp_path / "run" / "signals").iterdir()}
    assert names == {"cifar10-train", "cifar10-validation"}
    scores = pd.read_parquet(tmp_path / "run" / "scores.parquet")
    own = {name: part.set_index(["sample", "index"]) for name, part in scores.groupby("dataset")}
    for sample in ("train", "validation"):
        judged = [own[name].loc[sample, "champion"] for name in DATASETS]
        assert judged[0].equals(judged[1])
    assert result["train"]["cifar10"] != result["train"]["cifar100"]  # other accuracies
    assert (
        "networks of cifar10 replace those of cifar100" in Page(write_report(tmp_path / "run")).text
    )
    # On test the networks for CIFAR-100 speak for themselves: their last layer is wider.
    evaluators = SampleEvaluators(run.config, run.task_sets, [], tmp_path / "signals", Quiet())
    widest = parse("last_layer(numel(weight))")
    ten, hundred = (evaluators.test_scores(widest, run.task_sets[0], d) for d in DATASETS)
    assert hundred.tolist() == (10 * ten).tolist()


def test_a_stand_in_for_one_of_several_benchmarks(synthetic_data: Path, tmp_path: Path) -> None:
    spaces = {
        "tasks": [f"{space}/{name}" for space in ("nats-tss", "nats-sss") for name in DATASETS]
    }
    one = {"capture.stand_in": {"nats-tss/cifar100": "cifar10"}}
    run = Run(small(**(CIFARS | spaces | one)), tmp_path / "run", [], Quiet())
    assert [dict(task_set.sources) for task_set in run.task_sets] == [
        {"cifar10": "cifar10", "cifar100": "cifar10"},
        {"cifar10": "cifar10", "cifar100": "cifar100"},
    ]


def test_networks_that_stand_for_others_differ_in_the_last_layer_alone(
    synthetic_data: Path,
) -> None:
    """What ``capture.stand_in`` rests on, forwards; gradients start from other outputs."""
    terminals = ("noise_input", "noise_norm_output", "noise_output", "noise_weight_grad", "weight")
    benchmark = cached_benchmark("nats-tss")
    index = int(np.argmax(benchmark.accuracy("cifar10")))
    captured = []
    for dataset in DATASETS:
        spec = CaptureSpec(
            "nats-tss", dataset, terminals, batch=2, options={"cells": 1, "channels": 4}
        )
        layers = capture_network(benchmark, index, spec)
        assert isinstance(layers, list)
        captured.append(layers)
    ten, hundred = captured
    assert len(ten) == len(hundred) > 5
    for ours, theirs in zip(ten[:-1], hundred[:-1], strict=True):
        for name in set(terminals) - {"noise_weight_grad"}:
            assert torch.equal(ours.signals[name], theirs.signals[name])
    assert torch.equal(ten[-1].signals["noise_input"], hundred[-1].signals["noise_input"])
    assert [len(layers[-1].signals["weight"]) for layers in captured] == [10, 100]
    pairs = [
        (a.signals["noise_weight_grad"], b.signals["noise_weight_grad"])
        for a, b in zip(ten[:-1], hundred[:-1], strict=True)
    ]
    assert not all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"tasks": ["digits-tss", "digits-tss"]}, ConfigError, "lexicase needs several"),
        ({"tasks": ["digits-tss", "nats-xyz"]}, DataError, "no benchmark 'nats-xyz'"),
        ({"tasks": ["nats-tss", "digits-tss/cifar10"]}, DataError,
         "digits-tss has no data set 'cifar10'; it has digits"),
        ({"tasks": "digits-tss"}, ConfigError, "lexicase needs several data sets"),
        ({"capture.options": {"cell": 1}}, ConfigError, "no build option 'cell'"),
        (CIFARS | STAND_IN | {"passes": ["noise", "data"]}, ConfigError, "leave data out"),
        (CIFARS | {"capture.stand_in": {"cifar100": "svhn"}}, ConfigError, "svhn is not among"),
        (CIFARS | {"capture.stand_in": {"cifar10": "cifar10"}}, ConfigError, "stand-in itself"),
        (CIFARS | {"tasks": ["nats-tss/cifar10", "nats-tss/imagenet16-120"],
                   "capture.stand_in": {"imagenet16-120": "cifar10"}}, ConfigError,
         "are (3, 16, 16), and those of"),
        ({"tasks": ["nats-tss/cifar10", "digits-tss/digits"],
          "capture.stand_in": {"digits": "cifar10"}}, ConfigError,
         "digits-tss has digits, but not cifar10"),
        (CIFARS | {"capture.stand_in": {"nats-sss/cifar100": "cifar10"}}, ConfigError,
         "but not nats-sss"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(
    changes: dict[str, Any],
    error: type[Exception],
    says: str,
    synthetic_data: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(error) as raised:
        Run(small(**changes), tmp_path / "run", [], Quiet()).execute()
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_run_of_one_benchmark_is_as_it_was_recorded(tmp_path: Path) -> None:
    """A change that is not meant to alter results does not alter them.

    Where one is, put the ``result.json`` that this test leaves in place of the recorded one,
    without its times. Seed 6 gives this result with ``ONEDNN_MAX_CPU_ISA=SSE41`` and ``AVX2`` and
    with ``ATEN_CPU_CAPABILITY=default`` too. Some seeds find proxies that consist of rounding, and
    these differ between processors.
    """
    recorded = read_json(Path(__file__).parent / "recorded" / "digits_tss.json")
    config = small(
        tasks=["digits-tss"],
        seed=6,
        selection="tournament",
        **{
            "capture.options": {},
            "evolution": {
                "population": 12,
                "generations": 3,
                "elites": 2,
                "hall_of_fame": 5,
                "brood": 1,
                "tune": 0,
            },
        },
    )
    found = without_times(Run(config, tmp_path / "run", [], Quiet()).execute())
    assert found.keys() == recorded.keys() | {"until", "objective", "targets"}
    assert found["best"]["expression"] == recorded["best"]["expression"]
    for sample in ("train", "validation", "test"):
        for name, row in recorded[sample]["digits"].items():
            row = {"objective": row["tau"], **row}
            assert found[sample]["digits"][name] == pytest.approx(row, abs=1e-6)
    for key in ("benchmarks", "tasks", "samples", "individuals", "generations", "training"):
        assert found[key] == recorded[key]
    assert read_json(tmp_path / "run" / "manifest.json")["tasks"] == ["digits"]
    scores = pd.read_parquet(tmp_path / "run" / "scores.parquet")
    assert set(scores["task"]) == {"digits"}
    assert set(scores["benchmark"]) == {"digits-tss"}
