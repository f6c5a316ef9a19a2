"""MeCo of one image: what each feature map adds, and which maps count."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from greenmachine.proxies import PROXIES, FunctionProxy, function_score
from tests.proxies.direct_features import FEATURES, SEED
from tests.proxies.tiny_networks import batch, network

LAYERS, MODULES = ("meco", "meco_opt"), ("meco_modules", "meco_opt_modules")
ALL = pytest.mark.parametrize("name", [*LAYERS, *MODULES])
KINDS = pytest.mark.parametrize("kind", ["plain", "branches", "branches-double"])


def score(name: str, model: nn.Module, images: Tensor, seed: int = SEED) -> float:
    proxy = PROXIES.find(name)
    assert isinstance(proxy, FunctionProxy)
    return function_score(proxy, model, images, seed=seed)


def identity(channels: int) -> nn.Conv2d:
    """A 1×1 convolution that hands its input on."""
    layer = nn.Conv2d(channels, channels, 1, bias=False)
    nn.init.dirac_(layer.weight)
    return layer


def correlated(r: float) -> Tensor:
    """One image (1, 2, 2, 2) whose two channels have the correlation ``r``."""
    x, y = torch.tensor([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]])
    return torch.stack([x, r * x + (1 - r * r) ** 0.5 * y]).reshape(1, 2, 2, 2)


def orthogonal(channels: int) -> Tensor:
    """One image (1, channels, 4, 8) of rows of a Hadamard matrix: centred, not correlated."""
    matrix = torch.ones(1, 1)
    while len(matrix) < 32:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix[1 : channels + 1].reshape(1, channels, 4, 8)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # correlation of a single position
@KINDS
@ALL
def test_equals_its_direct_formula(name: str, kind: str) -> None:
    images = batch()[0].to(next(network(kind).parameters()))
    expected = FEATURES[name](network(kind), images, images, torch.empty(0))
    assert score(name, network(kind), images) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("r", [0.0, 0.6, -0.6, 1.0])
@ALL
def test_two_channels(name: str, r: float) -> None:
    assert score(name, identity(2), correlated(r)) == pytest.approx(1 - abs(r), abs=1e-6)


@pytest.mark.parametrize(("channels", "factor"), [(16, 2.0), (9, 1.125), (8, 1.0), (3, 1.0)])
def test_sampled_channels_stand_for_all(channels: int, factor: float) -> None:
    image = orthogonal(channels)
    assert score("meco", identity(channels), image) == pytest.approx(1)
    assert score("meco_opt", identity(channels), image) == pytest.approx(factor)
    assert score("meco_opt_modules", identity(channels), image) == pytest.approx(factor)


def test_samples_follow_the_seed() -> None:
    image = torch.randn(1, 12, 4, 4, generator=torch.Generator().manual_seed(0))
    found = {score("meco_opt", identity(12), image, seed) for seed in range(5)}
    assert len(found) == 5


@ALL
def test_only_the_first_image_counts(name: str) -> None:
    images = batch()[0]
    model = network("branches")  # batch norm would see the others
    assert score(name, model, images) == score(name, model, images[:1])


@ALL
def test_more_channels_than_positions_are_exactly_nothing(name: str) -> None:
    image = torch.randn(1, 9, 2, 4, generator=torch.Generator().manual_seed(0))
    # Of 9 channels at 8 positions 8 are looked at, which are as many as there are positions.
    assert score(name, identity(9), image) == 0.0
    assert score(name, nn.Sequential(nn.Flatten(), nn.Linear(72, 5)), image) == 0.0


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
@ALL
def test_a_constant_channel_correlates_with_nothing(name: str, value: float) -> None:
    image = orthogonal(3)
    image[:, 1] = value
    assert score(name, identity(3), image) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@ALL
def test_an_image_that_is_not_finite_is_refused(name: str, value: float) -> None:
    image = orthogonal(3)
    image[0, 1, 0, 0] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        score(name, nn.Sequential(nn.Identity(), identity(3)), image)


@ALL
def test_one_channel_is_its_own_least_eigenvalue(name: str) -> None:
    assert score(name, identity(1), orthogonal(1)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "times"),
    [("meco", 1), ("meco_opt", 1), ("meco_modules", 4), ("meco_opt_modules", 4)],
)
def test_containers_count_where_modules_do(name: str, times: int) -> None:
    model = nn.Sequential(nn.Sequential(nn.Sequential(identity(2))), nn.Flatten())
    # The convolution and three containers, of which the outermost gives a vector.
    model = nn.Sequential(model[0], nn.Identity()) if times == 4 else model
    expected = {1: 0.4, 4: 5 * 0.4}[times]
    assert score(name, model, correlated(0.6)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("name", "times"), [("meco", 2), ("meco_modules", 4)])
def test_a_layer_that_fires_twice_counts_twice(name: str, times: int) -> None:
    layer = identity(2)
    model = nn.Sequential(layer, layer, nn.ReLU(inplace=False))
    rectified = score("meco_modules", nn.Identity(), correlated(0.6).relu())
    extra = 2 * rectified if name == "meco_modules" else 0.0  # the ReLU and the network
    expected = 2 * 0.4 + extra
    assert score(name, model, correlated(0.6)) == pytest.approx(expected, abs=1e-6)


@ALL
def test_what_works_in_place_changes_nothing(name: str) -> None:
    images = batch()[0]
    scores = []
    for inplace in (False, True):
        torch.manual_seed(3)
        head = [nn.ReLU(inplace=inplace), nn.Conv2d(5, 4, 3)]
        model = nn.Sequential(nn.ReLU(inplace=inplace), nn.Conv2d(3, 5, 3), *head)
        scores.append(score(name, model, images))
    assert scores[0] == scores[1] != 0


class Odd(nn.Module):
    """Returns what is no tensor."""

    def __init__(self, wrap: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, x: Tensor) -> object:
        return self.wrap(x)


@pytest.mark.parametrize(
    ("wrap", "adds"),
    [
        (lambda x: (x, None), 1),
        (lambda x: [x], 1),
        (lambda x: (), 0),
        (lambda x: {"maps": x}, 1),
        (lambda x: None, 0),
        (lambda x: x.argmax(1), 0),
        (lambda x: x.long(), 0),
        (lambda x: x.mean(), 0),
        (lambda x: x[:, :0], 0),
    ],
    ids=["tuple", "list", "empty", "dict", "none", "vector", "integers", "number", "no-channel"],
)
@pytest.mark.parametrize("name", MODULES)
def test_modules_that_return_other_things(
    name: str, wrap: Callable[[Tensor], object], adds: int
) -> None:
    assert score(name, Odd(wrap), correlated(0.6)) == pytest.approx(0.4 * adds, abs=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_tokens_have_their_features_for_channels(name: str) -> None:
    model = nn.Sequential(nn.Flatten(2), nn.Linear(2, 2, bias=False))
    nn.init.eye_(model[1].weight)
    tokens = correlated(0.6).reshape(1, 2, 4).mT.reshape(1, 4, 1, 2)
    assert score(name, model, tokens) == pytest.approx(0.4, abs=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_a_network_without_layers_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="no convolution or linear layer ran"):
        score(name, nn.Sequential(nn.ReLU()), correlated(0.6))


@ALL
def test_batch_norm_of_one_vector_is_named(name: str) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 3), nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        score(name, model, correlated(0.6))
    assert not any(module._forward_hooks for module in model.modules())
