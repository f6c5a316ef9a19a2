"""A run from settings to result on invented tables: resumable, deterministic, tidy."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy.stats import kendalltau

from greenmachine.benchmarks import Benchmark
from greenmachine.errors import ConfigError, DataError, RunError
from greenmachine.evolution import Run
from greenmachine.files import FolderKind, alone_in
from greenmachine.language import parse

from .conftest import Quiet, settings

pytestmark = pytest.mark.usefixtures("synthetic_data")

# What a warm cache, and an installed codecarbon, may change.
TIMES = {"seconds", "energy", "energy_kwh", "cache_hits", "cache_misses", "evaluated"}


def search_state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / "checkpoint.json").read_text())
    return state["search"]


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in TIMES}


@pytest.mark.parametrize("stop", [0, 2])
def test_resumed_run_equals_unbroken_run(
    finished: tuple[Path, Quiet, dict[str, Any]], tmp_path: Path, stop: int
) -> None:
    whole, listener, result = finished
    folder = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        Run(settings(), folder, [], Quiet(stop_after=stop)).execute()
    assert search_state(folder)["generation"] == stop
    again = Quiet()
    resumed = Run.resume(folder, again).execute()
    for name in ("primitives.csv", "scores.parquet"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert search_state(folder) == search_state(whole)
    assert without_times(resumed) == without_times(result)
    assert again.populations == listener.populations[stop + 1 :]
    assert [row["generation"] for row in again.rows] == list(range(stop + 1, 5))


def test_two_workers_give_the_same_run(
    finished: tuple[Path, Quiet, dict[str, Any]], tmp_path: Path
) -> None:
    whole, _, result = finished
    parallel = Run(settings(workers=2), tmp_path / "two", [], Quiet()).execute()
    assert search_state(tmp_path / "two") == search_state(whole)
    assert without_times(parallel) == without_times(result)


def test_another_seed_gives_another_run(
    finished: tuple[Path, Quiet, dict[str, Any]], tmp_path: Path
) -> None:
    other = Quiet()
    Run(settings(seed=4, evolution={"generations": 0}), tmp_path / "run", [], other).execute()
    assert other.populations[0] != finished[1].populations[0]


def test_folder_holds_what_the_design_names(
    finished: tuple[Path, Quiet, dict[str, Any]],
) -> None:
    folder, listener, result = finished
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["seed"] == 3
    assert len(manifest["benchmarks"][0]["sha256"]) == 64
    assert manifest["packages"]["torch"]
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["generation"]) for row in rows] == [0, 1, 2, 3, 4]
    assert [float(row["best"]) for row in rows] == [row["best"] for row in listener.rows]
    hall = json.loads((folder / "hall_of_fame.json").read_text())
    assert [f["validation"] for f in hall] == sorted((f["validation"] for f in hall), reverse=True)
    written = json.loads((folder / "result.json").read_text())
    assert written.items() >= result.items()
    assert written.keys() - result.keys() == {"format", "files", "sha256"}
    best = result["best"]
    assert best["expression"] == hall[0]["expression"]
    assert parse(best["expression"]).size == best["size"]
    assert set(result["test"]["cifar10"]) == {"champion", "params", "flops", "convolutions"}
    assert result["test"]["cifar10"]["champion"]["networks"] == 24
    assert not list(folder.rglob("*.tmp"))


def test_scores_are_those_that_the_result_tells_of(
    finished: tuple[Path, Quiet, dict[str, Any]],
) -> None:
    folder, _, result = finished
    split = Run.resume(folder, Quiet()).task_sets[0].split
    scores = pd.read_parquet(folder / "scores.parquet")
    assert set(scores["dataset"]) == {"cifar10"}
    for sample, indices in vars(split).items():
        part = scores[scores["sample"] == sample]
        assert part["index"].tolist() == indices.tolist()
        for name, row in result[sample]["cifar10"].items():
            tau = kendalltau(part[name], part["accuracy"]).statistic
            if name == "champion":
                tau *= result["best"]["direction"]
            assert abs(tau) == pytest.approx(abs(row["tau"]), abs=1e-6)
            assert name != "champion" or tau == pytest.approx(row["tau"], abs=1e-6)


def test_words_are_those_of_the_populations(
    finished: tuple[Path, Quiet, dict[str, Any]],
) -> None:
    folder = finished[0]
    words = pd.read_csv(folder / "primitives.csv")
    assert words["generation"].tolist() == [0, 1, 2, 3, 4]
    assert words["population"].tolist() == [16] * 5
    trees = [parse(saved["tree"]) for saved in search_state(folder)["population"]]
    used = Counter(op for tree in trees for op in {node.op for node in tree.walk()})
    last = words.iloc[-1].drop(["generation", "population"])
    assert {name: count for name, count in last.items() if count} == {
        name: count for name, count in used.items() if name[0].isalpha()
    }


def test_no_function_is_in_two_samples(
    finished: tuple[Path, Quiet, dict[str, Any]],
) -> None:
    (task_set,) = Run.resume(finished[0], Quiet()).task_sets
    found = [set(task_set.benchmark.functions[s]) for s in vars(task_set.split).values()]
    assert len(found) == 3
    assert len(set.union(*found)) == sum(len(functions) for functions in found)


def test_best_never_falls_and_no_text_stands_twice(
    finished: tuple[Path, Quiet, dict[str, Any]],
) -> None:
    _, listener, _ = finished
    best = [row["best"] for row in listener.rows]
    assert best == sorted(best)
    validated = [row["best_validation"] for row in listener.rows]
    assert validated == sorted(validated)
    for texts in listener.populations:
        assert len(texts) == 16
        assert len(set(texts)) == len(texts)


def test_signals_go_when_the_run_is_done(tmp_path: Path) -> None:
    config = settings(capture={"keep_signals": False}, evolution={"generations": 0})
    Run(config, tmp_path / "run", [], Quiet()).execute()
    assert not (tmp_path / "run" / "signals").exists()


@pytest.mark.slow
def test_several_data_sets_and_the_data_pass(tmp_path: Path) -> None:
    config = settings(
        tasks=["nats-tss/cifar10", "nats-tss/imagenet16-120"],
        passes=["data", "ones"],
        evolution={"generations": 1},
        objective={"aggregate": "min"},
    )
    result = Run(config, tmp_path / "run", [], Quiet()).execute()
    assert set(result["best"]["tau"]["train"]) == {"cifar10", "imagenet16-120"}
    assert set(result["test"]) == {"cifar10", "imagenet16-120"}


def test_folder_of_another_run_is_refused(
    finished: tuple[Path, Quiet, dict[str, Any]],
) -> None:
    with pytest.raises(RunError, match="another run"):
        Run(settings(seed=9), finished[0], [], Quiet()).execute()


def test_damaged_checkpoint_is_refused(
    finished: tuple[Path, Quiet, dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    (folder / "result.json").unlink()
    (folder / "checkpoint.json").write_text('{"search": {"generation": 1')
    with pytest.raises(RunError, match="damaged"):
        Run.resume(folder, Quiet()).execute()


def test_two_commands_on_one_folder_are_refused(tmp_path: Path) -> None:
    other = alone_in(tmp_path, FolderKind.RUN)
    with other, pytest.raises(RunError, match="another command is working"):
        Run(settings(), tmp_path, [], Quiet()).execute()


def test_finished_run_is_not_run_again(finished: tuple[Path, Quiet, dict[str, Any]]) -> None:
    listener = Quiet()
    assert Run.resume(finished[0], listener).execute() == finished[2]
    assert listener.rows == []
    assert "is finished" in listener.lines[-1]


def test_run_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"config": {"old_setting": 1}, "seeds": []}')
    with pytest.raises(RunError, match="another version"):
        Run.resume(tmp_path, Quiet())


def test_failing_networks_are_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Benchmark.build

    def broken(self: Benchmark, index: int, dataset: str, **options: Any) -> Any:
        if index % 3 == 0:
            raise RuntimeError("no such convolution")
        return build(self, index, dataset, **options)

    monkeypatch.setattr(Benchmark, "build", broken)
    listener = Quiet()
    config = settings(evolution={"generations": 1})
    run = Run(config, tmp_path / "run", [], listener)
    result = run.execute()
    failing = sum(index % 3 == 0 for index in run.task_sets[0].indices("train"))
    assert 0 < failing < 10
    assert f"{failing} of 20 cifar10 train networks failed" in "\n".join(listener.lines)
    assert "no such convolution" in "\n".join(listener.lines)
    expected = sum(index % 3 == 0 for index in run.task_sets[0].indices("test"))
    assert result["test"]["cifar10"]["champion"]["failed"] == expected


def test_resume_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        Run.resume(tmp_path, Quiet())


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"tasks": "nats-xyz"}, DataError, "nats-tss"),
        ({"tasks": "nats-tss/svhn"}, DataError, "svhn"),
        ({"samples": {"train": {"size": 10_000}}}, ConfigError, "train"),
        ({"samples": {"train": {"size": "rest"}}}, ConfigError, "samples.train.size"),
        ({"language": {"exclude": ["sum_layer"]}}, ConfigError, "sum_layer"),
        ({"capture": {"options": {"cell": 1}}}, ConfigError, "cell"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    changes: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        Run(settings(**changes), tmp_path / "run", [], Quiet()).execute()


def test_seed_outside_the_language_is_refused(tmp_path: Path) -> None:
    seed = parse("sum_layers(l2_norm(data_weight_grad))")
    with pytest.raises(ConfigError, match="data_weight_grad"):
        Run(settings(), tmp_path / "run", [seed], Quiet())
