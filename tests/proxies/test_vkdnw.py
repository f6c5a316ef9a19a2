"""VKDNW: its Jacobian on networks of every shape, its factor, its aggregate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from greenmachine.proxies.zoo.vkdnw import (
    AGG,
    _cholesky,
    _jacobian,
    vkdnw,
    vkdnw_agg,
    vkdnw_entropy,
)
from tests.proxies.tiny_networks import batch, network


class InPlace(nn.Module):
    """ReLUs that work in place, a layer that reads a constant, a parameter of its own, sharing."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.5, -0.5, 2.0])[:, None, None])
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
        self.relu = nn.ReLU(inplace=True)
        self.constant = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.two.weight = self.one.weight
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x * self.scale))
        x = (x + self.constant(torch.zeros_like(x))).mean((2, 3))
        result: Tensor = self.two(self.relu(self.one(x)))
        return result


def by_image(model: nn.Module, images: Tensor) -> Tensor:
    """The same Jacobian, one backward pass a logit and an image."""
    parameters = list(model.parameters())
    rows = []
    for image in images:
        for logit in model(image[None])[0]:
            found = torch.autograd.grad(logit, parameters, retain_graph=True, allow_unused=True)
            rows.append([0.0 if g is None else g.flatten()[0].item() for g in found])
    return torch.tensor(rows, dtype=torch.float64).reshape(len(images), -1, len(parameters))


@pytest.mark.parametrize("kind", ["plain", "branches", "in place"])
def test_jacobian_of_every_first_entry(kind: str) -> None:
    torch.manual_seed(3)
    model = (InPlace() if kind == "in place" else network(kind)).double().eval()
    images = batch()[0].double()
    expected = by_image(model, images)
    found, outputs = _jacobian(model, images.clone())
    torch.testing.assert_close(found, expected)
    assert outputs.shape == expected.shape[:2]
    dead = (expected == 0).all(dim=(0, 1))
    assert not dead.all()


def test_factor_of_the_covariance_of_classes() -> None:
    p = torch.rand(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p[0] = 0
    p[0, 3] = 1  # certain of a class
    p = p / p.sum(dim=1, keepdim=True)
    factor, mixed = _cholesky(p), 0.95 * p + 0.05 / 7
    covariance = torch.diag_embed(mixed) - mixed[:, :, None] * mixed[:, None, :]
    torch.testing.assert_close(factor @ factor.mT, covariance)
    assert torch.equal(factor, factor.tril())
    assert (factor.diagonal(dim1=1, dim2=2) >= 0).all()


def test_entropy_lies_between_zero_and_that_of_nine_equal_deciles() -> None:
    found = vkdnw_entropy(network("branches"), batch()[0], seed=1)
    assert 0 < found < math.log(9)
    assert found == vkdnw_entropy(network("branches", seed=4), batch()[0], seed=1), "own weights"
    assert found != vkdnw_entropy(network("branches"), batch()[0], seed=2)


def test_too_few_images_for_a_network_are_said() -> None:
    layers = [nn.Linear(12, 12) for _ in range(30)]  # 60 tensors
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(12, 3))
    images = torch.randn(8, 3, 2, 2)
    with pytest.raises(ValueError, match="1 images and 3 classes.*larger batch"):
        vkdnw_entropy(model, images[:1])
    assert vkdnw_entropy(model, images) >= 0


def test_size_goes_before_entropy() -> None:
    images = batch()[0]
    small, large = network("plain"), network("branches")
    assert vkdnw(small, images) < len(list(small.parameters())) + math.log(9)
    assert vkdnw(large, images) > vkdnw(small, images)


def test_a_network_that_cannot_be_read_is_said() -> None:
    with pytest.raises(ValueError, match="has no parameters|has none"):
        vkdnw_entropy(nn.Flatten(), batch()[0])
    with pytest.raises(ValueError, match="classes"):
        vkdnw_entropy(nn.Conv2d(3, 3, 1), batch()[0])


def test_aggregate_is_the_sum_of_log_ranks() -> None:
    scores = {name: np.array([1.0, 2.0, np.nan, 3.0]) for name in AGG}
    scores["flops"] = np.array([2.0, 2.0, 1.0, 4.0])
    expected = 4 * np.log(np.array([2, 3, 1, 4]) / 4) + np.log(np.array([2.5, 2.5, 1, 4]) / 4)
    np.testing.assert_allclose(vkdnw_agg({**scores, "other": np.zeros(4)}), expected)
    del scores["vkdnw"]
    with pytest.raises(ValueError, match="vkdnw too"):
        vkdnw_agg(scores)


def test_what_a_network_saw_before_does_not_count() -> None:
    fresh, used = network("branches"), network("branches")
    used.train()(batch()[0] + 3)
    without = network("branches")
    for module in without.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = module.running_var = None
            module.track_running_stats = False
    images = batch()[0]
    assert vkdnw(fresh, images) == vkdnw(used, images) == vkdnw(without, images)
