"""A bank holds what a run would compute; whatever stops it, whoever builds it."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from greenmachine.api.banks import _others, build_bank
from greenmachine.bank import Bank, BankEvaluator, capture_spec, leaves_of, readable
from greenmachine.benchmarks import load_benchmark
from greenmachine.engine import Evaluator
from greenmachine.errors import ConfigError, DamagedError, DataError, RunError
from greenmachine.files import write_sealed
from greenmachine.language import parse
from greenmachine.primitives.registry import LAYER_SCALAR, NETWORK_SCALAR

SOURCES = ("synflow", "random:12")
SCORES = (
    "sum_layers(log1p_abs(l2_norm(noise_weight_grad)))",
    "logdet(sum_matrices(sign_agreement_rate(noise_output)))",
    "mean_layers(mul(depth, min_eigenvalue(channel_correlation(noise_input))))",
    "max_layers(max_eigenvalue(batch_gram(ones_output)))",
)

SPACE = """
from torch import nn

INPUT_SHAPE = (3, 8, 8)
NUM_CLASSES = 10


def build(arch):
    width = int(arch)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), *head)
"""


def contents(bank: Path) -> dict[str, bytes]:
    """Return the bytes of every file."""
    files = [path for path in sorted(bank.rglob("*")) if path.is_file()]
    return {str(path.relative_to(bank)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    path = tmp_path_factory.mktemp("bank") / "b"
    build_bank(path, ["digits-tss"], networks=9, expressions=[*SOURCES, *SCORES], workers=1)
    return Bank(path)


def test_leaves_are_one_number_a_layer_or_a_network(built: Bank) -> None:
    assert {leaf.kind for leaf in built.leaves} == {LAYER_SCALAR, NETWORK_SCALAR}
    assert leaves_of(built.leaves) == built.leaves
    assert readable(built.leaves, ["noise", "ones"]) == built.leaves
    assert len(readable(built.leaves, ["noise"])) < len(built.leaves)


@pytest.mark.parametrize("benchmark", ["digits-tss", "digits-sss"])
def test_scores_are_those_of_an_ordinary_run(benchmark: str, tmp_path: Path) -> None:
    bank = build_bank(tmp_path / "b", benchmark, networks=9, expressions=SCORES, workers=1)
    (family,) = bank.facts.families
    places = [5, 2, 3]
    above = BankEvaluator(bank.vectors(family), places, cache_bytes=2**24)
    below = Evaluator.of_networks(
        capture_spec(bank.facts, family), [family.indices[place] for place in places]
    )
    expressions = [parse(text) for text in SCORES]
    # Chunks of layers are those of the shard, and float32 sums of a chunk are rounded by its size.
    np.testing.assert_allclose(
        above.scores(expressions), below.scores(expressions), rtol=1e-5, atol=0
    )


def test_a_network_may_be_in_a_sample_several_times(built: Bank) -> None:
    (family,) = built.facts.families
    vectors, expressions = built.vectors(family), [parse(text) for text in SCORES]
    once = BankEvaluator(vectors, [1, 4, 6], cache_bytes=2**24)
    again = BankEvaluator(vectors, [6, 1, 6, 4, 4], cache_bytes=2**24)
    found = again.scores(expressions)
    np.testing.assert_array_equal(found, once.scores(expressions)[:, [2, 0, 2, 1, 1]])
    assert again.size == 3  # computed


@pytest.mark.slow
def test_other_workers_make_the_same_bytes(built: Bank, tmp_path: Path) -> None:
    path = tmp_path / "b"
    build_bank(path, ["digits-tss"], networks=9, expressions=[*SOURCES, *SCORES], workers=2)
    assert contents(path) == contents(built.path)


def test_a_stopped_build_goes_on_to_the_same_bytes(built: Bank, tmp_path: Path) -> None:
    path = tmp_path / "b"

    def stop(what: str, done: int, of: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_bank(
            path,
            ["digits-tss"],
            networks=9,
            expressions=[*SOURCES, *SCORES],
            workers=1,
            progress=stop,
        )
    assert not Bank(path).summary()["complete"]
    first, *_ = sorted(path.rglob("*.npy"))
    first.write_bytes(first.read_bytes()[:-8])  # whatever happened to it
    seen: list[int] = []
    build_bank(path, workers=1, progress=lambda what, done, of: seen.append(done))
    assert seen[0] == 1, "what is whole is not computed again"
    assert contents(path) == contents(built.path)


def test_added_expressions_are_a_part_of_their_own(built: Bank, tmp_path: Path) -> None:
    path = tmp_path / "b"
    build_bank(path, ["digits-tss"], networks=9, expressions=SCORES[:2], workers=1)
    before = contents(path)
    bank = build_bank(path, expressions=SCORES, workers=1)
    after = contents(path)
    assert [len(part) for part in bank.parts] == [2, 2]
    assert {k: v for k, v in after.items() if "part-000" in k} == {
        k: v for k, v in before.items() if "part-000" in k
    }
    one, other = (each.vectors(each.facts.families[0]) for each in (bank, built))
    for leaf in bank.leaves:
        assert np.array_equal(one.read(leaf.text), other.read(leaf.text), equal_nan=True)
    assert contents(build_bank(path, expressions=SCORES, workers=1).path) == after


def test_added_networks_get_all_expressions(tmp_path: Path) -> None:
    path = tmp_path / "b"
    build_bank(path, ["digits-tss"], networks=4, expressions=SCORES[:2], workers=1)
    bank = build_bank(path, "digits-sss", networks=5, expressions=SCORES[2:], workers=1)
    assert bank.summary()["complete"]
    tss, sss = bank.facts.families
    assert (len(tss.indices), len(sss.indices)) == (4, 5)
    for family in (tss, sss):
        vectors = bank.vectors(family)
        lengths = {len(vectors.read(leaf.text)) for leaf in bank.leaves}
        assert lengths == {len(family.indices), sum(vectors.layer_counts)}


def test_more_networks_are_captured_besides(tmp_path: Path) -> None:
    path, whole = tmp_path / "b", tmp_path / "whole"
    build_bank(path, ["digits-tss"], networks=3, expressions=SCORES[:1], workers=1)
    bank = build_bank(path, ["digits-tss"], networks=8, expressions=SCORES[:2], workers=1)
    assert bank.summary()["complete"]
    assert contents(build_bank(path, ["digits-tss"], networks=5, workers=1).path) == contents(path)
    expected = build_bank(whole, ["digits-tss"], networks=8, expressions=SCORES[:2], workers=1)
    one, other = (each.vectors(each.facts.families[0]) for each in (bank, expected))
    assert one.family == other.family
    assert one.layer_counts == other.layer_counts
    for leaf in bank.leaves:
        np.testing.assert_allclose(one.read(leaf.text), other.read(leaf.text), rtol=1e-5)


@pytest.mark.parametrize("held", [0, 3])
def test_networks_compute_other_functions_as_long_as_there_are_any(held: int) -> None:
    benchmark = load_benchmark("digits-tss")
    number = len(set(benchmark.functions))
    assert number < len(benchmark)
    most = np.bincount(benchmark.functions).argmax()
    kept = np.flatnonzero(benchmark.functions == most)[:held].tolist()
    others = _others(benchmark, kept, seed=0)
    assert sorted([*kept, *others]) == list(range(len(benchmark)))
    new = number - (held > 0)
    assert len(set(benchmark.functions[[*kept, *others[:new]]])) == number
    assert others[:new] != sorted(others[:new])


def test_another_data_set_gets_the_same_networks(tmp_path: Path) -> None:
    path = tmp_path / "b"
    space, table = tmp_path / "space.py", tmp_path / "accuracies.csv"
    space.write_text(SPACE)
    rows = [f"{width},{width + 20},{30 - width},{width}" for width in range(2, 14)]
    table.write_text("\n".join(["arch,one,two,three", *rows]) + "\n")
    build_bank(path, f"{space}:{table}/one", networks=4, expressions=SCORES[:1], workers=1)
    order = json.loads((path / "bank.json").read_text())["families"][0]["indices"]
    assert order != sorted(order)
    bank = build_bank(path, f"{space}:{table}/two", networks=6, workers=1)
    one, two = (family.indices for family in bank.facts.families)
    assert (len(one), len(two)) == (4, 6)
    assert two[:4] == one
    bank = build_bank(path, f"{space}:{table}/one", networks=5, workers=1)
    assert bank.facts.families[0].indices == two[:5]
    bank = build_bank(path, f"{space}:{table}/three", workers=1)
    assert bank.facts.families[2].indices == two


def test_random_expressions_depend_on_their_seed_alone(built: Bank, tmp_path: Path) -> None:
    def drawn(source: str, name: str) -> list[str]:
        bank = build_bank(
            tmp_path / name, "digits-tss", networks=4, expressions=[source], workers=1
        )
        return [leaf.text for leaf in bank.leaves]

    few, more, other = drawn("random:5", "a"), drawn("random:8", "b"), drawn("random:8:1", "c")
    assert len(few) == 5
    assert more[:5] == few
    assert not {*other} >= {*more}


def _foreign(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("mine")


def _file(path: Path) -> None:
    path.write_text("mine")


@pytest.mark.parametrize("make", [_foreign, _file])
def test_somebody_elses_folder_is_refused(make, tmp_path: Path) -> None:
    path = tmp_path / "b"
    make(path)
    with pytest.raises(RunError, match="folder"):
        build_bank(path, "digits-tss", networks=4, expressions=SCORES[:1], workers=1)


@pytest.mark.parametrize(
    ("on", "given"),
    [
        ("digits-tss", {"passes": ["noise"]}),
        ("digits-tss", {"batch": 4}),
        ("digits-tss", {"seed": 3}),
        ("digits-tss", {"options": {"cells": 2}}),
    ],
)
def test_another_spec_is_refused(on: str, given: dict, built: Bank) -> None:
    before = contents(built.path)
    with pytest.raises(RunError, match="another bank"):
        build_bank(built.path, on, workers=1, **given)
    assert contents(built.path) == before


@pytest.mark.parametrize(
    "source", ["random:many", "random:0", "no_such_proxy", "random:3:x", "nwot", "runs/none"]
)
def test_a_source_of_nothing_is_refused(source: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        build_bank(tmp_path / "b", "digits-tss", networks=4, expressions=[source], workers=1)
    assert not (tmp_path / "b").exists()


def test_a_changed_table_is_refused(built: Bank, tmp_path: Path) -> None:
    facts = built.facts
    family = facts.families[0].model_copy(update={"sha256": "0" * 64})
    copy = tmp_path / "b"
    shutil.copytree(built.path, copy)
    told = facts.model_copy(update={"families": [family]})
    write_sealed(copy / "bank.json", told.model_dump(mode="json"))
    with pytest.raises(DataError, match="changed since the bank was built"):
        build_bank(copy, workers=1)


@pytest.mark.parametrize("file", ["bank.json", "part-000.json", "part-000.npy"])
@pytest.mark.parametrize("fault", ["truncated", "one bit"])
def test_a_damaged_file_is_noticed(file: str, fault: str, built: Bank, tmp_path: Path) -> None:
    copy = tmp_path / "b"
    shutil.copytree(built.path, copy)
    (path,) = copy.rglob(file)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(bytes(content[:-9]) if fault == "truncated" else bytes(content))
    family = built.facts.families[0]
    with pytest.raises(DamagedError):
        Bank(copy).vectors(family)
    if file != "bank.json":
        build_bank(copy, workers=1)
        assert contents(copy) == contents(built.path)


def test_a_full_disk_is_told_before_anything_is_captured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1))
    with pytest.raises(RunError, match="free space"):
        build_bank(tmp_path / "b", "digits-tss", networks=4, expressions=SCORES[:1], workers=1)
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("nats-tss/cifar10", {}),
        ("nats-sss/imagenet16-120", {}),
        ("nas-bench-101/cifar10", {"width": 25}),
        ("nas-bench-macro/cifar10", {"width": 25}),
        ("channel-resnet/cifar10", {"width": 25}),
    ],
)
def test_every_benchmark_fits(task: str, options: dict, tmp_path: Path) -> None:
    bank = build_bank(
        tmp_path / "b", task, networks=3, expressions=SCORES[:2], options=options, workers=1
    )
    (family,) = bank.facts.families
    assert family.options == options
    assert not bank.vectors(family).failures
    assert all(np.isfinite(bank.vectors(family).read(leaf.text)).all() for leaf in bank.leaves)
