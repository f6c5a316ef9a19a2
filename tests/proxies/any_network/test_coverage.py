"""What proxies do not see of a network: they warn, with its share, or refuse."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import greenmachine
from greenmachine.proxies import ExpressionProxy
from tests.disguises import Net, plain
from tests.proxies.any_network import EACH, IMAGES, LABELS, score, seeded
from tests.proxies.test_same_function import exported


class FunctionalKernel(nn.Module):
    """A convolution as a function, with a parameter of any name, before a head that is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(16, 3, 3, 3))
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Any:
        return self.head(functional.conv2d(x, self.kernel).relu().mean(dim=(2, 3)))


class BorrowedWeight(FunctionalKernel):
    """The weight of a layer that never fires, used by another."""

    def __init__(self) -> None:
        super().__init__()
        del self.kernel
        self.conv = nn.Conv2d(3, 16, 3, bias=False)

    def forward(self, x: Tensor) -> Any:
        return self.head(functional.conv2d(x, self.conv.weight).relu().mean(dim=(2, 3)))


class OwnGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        return functional.conv2d(x, kernel).relu()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return None, None


class OwnFunction(FunctionalKernel):
    """A kernel that only an autograd function of the user's reads."""

    def forward(self, x: Tensor) -> Any:
        return self.head(OwnGradient.apply(x, self.kernel).mean(dim=(2, 3)))


class Attention(nn.Module):
    """Attention, whose projections are parameters and a layer that never fires."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        tokens = self.embed(x.flatten(2).mT)
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(dim=1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(3, 8, batch_first=True)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.cell(x.flatten(2).mT)[0][:, -1])


PARTS: dict[type[nn.Module], tuple[int, int]] = {
    FunctionalKernel: (64, 64 + 432),
    BorrowedWeight: (64, 64 + 432),
    OwnFunction: (64, 64 + 432),
    Attention: (24 + 32, 24 + 32 + 4 * 64),
    Recurrent: (32, 32 + 4 * 8 * (3 + 8)),
}
ABOUT_LAYERS = ["gm_any", "synflow", "l2_norm", "zico", "grasp", "gradsign", "ntk", "zen", "meco"]


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("proxy", ABOUT_LAYERS)
def test_what_is_not_covered_warns_with_its_share(kind: type[nn.Module], proxy: str) -> None:
    covered, used = PARTS[kind]
    model = seeded(kind)
    with pytest.warns(UserWarning, match=f"{covered:,} of {used:,}"):
        score(model, proxy)
    if proxy in ("gm_any", "l2_norm"):
        with pytest.warns(UserWarning, match=f"{covered:,} of {used:,}"):
            exported(proxy)(model, IMAGES, LABELS)
    frame = greenmachine.rank([model, plain()], proxy, images=IMAGES, labels=LABELS)
    shares = dict(zip(frame["name"], frame["coverage"], strict=True))
    assert shares == {0: pytest.approx(covered / used), 1: 1.0}


@EACH
def test_a_network_that_is_covered_does_not_warn(proxy: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        score(plain(), proxy)


def test_an_unused_layer_and_a_shared_weight_count_as_they_are_used() -> None:
    class Unused(Net):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Linear(8, 100)
            self.again = nn.Linear(8, 4)
            self.again.weight = self.head.weight

        def forward(self, x: Tensor) -> Any:
            features = self.pool(self.blocks(x)).flatten(1)
            return self.head(features) + self.again(features)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score(plain(Unused))


class Without(torch.autograd.Function):
    """Computes a function without a graph, and again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, run: Any, x: Tensor) -> Tensor:
        ctx.run = run
        ctx.save_for_backward(x)
        with torch.no_grad():
            result: Tensor = run(x)
            return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        with torch.enable_grad():
            x = ctx.saved_tensors[0].detach().requires_grad_(True)
            torch.autograd.backward(ctx.run(x), gradients)
        return None, x.grad


class OwnCheckpoint(Net):
    def blocks(self, x: Tensor) -> Tensor:
        result: Tensor = self.third(Without.apply(self.second, self.first(x)))
        return result


@pytest.mark.parametrize("proxy", ["gm_any", "snip", "zico", "grasp", "ntk", "az_trainability"])
def test_layers_without_a_graph_warn(proxy: str) -> None:
    with pytest.warns(UserWarning, match="turns gradients off"):
        score(plain(OwnCheckpoint), proxy)


@pytest.mark.parametrize("proxy", ["gm_any", "snip", "zico", "gradsign", "jacov"])
@pytest.mark.parametrize("end", [lambda y: y.detach(), lambda y: y.argmax(1)])
def test_an_output_that_no_gradient_reaches_is_refused(proxy: str, end: Any) -> None:
    class Cut(Net):
        def forward(self, x: Tensor) -> Any:
            return end(super().forward(x))

    with pytest.raises(greenmachine.GreenMachineError):
        score(plain(Cut), proxy)


@EACH
def test_a_weight_that_is_a_buffer_counts_as_one(proxy: Any) -> None:
    model, other = plain(), plain()
    layer = other.second[0]
    weight = layer.weight.data
    del layer._parameters["weight"]
    layer.register_buffer("weight", weight)
    expected = score(model, proxy)
    assert score(other, proxy) == pytest.approx(expected, rel=1e-6)
    if isinstance(proxy, ExpressionProxy):
        assert exported(proxy.name)(other, IMAGES, LABELS) == pytest.approx(expected, rel=1e-6)
