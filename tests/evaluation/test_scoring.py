"""Scores over a benchmark: expressions and functions side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import Tensor, nn

from greenmachine.benchmarks import load_benchmark
from greenmachine.engine import Evaluator
from greenmachine.errors import ConfigError, DataError
from greenmachine.evaluation import (
    capture_spec,
    read_scores,
    score_columns,
    score_networks,
    score_to_file,
)
from greenmachine.language import parse
from greenmachine.proxies import PROXIES, FunctionProxy, function_score
from greenmachine.signals.passes import noise_images

pytestmark = pytest.mark.usefixtures("synthetic_data")

NORM = "sum_layers(l2_norm(noise_weight_grad))"
MIXED = {"nwot": "nwot", "norm": NORM, "agreement": "nwot_inputs", "again": "nwot"}
INDICES = [250, 3, 40, 41, 42, 43, 100, 7, 299, 12]
SPEC = capture_spec(
    "nats-tss",
    "cifar10",
    [parse(NORM), parse(PROXIES.find("nwot_inputs").expression)],
    batch=4,
    seed=3,
    options={"cells": 1},
)


def mean_of_noise(model: nn.Module, images: Tensor, labels: Tensor | None, seed: int) -> float:
    """Fails where there is no pool in the cell."""
    assert labels is None
    if sum(isinstance(module, nn.AvgPool2d) for module in model.modules()) <= 2:
        raise ValueError("no pool\nin the cell")
    return float(images.mean()) + seed


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that takes noise, in the zoo of this process."""
    added = FunctionProxy(
        name="noisy",
        function=mean_of_noise,
        passes=("noise",),
        reference="here",
        description="Mean.",
    )
    monkeypatch.setitem(PROXIES._proxies, added.name, added)
    monkeypatch.setitem(PROXIES._modules, added.name, "greenmachine")


def test_mixture_is_each_alone() -> None:
    told: list[tuple[int, int]] = []
    frame = score_networks(
        MIXED, SPEC, INDICES, workers=1, progress=lambda done, total: told.append((done, total))
    )
    assert list(frame.columns) == ["index", "arch", *MIXED]
    assert frame["index"].tolist() == INDICES
    assert told == [(0, 10), (8, 10), (10, 10)]
    for name, text in MIXED.items():
        alone = score_networks({name: text}, SPEC, INDICES, workers=1)
        np.testing.assert_array_equal(frame[name], alone[name])
        assert frame[name].dtype == np.float64
    assert frame["nwot"].notna().sum() >= 8


def test_scores_are_those_of_the_engine() -> None:
    frame = score_networks({"norm": NORM, "other": "nwot_inputs"}, SPEC, INDICES, workers=1)
    expressions = [parse(NORM), parse(PROXIES.find("nwot_inputs").expression)]
    expected = Evaluator.of_networks(SPEC, INDICES).scores(expressions)
    np.testing.assert_array_equal(frame[["norm", "other"]].to_numpy().T, expected)


def test_scores_do_not_depend_on_the_number_of_workers() -> None:
    one = score_networks(MIXED, SPEC, INDICES, workers=1)
    pd.testing.assert_frame_equal(one, score_networks(MIXED, SPEC, INDICES, workers=2))


def test_functions_see_the_network_and_images_of_the_engine() -> None:
    benchmark, proxy = load_benchmark("nats-tss"), PROXIES.find("nwot")
    assert isinstance(proxy, FunctionProxy)
    frame = score_networks({"nwot": "nwot"}, SPEC, INDICES, workers=1)
    images, labels = benchmark.images("cifar10", 4, seed=3)
    for index, score in zip(INDICES, frame["nwot"], strict=True):
        model = benchmark.build(index, "cifar10", seed=3, cells=1)
        single = function_score(proxy, model, images, labels, seed=3)
        assert score == single or (np.isnan(score) and not np.isfinite(single))


@pytest.mark.usefixtures("noisy")
def test_failures_are_nan_and_told() -> None:
    lines: list[str] = []
    frame = score_networks(
        {"mine": "noisy", "norm": NORM}, SPEC, INDICES, workers=1, announce=lines.append
    )
    pooled = frame["arch"].str.contains("avg_pool")
    assert frame["mine"].notna().tolist() == pooled.tolist()
    assert 0 < pooled.sum() < len(INDICES)
    expected = float(noise_images((4, 3, 32, 32), 3).mean()) + 3
    assert frame["mine"][pooled].tolist() == [expected] * pooled.sum()
    assert lines == [
        f"mine failed on {(~pooled).sum()} of 10 networks: ValueError: no pool in the cell"
    ]


def weights_of(model: nn.Module, images: Tensor | None, labels: Tensor | None, seed: int) -> float:
    assert images is None and labels is None
    return float(sum(weight.numel() for weight in model.parameters()))


def test_a_function_without_a_pass_needs_no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    added = FunctionProxy(
        name="counted", function=weights_of, passes=(), reference="here", description="Weights."
    )
    monkeypatch.setitem(PROXIES._proxies, added.name, added)
    monkeypatch.setitem(PROXIES._modules, added.name, "greenmachine")
    frame = score_networks({"n": "counted", "norm": NORM, "sed": "sed"}, SPEC, INDICES, workers=1)
    benchmark = load_benchmark("nats-tss")
    networks = [benchmark.build(index, "cifar10", cells=1) for index in INDICES]
    assert frame["n"].tolist() == [weights_of(network, None, None, 0) for network in networks]


def test_a_score_that_is_not_finite_is_a_failure() -> None:
    benchmark = load_benchmark("nats-tss")
    dead = [i for i, arch in enumerate(benchmark.archs) if arch.split("+")[2].count("none") == 3]
    lines: list[str] = []
    frame = score_networks({"nwot": "nwot"}, SPEC, dead[:1], workers=1, announce=lines.append)
    assert frame["nwot"].isna().all()
    assert lines == ["nwot failed on 1 of 1 networks: the score is -inf"]


def test_faults_that_are_not_the_networks_are_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synthetic_data: Path
) -> None:
    with pytest.raises(ConfigError, match="no build option"):
        score_networks({"n": "nwot"}, replace(SPEC, options={"depth": 1}), [1], workers=1)
    (tmp_path / "nats-bench").symlink_to(synthetic_data / "nats-bench")
    monkeypatch.setenv("GREENMACHINE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="import-images"):
        score_networks({"n": "nwot"}, SPEC, [1], workers=1)


PARTLY_COVERED = """
import torch
from torch import nn

INPUT_SHAPE = (3, 8, 8)


class Kernel(nn.Module):
    def __init__(self, covered):
        super().__init__()
        self.covered, self.conv = covered, nn.Conv2d(3, 4, 3, bias=False)
        self.kernel = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.head = nn.Linear(4, 3, bias=False)

    def forward(self, x):
        maps = self.conv(x) if self.covered else nn.functional.conv2d(x, self.kernel)
        return self.head(maps.mean((2, 3)))


def build(arch):
    network = Kernel(arch == "covered")
    if arch == "covered":
        del network.kernel
    return network
"""


def test_a_score_file_says_how_much_of_a_network_is_covered(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(PARTLY_COVERED)
    (tmp_path / "table.csv").write_text("arch,accuracy\ncovered,50\npartly,60\n")
    name = f"{tmp_path}/space.py:{tmp_path}/table.csv"
    lines: list[str] = []
    for out, proxy in (("a.parquet", "l2_norm"), ("b.parquet", "meco")):
        spec = capture_spec(name, "own", [parse("sum_layers(l2_norm(weight))")], batch=2, seed=0,
                            options={})  # fmt: skip
        score_to_file({proxy: proxy}, spec, [0, 1], tmp_path / out, workers=1,
                      announce=lines.append)  # fmt: skip
    assert [line for line in lines if "1 of 2 networks use weights outside" in line]
    frame = read_scores([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert frame["coverage"].tolist() == [1.0, pytest.approx(12 / (12 + 108))]
    assert score_columns(frame) == ["l2_norm", "meco"]
    score_to_file({"l2_norm": "l2_norm"}, spec, [0], tmp_path / "c.parquet", workers=1)
    assert "coverage" not in read_scores([tmp_path / "c.parquet"])
