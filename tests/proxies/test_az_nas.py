"""AZ-NAS: its components on maps that can be counted by hand, and the sum of log ranks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from greenmachine.networks import build_topology
from greenmachine.proxies import PROXIES, FunctionProxy, function_score
from greenmachine.proxies.zoo.az_nas import az_nas
from tests.proxies.direct_features import FEATURES, SEED
from tests.proxies.tiny_networks import batch

COMPONENTS = ("az_expressivity", "az_progressivity", "az_trainability")
EACH = pytest.mark.parametrize("name", COMPONENTS)
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|none~2|"


def score(name: str, model: nn.Module, images: Tensor | None = None) -> float:
    proxy = PROXIES.find(name)
    assert isinstance(proxy, FunctionProxy)
    return function_score(proxy, model, batch()[0] if images is None else images, seed=SEED)


def scale(channels: int, *factors: float, stride: int = 1) -> nn.Conv2d:
    """A convolution of each channel alone, whose kernel holds ``factors``."""
    size = round(len(factors) ** 0.5)
    layer = nn.Conv2d(channels, channels, size, stride, groups=channels, bias=False)
    layer.weight.data[:] = torch.tensor(factors).reshape(size, size)
    return layer


def white(channels: int = 2) -> Tensor:
    """Images (4, channels, 4, 4) whose channels have one variance and no correlation."""
    rows = torch.randn(64, channels, generator=torch.Generator().manual_seed(0))
    basis = torch.linalg.qr(rows - rows.mean(0)).Q
    return basis.reshape(4, 4, 4, channels).permute(0, 3, 1, 2).contiguous()


@EACH
def test_equals_its_direct_formula(name: str) -> None:
    def model() -> nn.Module:
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 5, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(5, 7, 1)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(112, 5)).double()

    images = batch()[0].double()
    expected = FEATURES[name](model(), images, images, torch.empty(0))
    assert score(name, model(), images) == pytest.approx(expected, rel=1e-9)


def test_entropy_of_white_channels_is_the_logarithm_of_their_number() -> None:
    model = nn.Sequential(scale(2, 3.0), scale(2, -0.1), scale(2, 1.0))
    assert score("az_expressivity", model, white()) == pytest.approx(3 * math.log(2))
    assert score("az_progressivity", model, white()) == pytest.approx(0, abs=1e-6)


def test_progressivity_is_the_smallest_step() -> None:
    narrow = nn.Conv2d(2, 3, 1, bias=False)
    narrow.weight.data[:] = torch.tensor([[1.0, 0], [1, 0], [1, 0]])[..., None, None]
    model = nn.Sequential(scale(2, 3.0), scale(2, 2.0), narrow, scale(3, 1.0))
    assert score("az_progressivity", model, white()) == pytest.approx(-math.log(2))
    assert score("az_expressivity", model, white()) == pytest.approx(2 * math.log(2), abs=1e-5)


@pytest.mark.parametrize(
    ("layer", "sigma"),
    [
        (scale(1, 2.0), 2.0),
        (scale(1, -0.5), 0.5),
        (scale(1, 0.0), 0.0),
        (scale(1, 3.0, 0.0, 0.0, 4.0, stride=2), 5.0),  # four positions come back as channels
        (scale(1, 0.0, 0.0, 0.0, 3.0, stride=2), 3.0),
    ],
)
def test_trainability_of_one_channel(layer: nn.Conv2d, sigma: float) -> None:
    model = nn.Sequential(scale(1, 1.0), layer)
    found = score("az_trainability", model, white(1))
    assert found == pytest.approx(2 - sigma - 1 / (sigma + 1e-6))


def test_trainability_cuts_a_border_that_does_not_divide() -> None:
    images = torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    layer = scale(1, *[0.0] * 4, 2.0, *[0.0] * 4)  # 5×5 becomes 3×3
    found = score("az_trainability", nn.Sequential(scale(1, 1.0), layer), images)
    assert found == pytest.approx(2 - 2 - 1 / 2, abs=1e-5)


def test_trainability_is_best_where_the_gradient_keeps_its_length() -> None:
    model = nn.Sequential(scale(1, 1.0), scale(1, -1.0), scale(1, -1.0))
    assert score("az_trainability", model, white(1)) == pytest.approx(0, abs=1e-5)


def test_a_block_without_effect_fails() -> None:
    model = nn.Sequential(scale(2, 2.0), scale(2, 3.0), nn.Identity())
    assert score("az_trainability", model, white()) == -math.inf
    assert math.isfinite(score("az_expressivity", model, white()))


def test_a_block_that_gives_constants_fails() -> None:
    model = nn.Sequential(scale(2, 2.0), nn.Threshold(1e9, 5.0), scale(2, 1.0))
    assert math.isnan(score("az_expressivity", model, white()))
    assert math.isnan(score("az_progressivity", model, white()))
    # Nothing comes back through it.
    assert score("az_trainability", model, white()) < -1e5


def test_blocks_that_are_not_connected() -> None:
    class Detached(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach() * 2

    class Zeros(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.new_zeros(x.shape)

    for block in (Detached(), Zeros()):
        model = nn.Sequential(scale(2, 2.0), block)
        assert score("az_trainability", model, white()) == pytest.approx(2 - 1e6)


@EACH
def test_blocks_are_seen_through_containers(name: str) -> None:
    class Listed(nn.Module):
        def __init__(self, parts: nn.Module) -> None:
            super().__init__()
            stem, *body, self.head = parts.children()
            self.stem, self.blocks = stem, nn.ModuleList(body)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            for block in self.blocks:
                x = block(x)
            result: Tensor = self.head(x)
            return result

    def model() -> nn.Module:
        torch.manual_seed(0)
        return build_topology(CELL, channels=4, cells=1)

    expected = score(name, model())
    first, *others = model().children()
    nested = nn.Sequential(first, nn.Sequential(*others[:3]), nn.Sequential(*others[3:]))
    for other in (nn.Sequential(model()), Listed(model()), nn.Sequential(Listed(model()))):
        assert score(name, other) == expected
    nested.load_state_dict(
        dict(zip(nested.state_dict(), model().state_dict().values(), strict=True))
    )
    assert score(name, nested) == expected


@EACH
def test_single_layers_count_only_where_there_are_no_other_blocks(name: str) -> None:
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Sequential(nn.Conv2d(4, 6, 3))]
    bare = score(name, nn.Sequential(*blocks))
    assert score(name, nn.Sequential(blocks[0], nn.Tanh(), blocks[1])) != bare
    assert score(name, nn.Sequential(nn.Identity(), *blocks, nn.Dropout(), nn.ReLU())) == bare


@EACH
def test_what_works_in_place_changes_nothing(name: str) -> None:
    scores = []
    for inplace in (False, True):
        torch.manual_seed(3)
        layers = [nn.ReLU(inplace=inplace), nn.Conv2d(3, 5, 3), nn.ReLU(inplace=inplace)]
        scores.append(score(name, nn.Sequential(*layers, nn.Conv2d(5, 6, 3))))
    assert scores[0] == scores[1]


@EACH
def test_a_block_that_fires_twice_counts_twice(name: str) -> None:
    one, two = scale(3, 0.7), scale(3, 0.7)
    expected = score(name, nn.Sequential(nn.Tanh(), one, nn.Tanh(), two))

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tanh, self.layer = nn.Tanh(), one

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(2):
                x = self.layer(self.tanh(x))
            return x

    assert score(name, Twice()) == expected


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Conv2d(3, 4, 3),
        lambda: nn.Linear(8, 3),
        lambda: nn.Sequential(),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.ReLU()),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.ReLU()),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Pair()),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(0, 1), nn.Unflatten(0, (2, 8))),
    ],
    ids=["layer", "linear", "empty", "perceptron", "pooled", "tuple", "other-batch"],
)
@EACH
def test_networks_without_successive_blocks_are_named(
    name: str, build: Callable[[], nn.Module]
) -> None:
    model = build()
    with pytest.raises(ValueError, match=r"successive blocks: this network has [01]"):
        score(name, model)
    assert not any(module._forward_hooks for module in model.modules())


def test_maps_that_grow_are_named() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2))
    with pytest.raises(ValueError, match="maps grow"):
        score("az_trainability", model)


def test_az_nas_by_hand() -> None:
    found = az_nas({"a": [1.0, 2.0, 3.0], "b": [30.0, 10.0, 20.0]})
    expected = [math.log(1 / 3), math.log(2 / 3 * 1 / 3), math.log(2 / 3)]
    assert found == pytest.approx(expected)


def test_az_nas_of_ties_and_failures() -> None:
    found = az_nas({"a": [math.nan, 5.0, -math.inf, 5.0, -1e9, math.inf]})
    # Three failures share rank 2, whatever they are; the two fives share rank 5.5.
    assert found == pytest.approx(np.log(np.array([2, 5.5, 2, 5.5, 4, 2]) / 6))


@settings(max_examples=30)
@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 3), min_size=1, max_size=20))
def test_az_nas_reads_ranks_alone(rows: list[tuple[float, float, float]]) -> None:
    columns = dict(zip("abc", np.array(rows).T, strict=True))
    found = az_nas(columns)
    assert (found <= 0).all()
    assert found == pytest.approx(az_nas({name: 2 * values for name, values in columns.items()}))
    backwards = az_nas({name: values[::-1] for name, values in reversed(columns.items())})
    assert found == pytest.approx(backwards[::-1])


@pytest.mark.parametrize(
    "components",
    [{}, {"a": [1.0], "b": [1.0, 2.0]}, {"a": 1.0}, {"a": [[1.0]]}],
    ids=["none", "lengths", "number", "matrix"],
)
def test_az_nas_names_what_does_not_fit(components: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="ranks need vectors") as caught:
        az_nas(components)
    assert "\n" not in str(caught.value)
