"""The benchmarks beyond NATS-Bench do what it does: look-ups, networks, baselines, seeds."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from greenmachine.benchmarks import Benchmark, load_benchmark, training_cost
from greenmachine.benchmarks.checks import verify_folder
from greenmachine.errors import ConfigError, DataError
from tests.benchmarks.conftest import ABROAD

EACH = pytest.mark.parametrize("name", ABROAD)
SMALL = {"nas-bench-101": 8, "nas-bench-macro": 4, "channel-resnet": 8}


@EACH
def test_tables_and_networks_agree(name: str, abroad: Path) -> None:
    benchmark = load_benchmark(name, abroad)
    assert benchmark.datasets == ("cifar10",)
    assert benchmark.input_shape("cifar10") == (3, 32, 32)
    assert benchmark.passes == ("noise",)
    small = benchmark.build(3, "cifar10", width=SMALL[name])
    assert small(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    params = benchmark.baseline_scores("cifar10", [3])["params"]
    whole = benchmark.build(3, "cifar10")
    assert sum(weight.numel() for weight in whole.parameters()) == params[0]
    assert params[0] == benchmark.frame["cifar10.params"][3]
    with pytest.raises(ConfigError, match="no build option 'cells'; it has width"):
        benchmark.build(3, "cifar10", cells=2)
    with pytest.raises(ConfigError, match="width of .* is 0"):
        benchmark.build(3, "cifar10", width=0)
    copy = pickle.loads(pickle.dumps(benchmark))
    assert copy.archs == benchmark.archs and copy.truth == benchmark.truth


@EACH
def test_folders_are_verified(name: str, abroad: Path) -> None:
    checks = [check for check in verify_folder(abroad) if check.subject.startswith(name)]
    failed = {check.subject for check in checks if not check.passed}
    # The invented tables hold some of the architectures.
    assert failed == (set() if name == "nas-bench-101" else {f"{name} rows"})
    assert f"{name} cifar10.params" in {check.subject for check in checks}


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("nas-bench-101", "key", "0" * 32),
        ("nas-bench-101", "cifar10.params", 1),
        ("nas-bench-macro", "canonical", "00000000"),
        ("nas-bench-macro", "isomorph", 7),
        ("channel-resnet", "cifar10.flops", 1),
        ("channel-resnet", "cifar10.test.seed2", 1.0),
    ],
)
def test_a_wrong_row_fails_its_check(name: str, column: str, value: object, abroad: Path) -> None:
    path = load_benchmark(name, abroad).source
    frame = ABROAD[name]()
    frame.loc[4, column] = value
    frame.to_parquet(path)
    checks = {check.subject: check.passed for check in verify_folder(abroad)}
    subject = "cifar10 seeds" if "seed" in column else column
    assert checks[f"{name} {subject}"] is False


def test_cells_with_one_key_never_straddle(abroad: Path) -> None:
    cells = load_benchmark("nas-bench-101", abroad)
    first, again = cells.index_of("110011;13"), cells.index_of("110011;31")
    assert cells.groups[first] == cells.groups[again] == min(first, again)
    # They are isomorphic, but draw their weights in another order.
    assert cells.twins[first] != cells.twins[again]
    dangling, pruned = cells.index_of("110010;31"), cells.index_of("101;3")
    assert cells.groups[dangling] == cells.groups[pruned]
    assert cells.twins[dangling] == cells.twins[pruned]


def test_networks_with_one_canonical_form_are_twins(abroad: Path) -> None:
    macro = load_benchmark("nas-bench-macro", abroad)
    assert macro.groups.tolist() == macro.twins.tolist() == macro.frame["isomorph"].tolist()
    assert len(set(macro.groups)) < len(macro)
    assert len(set(load_benchmark("channel-resnet", abroad).groups)) == 16


def test_baselines_of_the_spaces(abroad: Path) -> None:
    cells = load_benchmark("nas-bench-101", abroad)
    scores = cells.baseline_scores("cifar10")
    assert set(scores) == {"params", "flops", "convolutions", "convolutions_3x3"}
    row = cells.index_of("110010;31")  # its 1×1 convolution lies on no path
    assert scores["convolutions"][row] == scores["convolutions_3x3"][row] == 1
    macro = load_benchmark("nas-bench-macro", abroad)
    kept = macro.baseline_scores("cifar10")["layers_kept"]
    assert kept.tolist() == [8 - arch.count("0") for arch in macro.archs]
    widths = load_benchmark("channel-resnet", abroad)
    logs = widths.baseline_scores("cifar10")["sum_log_channels"]
    assert logs[widths.index_of("1111111")] == pytest.approx(np.log(64) * 3 + np.log(128) * 4)


def test_the_true_accuracy_is_what_the_table_has(abroad: Path) -> None:
    cells = load_benchmark("nas-bench-101", abroad)
    assert cells.truth == "valid"
    assert cells.accuracy("cifar10").tolist() == cells.frame["cifar10.valid"].tolist()
    frame = ABROAD["nas-bench-101"]()
    frame["cifar10.test"] = 50.0
    frame.to_parquet(cells.source)
    again = load_benchmark("nas-bench-101", abroad)
    assert again.truth == "test" and set(again.accuracy("cifar10")) == {50.0}
    frame.drop(columns=["cifar10.test", "cifar10.valid"]).to_parquet(cells.source)
    with pytest.raises(DataError, match="has no column cifar10.test.*import-nas-bench-101"):
        load_benchmark("nas-bench-101", abroad)


def test_accuracies_of_seeds(abroad: Path, folder: Path) -> None:
    macro = load_benchmark("nas-bench-macro", abroad)
    found = macro.seed_accuracies("cifar10")
    assert found.shape == (3, len(macro))
    assert found[1].tolist() == macro.frame["cifar10.test.seed2"].tolist()
    assert load_benchmark("nats-tss", folder).seed_accuracies("cifar10").shape == (0, 27)
    # By number, not by name: seed10 comes after seed9.
    digits = load_benchmark("digits-tss")
    assert (
        digits.seed_accuracies("digits")[10].tolist() == digits.frame["digits.test.seed10"].tolist()
    )


def test_training_of_cells_has_a_clock(abroad: Path) -> None:
    cells: Benchmark = load_benchmark("nas-bench-101", abroad)
    cost = training_cost(cells, "cifar10", np.array([0]))
    assert cost is not None and "clock" in cost["basis"]
    assert training_cost(load_benchmark("channel-resnet", abroad), "cifar10", np.array([0])) is None
