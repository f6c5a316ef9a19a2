"""The embedded benchmarks as they ship."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from greenmachine.benchmarks import load_benchmark
from greenmachine.benchmarks.digits import EMBEDDED, LOADERS, load_digits_sss, load_digits_tss
from greenmachine.benchmarks.table import checksum
from greenmachine.errors import DataError
from greenmachine.fitness import directed_tau
from greenmachine.networks.costs import module_costs

LEAST = {"digits-tss": 400, "digits-sss": 300}
LOAD = {"digits-tss": load_digits_tss, "digits-sss": load_digits_sss}


def test_every_embedded_benchmark_is_tested_here() -> None:
    assert set(LOADERS) == set(LEAST) == set(LOAD)


@pytest.mark.parametrize("name", LEAST)
def test_table(name: str, tmp_path: Path) -> None:
    benchmark = load_benchmark(name, tmp_path)  # an empty data folder
    record = json.loads((EMBEDDED / f"{name}.json").read_text())
    assert len(benchmark) >= LEAST[name] and benchmark.datasets == ("digits",)
    assert benchmark.source.stat().st_size < 300_000
    assert record["sha256"][f"{name}.parquet"] == checksum(benchmark.source)
    seeds = benchmark.frame.filter(like="digits.test.seed").to_numpy(dtype=np.float64)
    assert seeds.shape[1] == record["recipe"]["seeds"] >= 8
    np.testing.assert_allclose(seeds.mean(axis=1), benchmark.accuracy("digits"), atol=1e-3)
    assert np.isfinite(benchmark.frame.filter(like="digits.loss").to_numpy()).all()
    assert len(set(benchmark.archs)) == len(set(benchmark.groups)) == len(benchmark)
    assert benchmark.options == record["options"]
    for file, sha256 in record["sha256"].items():
        (path,) = EMBEDDED.rglob(file)
        assert checksum(path) == sha256


@pytest.mark.parametrize("name", LEAST)
def test_accuracies_spread(name: str) -> None:
    benchmark = load_benchmark(name)
    accuracy = benchmark.accuracy("digits")
    seeds = benchmark.frame.filter(like="digits.test.seed").to_numpy(dtype=np.float64)
    # Networks differ by more than the seeds of one do, and few of them know nothing.
    assert accuracy.std() > 2 * seeds.std(axis=1, ddof=1).mean()
    assert (accuracy > 20).mean() > 0.95


@pytest.mark.parametrize("name", LEAST)
def test_half_of_the_seeds_ranks_like_the_other_half(name: str) -> None:
    benchmark = load_benchmark(name)
    record = json.loads((EMBEDDED / f"{name}.json").read_text())
    seeds = benchmark.frame.filter(like="digits.test.seed").to_numpy(dtype=np.float64)
    generator = np.random.default_rng(0)
    taus = []
    for _ in range(40):
        order = generator.permutation(seeds.shape[1])
        first, second = np.array_split(order, 2)
        taus.append(directed_tau(seeds[:, first].mean(1)[None], seeds[:, second].mean(1), 1)[0])
    assert np.mean(taus) >= 0.75
    assert np.mean(taus) == pytest.approx(record["tau_between_halves_of_the_seeds"], abs=0.01)


@pytest.mark.parametrize("name", LEAST)
def test_costs_are_those_of_the_networks(name: str) -> None:
    benchmark = load_benchmark(name)
    scores = benchmark.baseline_scores("digits")
    np.testing.assert_array_equal(scores["params"], benchmark.frame["digits.params"])
    np.testing.assert_allclose(scores["flops"], benchmark.frame["digits.flops_m"])
    for index in (0, 17, len(benchmark) - 1):
        model = benchmark.build(index, "digits")
        found = module_costs(model, benchmark.input_shape("digits"))
        assert found == (scores["params"][index], pytest.approx(scores["flops"][index]))


@pytest.mark.parametrize("name", LEAST)
def test_images_are_labelled_and_balanced(name: str) -> None:
    benchmark = load_benchmark(name)
    images, labels = benchmark.images("digits", 100, seed=1)
    assert images.shape == (100, *benchmark.input_shape("digits"))
    assert (labels.bincount(minlength=10) == 10).all()
    assert abs(float(images.mean())) < 0.2 and 0.8 < float(images.std()) < 1.2


@pytest.mark.parametrize("name", LEAST)
def test_damaged_installation_says_what_to_do(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pip install --force-reinstall greenmachine"):
        LOAD[name](tmp_path)
    (tmp_path / f"{name}.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="not a complete Parquet file"):
        LOAD[name](tmp_path)
