"""Searches for networks: the same however they are run, stopped and shared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

import greenmachine
from greenmachine.benchmarks import SPACES, load_benchmark
from greenmachine.errors import ConfigError, DataError
from greenmachine.evaluation import capture_spec
from greenmachine.networks import parse_101
from greenmachine.search.enumeration import enumerate_space
from greenmachine.search.samplers import RegularisedEvolution
from tests.search.small_space import SPACE


@pytest.mark.parametrize("name", SPACES)
def test_every_space_suggests_its_own_architectures(name: str) -> None:
    space, seen = SPACES[name], set()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        arch = space.suggest(study.ask())
        if arch is None:
            assert name == "nas-bench-101"
            continue
        seen.add(arch)
        params, _ = space.costs([arch], num_classes=10, image_size=16, **space.options)
        assert params[0] > 0
        if name == "nas-bench-101":
            assert len(parse_101(arch).edges) <= 9
    assert len(seen) > 3


def test_the_enumeration_has_every_architecture_once(space: Path) -> None:
    own = load_benchmark(str(space)).space.suggest
    assert len({tuple(sorted(p.items())) for p in enumerate_space(own)}) == 3 + 9
    assert sum(1 for _ in enumerate_space(SPACES["nas-bench-macro"].suggest)) == 3**8


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(space: Path) -> None:
    results = [
        greenmachine.search_networks(
            ["nwot_inputs", "params"], on=str(space), trials=12, ask=4, workers=workers
        )
        for workers in (1, 2)
    ]
    pd.testing.assert_frame_equal(results[0].trials, results[1].trials)
    assert (results[0].trials["state"] == "scored").all()


def test_nothing_is_scored_twice(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import greenmachine.search.evaluator as module

    seen: list[str] = []
    score = module.score_arch

    def noted(spec: object, columns: list[object], arch: str, folder: Path) -> object:
        seen.extend([arch] if columns else [])
        return score(spec, columns, arch, folder)

    monkeypatch.setattr(module, "score_arch", noted)
    result = greenmachine.search_networks("nwot_inputs", on=str(space), trials=40, sampler="random")
    assert len(result.trials) == 40 and len(seen) == len(set(seen)) == len(result.best) > 5


def test_scores_are_those_of_the_score_command(synthetic_folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("GREENMACHINE_DATA", str(synthetic_folder))
    result = greenmachine.search_networks("nwot", on="digits-sss", trials=4, sampler="random")
    benchmark = load_benchmark("digits-sss")
    from greenmachine.evaluation import score_networks

    spec = capture_spec("digits-sss", "digits", [], batch=8, seed=0, options={})
    known = result.trials.dropna(subset="index")
    for row in known.itertuples():
        frame = score_networks({"nwot": "nwot"}, spec, [int(row.index)], workers=1)
        assert frame["nwot"][0] == row.nwot
    assert len(benchmark) > 0


def test_the_exhaustive_search_finds_the_best_of_the_space(space: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    result = greenmachine.search_networks(
        [f"max:{space.parent}/costs.py:layers", "params"],
        on=str(space),
        sampler="exhaustive",
        out=out,
    )
    assert len(result.trials) == 12
    assert list(result.front["arch"]) == ["2-2", "2"]
    assert {path.name for path in out.iterdir()} >= {
        "result.json",
        "trials.parquet",
        "trials.csv",
        "front.svg",
        "report.html",
    }
    facts = json.loads((out / "result.json").read_text())
    assert facts["trials"]["scored"] == 12 and len(facts["front"]) == 2
    assert "2-2" in (out / "report.html").read_text()


def test_truth_is_that_of_the_table(
    synthetic_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENMACHINE_DATA", str(synthetic_folder))
    benchmark = load_benchmark("nats-sss")
    accuracy = benchmark.accuracy("cifar10")
    result = greenmachine.search_networks(
        "accuracy", on="nats-sss", sampler="exhaustive", trials=100
    )
    known = result.trials[result.trials["state"] == "scored"]
    assert 5 < len(known) < 100
    for row in known.itertuples():
        index = benchmark.index_of(row.arch)
        assert row.accuracy == accuracy[index]
        assert row.regret == accuracy.max() - accuracy[index]
        assert row.rank == 1 + (accuracy > accuracy[index]).sum()
    assert result.best["rank"].is_monotonic_increasing


def test_constraints_are_kept() -> None:
    result = greenmachine.search_networks(
        "synflow",
        on="digits-sss",
        constraints=["params<=3000", "synflow>=1"],
        trials=15,
        sampler="random",
    )
    scored = result.trials[result.trials["state"] == "scored"]
    assert len(scored) == 15 and (scored["params"] <= 3000).all() and (scored["synflow"] >= 1).all()
    assert (result.trials["state"] == "not allowed").sum() > 0


def test_evolution_mutates_one_parameter_of_a_young_parent() -> None:
    space = SPACES["sss"].suggest
    study = optuna.create_study(
        sampler=RegularisedEvolution(population=5, sample=2, seed=1), direction="maximize"
    )
    archs: list[list[str]] = []
    for _ in range(40):
        trial = study.ask()
        archs.append(space(trial).split(":"))
        study.tell(trial, sum(map(int, archs[-1])))
    for place in range(5, 40):
        differ = [
            sum(a != b for a, b in zip(archs[place], old, strict=True))
            for old in archs[place - 5 : place]
        ]
        assert 1 in differ
    assert np.mean([sum(map(int, a)) for a in archs[-10:]]) > np.mean(
        [sum(map(int, a)) for a in archs[:5]]
    )


def test_a_space_without_suggestion_is_refused(space: Path) -> None:
    space.write_text(SPACE.replace("def suggest", "def other"))
    with pytest.raises(DataError):
        greenmachine.search_networks("nwot", on=str(space))


def test_a_space_without_a_table_is_for_the_search_alone(space: Path) -> None:
    with pytest.raises(DataError):
        load_benchmark(str(space)).accuracy("images")


def test_a_part_of_a_space_is_searched(space: Path, tmp_path: Path) -> None:
    def narrow(trial: optuna.Trial) -> str:
        return f"{trial.suggest_categorical('width', [2, 4])}"

    storage = f"sqlite:///{tmp_path}/study.db"
    settings = {"on": str(space), "sampler": "exhaustive", "storage": storage}
    result = greenmachine.search_networks("params", suggest=narrow, **settings)
    assert list(result.best["arch"]) == ["2", "4"]
    with pytest.raises(ConfigError):
        greenmachine.search_networks("params", **settings)
