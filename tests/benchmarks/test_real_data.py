"""The real tables: costs, classes, networks, published bests. Needs GREENMACHINE_DATA."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.benchmarks.checks import verify_benchmark
from greenmachine.networks import module_costs

pytestmark = pytest.mark.data

ROWS = {"nats-tss": 15_625, "nats-sss": 32_768}


@pytest.fixture(scope="module", params=ROWS)
def benchmark_(request: pytest.FixtureRequest, real_folder: Path) -> Benchmark:
    return load_benchmark(request.param, real_folder)


def test_every_row_has_the_costs_and_class_of_its_architecture(benchmark_: Benchmark) -> None:
    assert len(benchmark_) == ROWS[benchmark_.name]
    checks = verify_benchmark(benchmark_)
    # Rows, parameters and FLOPs of three data sets, and the classes of the topology space.
    assert len(checks) == (8 if benchmark_.name == "nats-tss" else 7)
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet16-120"])
def test_modules_have_the_costs_of_the_table(benchmark_: Benchmark, dataset: str) -> None:
    indices = np.random.default_rng(7).choice(len(benchmark_), 4, replace=False)
    for index in indices.tolist():
        network = benchmark_.build(index, dataset)
        params, flops = module_costs(network, benchmark_.input_shape(dataset))
        row = benchmark_.frame.iloc[index]
        assert params == row[f"{dataset}.params"]
        assert flops == pytest.approx(row[f"{dataset}.flops_m"], abs=6e-7)


ABROAD = {"nas-bench-101": 1_000, "nas-bench-macro": 6_561, "channel-resnet": 16_384}


@pytest.mark.parametrize("name", ABROAD)
def test_every_row_beyond_nats_bench(name: str, real_folder: Path) -> None:
    benchmark = load_benchmark(name, real_folder)
    assert len(benchmark) == ABROAD[name]
    checks = {
        check.subject.removeprefix(f"{name} "): check.passed
        for check in verify_benchmark(benchmark)
    }
    assert all(checks.values()), checks
    expected = {
        "nas-bench-101": {"isomorph", "key", "cifar10.params"},
        "nas-bench-macro": {"rows", "isomorph", "canonical", "cifar10.params", "cifar10.flops"},
        "channel-resnet": {"rows", "cifar10.params", "cifar10.flops"},
    }[name]
    assert expected <= set(checks)
    for index in np.random.default_rng(7).choice(len(benchmark), 4, replace=False).tolist():
        network = benchmark.build(index, "cifar10")
        assert (
            sum(w.numel() for w in network.parameters()) == benchmark.frame["cifar10.params"][index]
        )
        small = benchmark.build(index, "cifar10", width=16)
        params, flops = benchmark.space.costs(
            [benchmark.archs[index]], num_classes=10, image_size=32, width=16
        )
        assert module_costs(small, (3, 32, 32)) == (params[0], flops[0])


def test_best_accuracies_are_the_published_ones(benchmark_: Benchmark) -> None:
    published = {"nats-tss": (94.37, 73.51, 47.31), "nats-sss": (93.65, 71.34, 47.40)}
    best = [benchmark_.accuracy(dataset).max() for dataset in benchmark_.datasets]
    assert best == pytest.approx(published[benchmark_.name], abs=0.0051)


def test_cells_without_dead_operations(real_folder: Path) -> None:
    assert load_benchmark("nats-tss", real_folder).live.sum() == 9445


def test_images_run_through_a_network(benchmark_: Benchmark) -> None:
    for dataset in benchmark_.datasets:
        images, labels = benchmark_.images(dataset, 8)
        logits = benchmark_.build(11, dataset)(images)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        assert torch.isfinite(loss)
        assert len(set(labels.tolist())) == 8


def test_images_are_normalised(benchmark_: Benchmark) -> None:
    for dataset in benchmark_.datasets:
        images, _ = benchmark_.images(dataset, 120)
        means, deviations = images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3))
        torch.testing.assert_close(means, torch.zeros(3), atol=0.25, rtol=0)
        torch.testing.assert_close(deviations, torch.ones(3), atol=0.15, rtol=0)
