"""SWAP and WRCor on networks whose patterns can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from greenmachine.proxies.zoo.swap import pattern_count, swap_regularised
from greenmachine.proxies.zoo.wrcor import weighted_correlation
from tests.proxies.tiny_networks import batch, network


def rectifier(inplace: bool = False) -> nn.Module:
    return nn.Sequential(nn.ReLU(inplace=inplace), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ([[1, 1, 1, 1], [1, 1, 1, 1]], 1),
        ([[1, 1, -1, 0], [1, -1, 1, -1]], 4),  # ++ +- -+ --: zero is not positive
        ([[1, 1, -1, -1], [1, -1, 1, 1]], 3),
    ],
)
def test_patterns_of_units_over_images(rows: list[list[float]], count: int, inplace: bool) -> None:
    images = torch.tensor(rows, dtype=torch.float32).reshape(2, 1, 2, 2)
    assert pattern_count(rectifier(inplace), images) == count
    assert images.flatten(1).tolist() == rows, "a ReLU in place worked on the user's images"


def test_patterns_of_two_rectifiers_are_counted_together() -> None:
    images = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, 1]]).reshape(2, 1, 2, 2)
    layers: list[nn.Module] = [nn.ReLU(), nn.Conv2d(1, 1, 1, bias=False), nn.ReLU()]
    layers[1].weight.data.fill_(-1.0)  # type: ignore[operator, union-attr]
    # The second is nowhere positive: a fourth pattern.
    assert pattern_count(nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 2)), images) == 4


def test_more_than_eight_images_take_more_than_a_byte() -> None:
    images = torch.eye(12).reshape(12, 12, 1, 1) - 0.5
    model = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    assert pattern_count(model, images) == 12


def test_networks_without_maps_before_a_rectifier_are_said() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3), nn.ReLU())
    with pytest.raises(ValueError, match="no ReLU read feature maps"):
        pattern_count(model, batch()[0])
    with pytest.raises(ValueError, match="no ReLU ran in a block"):
        weighted_correlation(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), *batch_of(3))


def batch_of(classes: int) -> tuple[Tensor, Tensor]:
    images, labels = batch()
    return images, labels % classes


def test_regularised_form_favours_a_size() -> None:
    swap, params = np.array([10.0, 20.0, 30.0]), np.array([1.0, 2.0, 3.0])
    found = swap_regularised(swap, params, mean=3, variance=2)
    np.testing.assert_allclose(found, [10 * math.exp(-2), 20 * math.exp(-0.5), 30])
    own = swap_regularised(swap, params)  # mean 3, variance 9
    np.testing.assert_allclose(own, [10 * math.exp(-4 / 9), 20 * math.exp(-1 / 9), 30])
    np.testing.assert_allclose(swap_regularised(swap, 1e6 * params), own)
    np.testing.assert_allclose(swap_regularised(swap, np.ones(3)), swap)
    np.testing.assert_allclose(swap_regularised(swap, np.zeros(3)), swap)


@pytest.mark.parametrize("failed", [math.nan, math.inf, -math.inf])
def test_regularised_form_of_a_failed_network_is_missing(failed: float) -> None:
    swap, params = np.array([10.0, 20.0, 30.0, 5.0]), np.array([1.0, 2.0, failed, 1.0])
    expected = swap_regularised(swap[[0, 1, 3]], params[[0, 1, 3]])
    found = swap_regularised(swap, params)
    np.testing.assert_array_equal(found[[0, 1, 3]], expected)
    assert math.isnan(found[2])
    assert math.isnan(swap_regularised([failed, 1.0], [1.0, 2.0])[0])
    assert np.isnan(swap_regularised(swap, np.full(4, failed))).all()


@pytest.mark.parametrize(
    ("params", "settings"),
    [(np.ones(2), {}), (np.ones((3, 1)), {}), (np.ones(3), {"variance": 0.0})],
)
def test_regularised_form_refuses_what_it_cannot_join(
    params: np.ndarray, settings: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match="two vectors|positive"):
        swap_regularised(np.ones(3), params, **settings)


def test_correlation_needs_two_images_and_labels() -> None:
    images, labels = batch()
    with pytest.raises(ValueError, match="labels are missing"):
        weighted_correlation(network("plain"), images)
    with pytest.raises(ValueError, match="give 2 or more"):
        weighted_correlation(network("plain"), images[:1], labels[:1])


def test_later_blocks_weigh_twice_as_much() -> None:
    """Two blocks of which one has a rectifier: its place among those that have one counts."""
    images, labels = batch_of(2)

    def model(first: nn.Module) -> nn.Module:
        torch.manual_seed(0)
        second = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        return nn.Sequential(first, second, head)

    alone = weighted_correlation(model(nn.Sequential(nn.Identity())), images, labels)
    # The rectifier of the first block reads the images, whose correlations it adds; gradients and
    # inputs of the second now weigh 2 instead of 1.
    positive = images.abs()
    both = weighted_correlation(model(nn.Sequential(nn.ReLU())), positive, labels)
    single = weighted_correlation(model(nn.Sequential(nn.Identity())), positive, labels)
    assert alone != single
    assert both > single + math.log(2) * len(images)
