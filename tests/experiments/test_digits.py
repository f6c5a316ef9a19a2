"""The recipe of the embedded benchmarks."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from experiments.build_digits import facts, merged, ship
from experiments.digits.compose import CANVAS, compose, split_scans
from experiments.digits.ensemble import Images, Recipe, fuse, train
from experiments.digits.training import RECIPES, SPACES, architectures, train_one
from greenmachine.benchmarks import load_benchmark
from greenmachine.benchmarks.digits import DIGITS, EMBEDDED, load_digits_tss
from greenmachine.benchmarks.table import checksum
from greenmachine.networks import build_size, build_topology

CELLS = (
    "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|",  # a convolution of nothing
)


def _build(kind: str) -> nn.Module:
    if kind == "size":
        return build_size("2:4:3:5:2")
    return build_topology(CELLS[int(kind)], channels=4, cells=1)


@pytest.mark.parametrize("kind", ["0", "1", "size"])
def test_fused_networks_do_what_each_does(kind: str) -> None:
    networks = []
    for seed in range(3):
        torch.manual_seed(seed)
        networks.append(_build(kind))
    images = torch.randn(4, 3, 3, 12, 12)  # (B, seed, channel, ...): each seed sees its own
    alone = torch.stack([network(images[:, i]) for i, network in enumerate(networks)], 1)
    parameters = [list(network.parameters()) for network in networks]
    heads = [
        torch.autograd.grad(alone[:, i].square().sum(), weights[-2], retain_graph=True)[0]
        for i, weights in enumerate(parameters)
    ]
    fused = fuse(networks)
    together = fused(images.flatten(1, 2))
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    (head,) = torch.autograd.grad(
        together.square().sum(), list(fused.parameters())[-2], retain_graph=True
    )
    torch.testing.assert_close(head, torch.stack(heads), rtol=1e-3, atol=1e-4)
    if kind != "1":  # where nothing flows, the first layer has no gradient
        stems = [
            torch.autograd.grad(alone[:, i].square().sum(), weights[0], retain_graph=True)[0]
            for i, weights in enumerate(parameters)
        ]
        (stem,) = torch.autograd.grad(together.square().sum(), next(fused.parameters()))
        torch.testing.assert_close(stem, torch.cat(stems), rtol=1e-3, atol=1e-4)


def test_fuse_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="cannot fuse LayerNorm"):
        fuse([nn.Sequential(nn.LayerNorm(3)) for _ in range(2)])


def _toy(count: int, generator: torch.Generator) -> Images:
    """Images whose class is the channel that is bright."""
    labels = torch.randint(0, 3, (count,), generator=generator)
    pixels = torch.randn(count, 3, 12, 12, generator=generator)
    pixels[torch.arange(count), labels] += 2
    return Images(pixels, labels)


def test_training_learns_and_repeats() -> None:
    generator = torch.Generator().manual_seed(0)
    images, test = _toy(256, generator), _toy(64, generator)
    recipe = Recipe(steps=30, batch=16)
    accuracy, loss = train(lambda: _build("0"), images, test, recipe, range(2))
    assert min(accuracy) > 80 and max(loss) < np.log(10)
    assert (accuracy, loss) == train(lambda: _build("0"), images, test, recipe, range(2))
    assert accuracy[0] != accuracy[1] or loss[0] != loss[1]  # the seeds differ


def test_composition() -> None:
    training, test = split_scans()
    assert len(training.labels) + len(test.labels) == 1797
    seen = {scan.tobytes() for scan in training.images}
    assert not any(scan.tobytes() in seen for scan in test.images)
    pixels, labels = compose(training, 500, seed=3)
    again, _ = compose(training, 500, seed=3)
    assert pixels.shape == (500, CANVAS, CANVAS, 3) and pixels.dtype == np.uint8
    assert (pixels == again).all() and set(labels) == set(range(10))
    # What training takes for mean and deviation is what the images have.
    pixels, _ = compose(training, 4000, seed=1)
    np.testing.assert_allclose(pixels.mean((0, 1, 2)), DIGITS.mean, atol=1)
    np.testing.assert_allclose(pixels.std((0, 1, 2)), DIGITS.std, atol=1)


@pytest.mark.parametrize("name", SPACES)
def test_architectures_are_distinct_and_a_trial_has_the_first_of_them(name: str) -> None:
    space, _, count = SPACES[name]
    archs = architectures(name, count)
    canonical = space.canonical or str
    assert len({canonical(arch) for arch in archs}) == count
    assert archs[:10] == architectures(name, 10)


@pytest.mark.parametrize("name", SPACES)
def test_architectures_are_those_of_the_table(name: str) -> None:
    assert architectures(name, SPACES[name][2]) == load_benchmark(name).archs


@pytest.mark.parametrize("name", SPACES)
def test_record_says_what_the_table_has(name: str) -> None:
    record = json.loads((EMBEDDED / f"{name}.json").read_text())
    found = facts(name, load_benchmark(name).frame)
    assert {key: record[key] for key in found} == found
    assert asdict(RECIPES[name]).items() <= record["recipe"].items()


def test_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Images(torch.randn(32, 3, 12, 12), torch.arange(32) % 10)
    monkeypatch.setattr("experiments.digits.training.data", lambda: (small, small))
    recipes = {"digits-tss": Recipe(seeds=3, together=2, steps=2, batch=4)}
    monkeypatch.setattr("experiments.digits.training.RECIPES", recipes)
    monkeypatch.setattr("experiments.build_digits.RECIPES", recipes)
    trained = []
    for place, arch in enumerate(architectures("digits-tss", 3)):
        parts = []
        for seeds in recipes["digits-tss"].groups:
            path = tmp_path / f"{place}-{seeds[0]}.json"
            train_one("digits-tss", arch, seeds, path)
            parts.append(json.loads(path.read_text()))
        trained.append(merged(parts))
    assert [len(row["test"]) for row in trained] == [3, 3, 3]
    record = ship("digits-tss", trained, tmp_path / "out")
    table = tmp_path / "out" / "digits-tss.parquet"
    assert record["sha256"]["digits-tss.parquet"] == checksum(table)
    benchmark = load_digits_tss(tmp_path / "out")
    np.testing.assert_allclose(
        benchmark.accuracy("digits"), [np.mean(row["test"]) for row in trained], atol=1e-4
    )
    images, labels = benchmark.images("digits", 20)
    assert isinstance(images, Tensor) and images.shape == (20, 3, 12, 12)
    assert (labels.bincount(minlength=10) == 2).all()
