"""Zen-score: the redrawn copy, and where features end."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from greenmachine.proxies import PROXIES, FunctionProxy, function_score
from tests.proxies.direct_features import FEATURES, SEED
from tests.proxies.tiny_networks import SHAPE, batch, network


def zen(model: nn.Module, images: Tensor | None = None, seed: int = SEED) -> float:
    proxy = PROXIES.find("zen")
    assert isinstance(proxy, FunctionProxy)
    return function_score(proxy, model, batch()[0] if images is None else images, seed=seed)


def moves(seed: int = SEED) -> Tensor:
    """What the score adds to the images."""
    return 0.01 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed + 1))


@pytest.mark.parametrize("kind", ["plain", "branches", "branches-double"])
def test_equals_its_direct_formula(kind: str) -> None:
    images = batch()[0].to(next(network(kind).parameters()))
    expected = FEATURES["zen"](network(kind), images, images, torch.empty(0))
    assert zen(network(kind), images) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("end", [nn.AdaptiveAvgPool2d(1), nn.MaxPool2d(8, return_indices=True)])
def test_features_that_are_the_images(end: nn.Module) -> None:
    expected = moves().flatten(1).norm(dim=1).mean().log()
    assert zen(nn.Sequential(nn.Identity(), end)) == pytest.approx(float(expected), rel=1e-5)


def test_features_of_a_perceptron_are_those_of_its_last_layer() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 7), nn.Linear(7, 2))
    draws = torch.Generator().manual_seed(SEED + 1)
    torch.randn(SHAPE, generator=draws)
    weight = torch.randn(7, 192, generator=draws)
    expected = (moves().flatten(1) @ weight.T).norm(dim=1).mean().log()
    assert zen(model) == pytest.approx(float(expected), rel=1e-4)


def test_batch_norm_adds_the_scale_that_it_divides_by() -> None:
    bare = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.AdaptiveAvgPool2d(1))
    normed = nn.Sequential(bare[0], nn.BatchNorm2d(6), bare[1])
    # One N(0, 1) layer on N(0, 1) images: variance 27, of which the running one has seen 19 %.
    running = 0.81 + 0.19 * 27
    gain = zen(normed) - zen(bare)
    assert gain == pytest.approx(0.5 * math.log(running) - 0.5 * math.log(27), abs=0.15)


@pytest.mark.parametrize("change", ["weights", "statistics", "affine", "momentum", "track"])
def test_own_weights_and_statistics_do_not_count(change: str) -> None:
    model = network("branches")
    expected = zen(copy.deepcopy(model))
    norm = model.stem[1]  # type: ignore[index, union-attr]
    assert isinstance(norm, nn.BatchNorm2d)
    if change == "weights":
        model = network("branches", seed=1)
    elif change == "statistics":
        model(batch()[0])
    elif change == "affine":
        nn.init.constant_(norm.weight, 3.0)
        nn.init.constant_(norm.bias, 3.0)
    elif change == "momentum":
        norm.momentum = None
    else:
        norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
    assert zen(model) == expected
    assert zen(model, seed=SEED + 1) != expected


class Gated(nn.Module):
    """A gate that pools, as in squeeze-and-excite, before a convolution; pooling at the end."""

    def __init__(self, pool: bool, note: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1), nn.Sigmoid())
        self.conv = nn.Conv2d(3, 4, 3)
        self.pool = nn.AdaptiveAvgPool2d(1) if pool else None
        self.linear = nn.Linear(4, 2)
        self.note = note

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x * self.gate(x))
        pooled = functional.adaptive_avg_pool2d(x, 1) if self.pool is None else self.pool(x)
        self.note(pooled if self.pool is None else x)
        result: Tensor = self.linear(input=pooled.flatten(1))
        return result


@pytest.mark.parametrize("pool", [True, False])
def test_a_pool_inside_a_gate_does_not_end_the_features(pool: bool) -> None:
    noted: list[Tensor] = []
    found = zen(Gated(pool, lambda features: noted.append(features)))
    before, after = noted
    change = (after - before).flatten(1).norm(dim=1).mean()
    assert found == pytest.approx(float(change.log()), rel=1e-5)


@pytest.mark.parametrize("model", [nn.Conv2d(3, 2, 3), nn.Sequential(), nn.AvgPool2d(2)])
def test_a_network_without_an_end_of_features_is_named(model: nn.Module) -> None:
    with pytest.raises(ValueError, match="no global pooling and no linear layer ran"):
        zen(model)


def test_a_dead_network_scores_minus_infinity() -> None:
    class Dead(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.relu(-x.abs())

    assert zen(nn.Sequential(Dead(), nn.AdaptiveAvgPool2d(1))) == -math.inf


def test_a_batch_norm_of_constants_adds_little() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    expected = zen(model)
    model.append(nn.Unflatten(1, (2, 1, 1))).append(nn.Threshold(1e9, 0.0))
    model.append(nn.BatchNorm2d(2))
    assert zen(model) == pytest.approx(expected + 0.5 * math.log(0.81))
