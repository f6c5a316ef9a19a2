"""Rectifiers and other activations, in nwot and in synflow."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import greenmachine
from greenmachine.proxies import FunctionProxy
from tests.disguises import SHAPE, Net
from tests.proxies.any_network import OF_NETWORKS, score, seeded

# --- activations ------------------------------------------------------------------------------


class Activated(Net):
    def __init__(self, activation: Any) -> None:
        super().__init__()
        for piece in (self.first, self.second, self.third):
            piece[2] = nn.Identity()
        self.activation = activation

    def blocks(self, x: Tensor) -> Tensor:
        for piece in (self.first, self.second, self.third):
            x = self.activation(piece(x))
        return x


RELUS = {
    "relu": nn.ReLU(),
    "relu in place": nn.ReLU(inplace=True),
    "relu6": nn.ReLU6(),
    "leaky": nn.LeakyReLU(),
    "rrelu": nn.RReLU(),
    "prelu": nn.PReLU(init=0.25),
    "function": functional.relu,
    "function in place": functional.relu_,
    "torch": torch.relu,
    "method": lambda x: x.relu(),
    "function relu6": functional.relu6,
    "function leaky": functional.leaky_relu,
    "hardtanh": nn.Hardtanh(0.0, 4.0),
    "threshold": nn.Threshold(0.0, 0.0),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "clip": lambda x: torch.clip(x, 0, 6),
    "operator": lambda x: torch.ops.aten.relu(x),
}


def nwot_of(inputs: list[Tensor]) -> float:
    kernel = torch.zeros(8, 8, dtype=torch.float64)
    for given in inputs:
        codes = (given > 0).flatten(1).double()
        kernel += codes @ codes.T + (1 - codes) @ (1 - codes).T
    return float(torch.linalg.slogdet(kernel)[1])


@pytest.mark.parametrize("name", RELUS)
def test_nwot_sees_every_rectifier(name: str) -> None:
    inputs: list[Tensor] = []

    def watched(x: Tensor) -> Tensor:
        inputs.append(x.detach().clone())
        result: Tensor = RELUS[name](x)
        return result

    model = seeded(lambda: Activated(watched))
    found = score(model, "nwot")
    assert len(inputs) == 3
    assert found == pytest.approx(nwot_of(inputs), rel=1e-9)


@pytest.mark.parametrize(
    "other",
    [
        nn.GELU(),
        nn.SiLU(),
        functional.mish,
        torch.tanh,
        nn.SELU(),
        nn.Sigmoid(),
        nn.Hardtanh(-1.0, 1.0),
        nn.Threshold(0.5, 0.0),
        nn.Softshrink(),
    ],
)
def test_nwot_says_what_it_misses(other: Any) -> None:
    with pytest.raises(greenmachine.GreenMachineError):
        score(seeded(lambda: Activated(other)), "nwot")
    turns = iter([functional.relu, other, other])
    with pytest.warns(UserWarning, match="2x"):
        score(seeded(lambda: Activated(lambda x: next(turns)(x))), "nwot")


# --- synflow ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [lambda: nn.LayerNorm(8), lambda: nn.RMSNorm(8), nn.Identity])
def test_synflow_leaves_other_norms_on(norm: Any) -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(3, 8)
            self.norm = norm()
            self.head = nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Any:
            return self.head(self.norm(self.embed(x.flatten(2).mT)).mean(dim=1))

    model = seeded(Tokens)
    absolute = copy.deepcopy(model).double()
    for parameter in absolute.parameters():
        parameter.data.abs_()
    absolute(torch.ones(1, *SHAPE[1:], dtype=torch.float64)).sum().backward()
    layers = [absolute.embed.weight, absolute.head.weight]
    expected = sum(float((w * w.grad).abs().sum()) for w in layers)
    assert score(model, "synflow") == pytest.approx(expected, rel=1e-9)


def test_an_activation_in_place_after_a_switched_off_norm_changes_nothing_else() -> None:
    class Residual(nn.Module):
        def __init__(self, inplace: bool) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3, padding=1)
            self.norm, self.relu = nn.BatchNorm2d(8), nn.ReLU6(inplace=inplace)
            self.second = nn.Conv2d(8, 8, 3, padding=1)
            self.head = nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Any:
            x = 10 * self.first(x).sigmoid()
            return self.head((x + self.second(self.relu(self.norm(x)))).mean((2, 3)))

    here, apart = seeded(lambda: Residual(True)), seeded(lambda: Residual(False))
    assert score(here, "synflow") == score(apart, "synflow")


def test_synflow_warns_where_it_overflows() -> None:
    deep = seeded(lambda: nn.Sequential(*[nn.Linear(64, 64) for _ in range(6)], nn.Linear(64, 4)))
    deep.double()  # every weight is finite, and their product is not
    with torch.no_grad():
        for parameter in deep.parameters():
            parameter.mul_(1e60)
    with pytest.warns(UserWarning, match="overflows"):
        assert not math.isfinite(score(deep, "synflow", images=torch.ones(8, 64)))


def test_functions_that_read_layers_alone_say_so() -> None:
    known = {p.name for p in OF_NETWORKS if isinstance(p, FunctionProxy) and p.layers_only}
    assert {"grasp", "ntk", "gradsign", "zico", "zen", "meco", "meco_opt"} <= known
