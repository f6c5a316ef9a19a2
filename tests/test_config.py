"""Settings: the committed ones load, wrong ones say where and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenmachine.config import RunConfig, load_config, split_task
from greenmachine.errors import ConfigError
from greenmachine.language import LANGUAGES
from greenmachine.language.grammar import Grammar

EXPERIMENTS = sorted((Path(__file__).parents[1] / "experiments").rglob("*.yaml"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_committed_settings_load_and_can_say_something(path: Path) -> None:
    config = load_config(path)
    assert config.name
    language = LANGUAGES[config.language.name]
    assert Grammar(config.passes, config.language.exclude, language).terminals


def test_there_are_committed_settings() -> None:
    assert {"nats_tss_cifar10", "nats_sss_cifar10"} <= {path.stem for path in EXPERIMENTS}


def test_resolved_settings_read_back_the_same() -> None:
    config = load_config(None, {"evolution.population": 33, "capture.options": {"cells": 2}})
    assert config.evolution.population == 33
    assert config.capture.options == {"cells": 2}
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


def test_override_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("seed: 1\nevolution: {generations: 3}\n")
    config = load_config(path, {"seed": "2", "evolution.population": "50"})
    assert (config.seed, config.evolution.generations, config.evolution.population) == (2, 3, 50)


@pytest.mark.parametrize(
    ("given", "benchmark", "name"),
    [
        ("nats-tss", ("nats-tss",), "nats-tss"),
        (["nats-tss/cifar10", "nats-tss/cifar100"], ("nats-tss",), "nats-tss"),
        (["nats-tss", "nats-sss/all"], ("nats-tss", "nats-sss"), "nats-tss+nats-sss"),
        (["a/own.py:b.csv/x", "nats-sss"], ("a/own.py:b.csv", "nats-sss"), "own+nats-sss"),
    ],
)
def test_tasks_of_one_benchmark_or_several(
    given: object, benchmark: tuple[str, ...], name: str
) -> None:
    config = load_config(None, {"tasks": given})
    assert (config.benchmarks, config.name) == (benchmark, name)
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tasks: []", "tasks: [] is not a task"),
        ("tasks: [nats-tss, 3]", "is not a task"),
        ("sead: 1", "sead: there is no such setting; did you mean seed?"),
        ("evolution: {populatoin: 3}", "did you mean evolution.population?"),
        ("samples: {train: {sise: 3}}", "did you mean samples.train.size?"),
        ("selection: {scheme: lexicase, epsilom: 0.1}", "did you mean epsilon?"),
        ("zzz: 1", "zzz: there is no such setting"),
        ("seed: -1", "seed"),
        ("passes: [noise, 3]", "passes.1"),
        ("samples: {train: {size: 1}}", "samples.train.size"),
        ("evolution: {population: 8, elites: 8}", "elites must be less"),
        ("evolution: {crossover: 0.9, combine: 0.2}", "must not exceed 1"),
        ("evolution: {mutations: {node: 0}}", "mutations needs rates"),
        ("evolution: {mutations: {flip: 1}}", "mutations"),
        ("evolution: 3", "evolution"),
        ("[1, 2]", "key: value"),
        ("a: [", "is not YAML"),
    ],
)
def test_wrong_settings_are_one_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["tasks", "passes", "callbacks", "evolution.seeds"])
def test_one_name_stands_for_a_list_of_one(key: str) -> None:
    name = {"tasks": "digits-sss", "callbacks": "progress"}.get(key, "noise")
    assert load_config(None, {key: name}) == load_config(None, {key: [name]})


def test_override_of_what_is_no_group(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a group"):
        load_config(None, {"seed": "1", "seed.deep": "1"})


@pytest.mark.parametrize(
    ("task", "parts"),
    [
        ("nats-tss", ("nats-tss", None)),
        ("nats-tss/cifar10", ("nats-tss", "cifar10")),
        ("nats-tss/", ("nats-tss", None)),
        ("my.py:acc.csv", ("my.py:acc.csv", None)),
        ("/a/my.py:/b.c/acc.csv", ("/a/my.py:/b.c/acc.csv", None)),
        ("/a/my.py:/b.c/acc.csv/small", ("/a/my.py:/b.c/acc.csv", "small")),
        ("a/my.py:acc.parquet/own", ("a/my.py:acc.parquet", "own")),
    ],
)
def test_a_task_is_a_benchmark_and_a_data_set(task: str, parts: tuple[str, str | None]) -> None:
    assert split_task(task) == parts
