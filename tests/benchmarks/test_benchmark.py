"""Benchmarks: look-ups, networks, trivial scores, images."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from greenmachine.benchmarks import Benchmark, data_folder, load_benchmark
from greenmachine.benchmarks.datasets import balanced_order
from greenmachine.benchmarks.tables import TABLES
from greenmachine.errors import ConfigError, DataError


@pytest.fixture
def tss(folder: Path) -> Benchmark:
    return load_benchmark("nats-tss", folder)


@pytest.fixture
def sss(folder: Path) -> Benchmark:
    return load_benchmark("nats-sss", folder)


def test_data_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GREENMACHINE_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.delenv("GREENMACHINE_DATA")
    assert "greenmachine" in data_folder().name
    assert os.path.isabs(data_folder())


def test_default_folder_is_used(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("GREENMACHINE_DATA", str(folder))
    assert load_benchmark("nats-sss").source == folder / "nats-bench" / "sss.parquet"


def test_unknown_name_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="no benchmark 'nats'; known: .*nats-tss, nats-sss.*my_space.py:acc"
    ):
        load_benchmark("nats", tmp_path)


@pytest.mark.parametrize("name", TABLES)
def test_missing_data_names_the_command(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="greenmachine data"):
        load_benchmark(name, tmp_path / "nowhere")


def test_look_ups(tss: Benchmark, tss_frame: pd.DataFrame) -> None:
    assert len(tss) == len(tss.archs) == 27
    assert tss.datasets == ("cifar10", "cifar100", "imagenet16-120")
    assert tss.index_of(tss.archs[7]) == 7 == tss.index_of(7)
    assert tss.accuracy("cifar100").dtype == np.float64
    assert tss.accuracy("cifar100").tolist() == tss_frame["cifar100.test"].tolist()
    assert tss.input_shape("imagenet16-120") == (3, 16, 16)
    assert tss.num_classes("cifar100") == 100
    assert tss.groups.tolist() == tss_frame["isomorph"].tolist()
    assert len(set(tss.groups.tolist())) < 27


def test_space_without_isomorphisms_has_one_group_a_row(sss: Benchmark) -> None:
    assert sss.groups.tolist() == list(range(32))


@pytest.mark.parametrize("index", [-1, 27, 10**9])
def test_index_out_of_range(tss: Benchmark, index: int) -> None:
    with pytest.raises(DataError, match="indices 0 to 26"):
        tss.index_of(index)


def test_unknown_architecture_gets_a_hint(sss: Benchmark) -> None:
    with pytest.raises(DataError, match="no architecture '8:8:8:8:9'; did you mean 8:8:8:8:8"):
        sss.index_of("8:8:8:8:9")
    with pytest.raises(DataError, match="no architecture 'nonsense'$"):
        sss.index_of("nonsense")


def test_unknown_data_set_lists_the_known(tss: Benchmark) -> None:
    for use in (tss.accuracy, tss.input_shape, tss.num_classes, tss.baseline_scores):
        with pytest.raises(DataError, match="no data set 'mnist'; it has cifar10, cifar100"):
            use("mnist")


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_weights_depend_on_seed_and_index_alone(sss: Benchmark) -> None:
    reference = weights(sss.build(0, "cifar10"))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert torch.equal(weights(sss.build(0, "cifar10")), reference)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(weights(sss.build(0, "cifar10", seed=1)), reference)
    # Same shapes in the stem, another index: other weights.
    assert not torch.equal(weights(sss.build(1, "cifar10"))[:216], reference[:216])


def test_build_options(tss: Benchmark, sss: Benchmark) -> None:
    index = int(np.argmax(tss.baseline_scores("cifar10")["params"]))
    small = tss.build(index, "cifar100", cells=1)
    assert small(torch.zeros(2, 3, 32, 32)).shape == (2, 100)
    assert len(weights(small)) < len(weights(tss.build(index, "cifar100")))
    with pytest.raises(ConfigError, match="no build option 'cell'; it has channels, cells"):
        tss.build(0, "cifar10", cell=1)
    with pytest.raises(ConfigError, match="no build option 'cells'; it has no options"):
        sss.build(0, "cifar10", cells=1)
    with pytest.raises(ConfigError, match="cells of nats-tss is 0; choose 1 or more"):
        tss.build(0, "cifar10", cells=0)


def test_trivial_scores_of_cells(tss: Benchmark) -> None:
    scores = tss.baseline_scores("imagenet16-120")
    assert set(scores) == {"params", "flops", "convolutions"}
    assert scores["params"].tolist() == tss.frame["imagenet16-120.params"].tolist()
    assert scores["flops"].tolist() == tss.frame["imagenet16-120.flops_m"].tolist()
    assert scores["convolutions"].tolist() == [a.count("nor_conv") for a in tss.archs]
    assert all(score.dtype == np.float64 for score in scores.values())
    few = tss.baseline_scores("imagenet16-120", np.array([5, 2]))
    assert {n: v.tolist() for n, v in few.items()} == {
        n: v[[5, 2]].tolist() for n, v in scores.items()
    }


def test_trivial_scores_of_sizes(sss: Benchmark) -> None:
    scores = sss.baseline_scores("cifar10")
    assert set(scores) == {"params", "flops", "sum_log_channels", "depth2_log_channels"}
    row = sss.index_of("8:16:8:8:16")
    ln8, ln16 = np.log(8), np.log(16)
    assert scores["sum_log_channels"][row] == pytest.approx(3 * ln8 + 2 * ln16)
    expected = ln8 * (1 + 9 + 16) + ln16 * (4 + 25)
    assert scores["depth2_log_channels"][row] == pytest.approx(expected)


def test_a_pickled_benchmark_is_the_same(tss: Benchmark) -> None:
    copy = pickle.loads(pickle.dumps(tss))
    assert copy.archs == tss.archs
    assert copy.checksum == tss.checksum
    assert torch.equal(weights(copy.build(2, "cifar10")), weights(tss.build(2, "cifar10")))


def test_images_are_normalised_and_balanced(tss: Benchmark, folder: Path) -> None:
    images, labels = tss.images("cifar10", 15, seed=3)
    assert images.shape == (15, 3, 32, 32)
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    counts = torch.bincount(labels, minlength=10)
    assert counts.max() - counts.min() == 1
    with np.load(folder / "images" / "cifar10.npz") as arrays:
        stored = {array.tobytes() for array in arrays["images"]}
    mean = torch.tensor([125.3, 123.0, 113.9]).view(3, 1, 1)
    std = torch.tensor([63.0, 62.1, 66.7]).view(3, 1, 1)
    for image in images:
        pixels = (image * std + mean).round().to(torch.uint8).permute(1, 2, 0)
        assert pixels.contiguous().numpy().tobytes() in stored


def test_image_draws_follow_the_seed(tss: Benchmark) -> None:
    first, again = tss.images("cifar100", 30, seed=1), tss.images("cifar100", 30, seed=1)
    assert torch.equal(first[0], again[0])
    assert torch.equal(tss.images("cifar100", 7, seed=1)[1], first[1][:7])
    assert not torch.equal(tss.images("cifar100", 30, seed=2)[1], first[1])


def test_balanced_order_takes_every_image_once() -> None:
    labels = np.array([0, 0, 0, 0, 1, 2, 2])
    order = balanced_order(labels, seed=0)
    assert sorted(order) == list(range(7))
    assert sorted(labels[order][:3]) == [0, 1, 2]
    assert sorted(labels[order][3:5]) == [0, 2]


@pytest.mark.parametrize("batch", [0, -1, 21])
def test_impossible_batches(tss: Benchmark, batch: int) -> None:
    with pytest.raises(ConfigError, match="choose 1 to 20"):
        tss.images("cifar10", batch)


def test_missing_images_name_the_command(tss: Benchmark, folder: Path) -> None:
    (folder / "images" / "cifar10.npz").unlink()
    with pytest.raises(DataError, match="no images at .*data import-images ARCHIVE cifar10"):
        tss.images("cifar10", 4)


@pytest.mark.parametrize("keep", [0, 100, 20_000])
def test_truncated_images(tss: Benchmark, folder: Path, keep: int) -> None:
    path = folder / "images" / "cifar10.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="not a complete image file"):
        tss.images("cifar10", 4)


@pytest.mark.parametrize(
    ("images", "labels", "fault"),
    [
        (np.zeros((4, 3, 32, 32), np.uint8), np.zeros(4, np.int64), "images are uint8"),
        (np.zeros((4, 32, 32, 3), np.float32), np.zeros(4, np.int64), "images are float32"),
        (np.zeros((4, 32, 32, 3), np.uint8), np.zeros(3, np.int64), "labels are int64"),
        (np.zeros((4, 32, 32, 3), np.uint8), np.zeros(4), "labels are float64"),
        (np.zeros((4, 32, 32, 3), np.uint8), np.full(4, 10), "must be 0 to 9"),
        (np.zeros((0, 32, 32, 3), np.uint8), np.zeros(0, np.int64), "must be 0 to 9"),
        (np.array([None]), np.zeros(1, np.int64), "not a complete image file"),
    ],
)
def test_wrong_images(
    tss: Benchmark, folder: Path, images: np.ndarray, labels: np.ndarray, fault: str
) -> None:
    np.savez(folder / "images" / "cifar10.npz", images=images, labels=labels)
    with pytest.raises(DataError, match=fault):
        tss.images("cifar10", 1)


def test_image_file_without_labels(tss: Benchmark, folder: Path) -> None:
    np.savez(folder / "images" / "cifar10.npz", images=np.zeros((4, 32, 32, 3), np.uint8))
    with pytest.raises(DataError, match="labels"):
        tss.images("cifar10", 1)
