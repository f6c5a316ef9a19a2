"""A search above a bank is an ordinary search: deterministic, resumable, and its result exports."""

from __future__ import annotations

import random
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deap import gp

import greenmachine as gm
from greenmachine.api.banks import build_bank
from greenmachine.bank import Bank, leaves_of
from greenmachine.errors import ConfigError, DamagedError, GreenMachineError, RunError
from greenmachine.evolution import RunFolder
from greenmachine.evolution.operators import (
    MUTATIONS,
    Tuner,
    combine,
    crossover,
    half_and_half,
    mutate,
)
from greenmachine.evolution.run import Run
from greenmachine.language import canonical, parse
from greenmachine.language.grammar import Grammar
from greenmachine.signals import Store

SMALL = {
    "evolution.population": 24,
    "evolution.generations": 3,
    "evolution.brood": 4,
    "evolution.elites": 2,
}
EXPRESSIONS = ("random:24", "synflow", "nwot_inputs")
SEEDS = ("sum_layers(l2_norm(noise_weight_grad))",)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bank") / "both"
    build_bank(path, "digits-tss", networks=40, expressions=[*EXPRESSIONS, *SEEDS], workers=1)
    build_bank(path, "digits-sss", networks=12, workers=1)
    return path


def search(bank: Path, **parts: Any) -> gm.Search:
    settings = {"workers": 1, **SMALL, **parts.pop("settings", {})}
    return gm.Search(parts.pop("tasks", None), bank=bank, settings=settings, **parts)


def state(folder: Path) -> Any:
    saved = RunFolder(folder).checkpoint()
    assert saved is not None
    return saved.search


@pytest.fixture(scope="module")
def finished(bank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    search(bank, settings={"evolution.seeds": list(SEEDS)}).run(folder)
    return folder


def test_without_tasks_a_search_has_those_of_the_bank(finished: Path, bank: Path) -> None:
    facts = RunFolder(finished).result()
    assert facts["tasks"] == ["digits-tss/digits", "digits-sss/digits"]
    sizes = {
        name: sum(facts["samples"][s][name] for s in facts["samples"])
        for name in ("digits-tss", "digits-sss")
    }
    assert sizes["digits-tss"] > 30 and sizes["digits-sss"] == 12
    assert not (finished / "signals").exists()


def test_every_tree_reads_expressions_of_the_bank_alone(finished: Path, bank: Path) -> None:
    known = {leaf.text for leaf in Bank(bank).leaves}
    trees = [parse(each.tree) for each in state(finished).population]
    assert {leaf.text for leaf in leaves_of(trees)} <= known
    assert len({leaf.text for leaf in leaves_of(trees)}) > 5


def test_no_network_is_built(bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **settings: Any) -> None:
        raise AssertionError("a network was captured")

    monkeypatch.setattr(Store, "build", refuse)
    monkeypatch.setattr(gm.Benchmark, "build", refuse)
    assert search(bank, settings={"evolution.generations": 0}).run(tmp_path / "run").facts


@pytest.mark.parametrize("workers", [1, 2])
def test_resumed_run_equals_unbroken_run(
    workers: int, finished: Path, bank: Path, tmp_path: Path
) -> None:
    class Stop(gm.Callback):
        def on_generation(self, generation: Any) -> None:
            if len(generation.history) == 2:
                raise KeyboardInterrupt

    folder = tmp_path / "broken"
    given = {"evolution.seeds": list(SEEDS), "workers": workers}
    with pytest.raises(KeyboardInterrupt):
        search(bank, settings=given, callbacks=[Stop()]).run(folder)
    gm.Search.resume(folder).run()
    assert state(folder) == state(finished)
    for name in ("primitives.csv", "scores.parquet"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes()


def test_an_exported_champion_scores_a_network_as_the_bank_does(
    finished: Path, bank: Path, tmp_path: Path
) -> None:
    result = gm.Search.resume(finished).run()
    scores = RunFolder(finished).scores()
    row = scores[(scores["sample"] == "test") & (scores["benchmark"] == "digits-tss")].iloc[0]
    benchmark = gm.load_benchmark("digits-tss")
    model = benchmark.build(int(row["index"]), "digits", seed=0)
    path = result.export(tmp_path / "proxy.py")
    found = gm.score(model, path, shape=(8, *benchmark.input_shape("digits")))
    assert found == pytest.approx(row["champion"], rel=1e-5)


def test_a_bank_that_lies_elsewhere_is_still_the_same(
    finished: Path, bank: Path, tmp_path: Path
) -> None:
    moved, folder = tmp_path / "moved", tmp_path / "run"
    shutil.copytree(bank, moved)
    shutil.copytree(finished, folder)
    given = {"bank": str(moved), "evolution.generations": 4, "workers": 1}
    result = gm.Search.resume(folder, settings=given).run()
    assert result.facts["generations"] == 4


def _more(path: Path) -> None:
    build_bank(path, expressions=["mean_layers(kurtosis(weight))"], workers=1)


def _other(path: Path) -> None:
    shutil.rmtree(path)
    build_bank(path, ["digits-tss", "digits-sss"], networks=12, expressions=SEEDS, workers=1)


def _gone(path: Path) -> None:
    shutil.rmtree(path)


@pytest.mark.parametrize("change", [_more, _other, _gone])
def test_resume_refuses_another_bank(
    change: Any, finished: Path, bank: Path, tmp_path: Path
) -> None:
    copy, folder = tmp_path / "bank", tmp_path / "run"
    shutil.copytree(bank, copy)
    shutil.copytree(finished, folder)
    change(copy)
    given = {"bank": str(copy), "evolution.generations": 5, "workers": 1}
    with pytest.raises(RunError):
        gm.Search.resume(folder, settings=given).run()
    assert state(folder) == state(finished)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"passes": ["noise", "data"]}, "data"),
        ({"tasks": "digits-tss/digits", "capture": {"batch": 4}}, "batch"),
        ({"capture": {"options": {"cells": 2}}}, "options"),
        ({"language": {"name": "paper"}}, "typed"),
        ({"evolution": {"racing": 8}}, "racing"),
        ({"evolution": {"seeds": ["mean_layers(kurtosis(ones_output))"]}}, "bank add"),
        ({"samples": {"train": {"size": 100}}}, "networks"),
        ({"language": {"exclude": ["no_such_word"]}}, "no_such_word"),
    ],
)
def test_what_the_bank_lacks_is_refused(
    given: dict[str, Any], said: str, bank: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        search(bank, **given).run(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_benchmark_that_the_bank_lacks_is_refused(tmp_path: Path) -> None:
    build_bank(tmp_path / "b", "digits-tss", networks=12, expressions=SEEDS, workers=1)
    with pytest.raises(ConfigError, match="digits-sss"):
        search(tmp_path / "b", tasks="digits-sss").run(tmp_path / "run")


@pytest.mark.parametrize("kind", ["missing", "foreign", "truncated"])
def test_no_bank_is_one_line(kind: str, bank: Path, tmp_path: Path) -> None:
    path = tmp_path / "b"
    if kind == "foreign":
        path.mkdir()
        (path / "notes.txt").write_text("mine")
    elif kind == "truncated":
        shutil.copytree(bank, path)
        vectors = next(path.rglob("*.npy"))
        vectors.write_bytes(vectors.read_bytes()[:-100])
    with pytest.raises(RunError) as caught:
        search(path).run(tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, DamagedError) == (kind == "truncated")


def test_fewer_passes_leave_fewer_leaves(bank: Path, tmp_path: Path) -> None:
    run = search(bank, passes=["noise"])._run(tmp_path / "run", False)[1]
    assert isinstance(run, Run)
    assert run.grammar.leaves
    assert not any(t.startswith("ones") for e in run.grammar.leaves.values() for t in e.terminals)


def test_an_excluded_word_is_in_no_leaf(bank: Path, tmp_path: Path) -> None:
    made = search(bank, language={"exclude": ["l2_norm", "noise_input"]})
    run = made._run(tmp_path / "run", False)[1]
    texts = list(run.grammar.leaves)
    assert texts and not any("l2_norm" in text or "noise_input," in text for text in texts)


def test_variation_makes_trees_of_the_grammar(bank: Path) -> None:
    """Whatever is bred above a bank is a tree whose expression gives the same tree again."""
    leaves = Bank(bank).leaves
    grammar = Grammar(["noise", "ones"], leaves=leaves)
    generator = random.getstate()
    random.seed(1)
    try:
        trees = [gp.PrimitiveTree(half_and_half(grammar, (1, 4))) for _ in range(60)]
        made = []
        for one, other in pairwise(trees):
            crossed = gp.PrimitiveTree(one), gp.PrimitiveTree(other)
            crossover(*crossed, 0.5)
            mutated = gp.PrimitiveTree(one)
            mutate(mutated, grammar, dict.fromkeys(MUTATIONS, 1.0))
            made += [grammar.expression(tree) for tree in (*crossed, mutated)]
            made += [Tuner(one, grammar)() for _ in range(5)]
            joined = (grammar.expression(one), grammar.expression(other))
            made.append(combine(*joined, grammar))
    finally:
        random.setstate(generator)
    known = {leaf.text for leaf in leaves}
    for expression in made:
        assert parse(expression.text) == expression
        assert grammar.expression(grammar.tree(expression)) == expression
        assert {leaf.text for leaf in leaves_of([expression])} <= known
    swapped = {leaf.text for e in made for leaf in leaves_of([e])}
    assert len(swapped) > len(known) / 2


def test_a_stand_in_shares_the_vectors_of_another_data_set(
    synthetic_data: None, tmp_path: Path
) -> None:
    bank = build_bank(
        tmp_path / "b",
        "nats-tss/cifar10",
        networks=16,
        options={"cells": 1},
        expressions=SEEDS,
        workers=1,
    )
    tasks = ["nats-tss/cifar10", "nats-tss/cifar100"]
    with pytest.raises(ConfigError, match="stand_in"):
        search(bank.path, tasks=tasks).run(tmp_path / "run")
    result = search(
        bank.path,
        tasks=tasks,
        capture={"stand_in": {"cifar100": "cifar10"}},
        settings={"evolution.generations": 1},
    ).run(tmp_path / "run")
    scores = RunFolder(result.folder).scores()
    one, other = (scores[scores["dataset"] == name] for name in ("cifar10", "cifar100"))
    assert np.array_equal(one["champion"], other["champion"])
    assert not np.array_equal(one["accuracy"], other["accuracy"])


def test_a_canonical_seed_is_found_in_the_bank(bank: Path) -> None:
    grammar = Grammar(["noise", "ones"], leaves=Bank(bank).leaves)
    text = "mean_layers(log1p_abs(l2_norm(noise_weight_grad)))"
    assert len(grammar.tree(parse(text))) == 3
    assert canonical(grammar.expression(grammar.tree(parse(text)))).text == text
    with pytest.raises(GreenMachineError, match="bank"):
        grammar.tree(parse("mean_layers(kurtosis(ones_output))"))
