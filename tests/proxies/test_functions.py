"""Function proxies: what they ask for, and how they treat the network."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from greenmachine.errors import ConfigError
from greenmachine.networks import build_topology
from greenmachine.networks.blocks import Cell, Head
from greenmachine.proxies import PROXIES, FunctionProxy, function_score
from tests.proxies.direct import DIRECT
from tests.proxies.tiny_networks import SHAPE, batch, network

FUNCTIONS = [proxy for proxy in PROXIES if isinstance(proxy, FunctionProxy)]
EACH = pytest.mark.parametrize("proxy", FUNCTIONS, ids=lambda p: p.name)
KINDS = pytest.mark.parametrize("kind", ["plain", "branches", "branches-double"])


def nwot(model: nn.Module, images: Tensor) -> float:
    proxy = PROXIES.find("nwot")
    assert isinstance(proxy, FunctionProxy)
    return function_score(proxy, model, images)


@KINDS
@EACH
def test_same_score_again_and_the_network_as_it_was(proxy: FunctionProxy, kind: str) -> None:
    model = network(kind).eval()
    model.register_forward_hook(lambda module, args, output: None)
    next(model.parameters()).requires_grad_(False)
    images, labels = batch()
    model(images.to(next(model.parameters()))).sum().backward()
    before = copy.deepcopy(model.state_dict())
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    flags = [p.requires_grad for p in model.parameters()]
    strides = [p.stride() for p in model.parameters()]
    kept, random_state = images.clone(), torch.get_rng_state()
    score = function_score(proxy, model, images, labels, seed=1)
    assert math.isfinite(score)
    assert function_score(proxy, model, images, labels, seed=1) == score
    assert function_score(proxy, network(kind), images, labels, seed=1) == score
    assert torch.equal(images, kept)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert [p.stride() for p in model.parameters()] == strides
    for gradient, parameter in zip(grads, model.parameters(), strict=True):
        assert (gradient is None) == (parameter.grad is None)
        assert gradient is None or torch.equal(gradient, parameter.grad)
    assert not any(module.training for module in model.modules())
    assert sum(len(module._forward_hooks) for module in model.modules()) == 1


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@EACH
def test_score_where_gradients_are_switched_off(proxy: FunctionProxy, context: type) -> None:
    images, labels = batch()
    model = network("plain")
    expected = function_score(proxy, model, images, labels)
    with context():
        # In inference mode a clone is a tensor that autograd refuses.
        assert function_score(proxy, model, images.clone(), labels.clone()) == expected


class Constant(nn.Module):
    """Its output depends on nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.conv(x)
        return x.new_ones(len(x), 5)


DEGENERATE: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 5)),
    "no-weights": lambda: nn.Sequential(nn.AvgPool2d(4), nn.ReLU(), nn.Flatten()),
    "constant": Constant,
    "norm-of-vectors": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 5)
    ),
    "no-path": lambda: build_topology("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", cells=1),
    "dead-ends": lambda: build_topology(
        "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|", cells=1
    ),
    "maps": lambda: nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU()),
}
BATCHES: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "usual": lambda images, labels: (images, labels),
    "one-image": lambda images, labels: (images[:1], labels[:1]),
    "equal-images": lambda images, labels: (images[:1].expand_as(images), labels),
    "black-images": lambda images, labels: (torch.zeros_like(images), labels),
    "one-class": lambda images, labels: (images, torch.ones_like(labels)),
    "all-classes": lambda images, labels: (images, torch.arange(len(labels))),
}


@pytest.mark.parametrize("images_of", list(BATCHES))
@pytest.mark.parametrize("kind", list(DEGENERATE))
@EACH
def test_what_cannot_be_scored_fails_in_one_line(
    proxy: FunctionProxy, kind: str, images_of: str
) -> None:
    torch.manual_seed(0)
    model = DEGENERATE[kind]().eval()
    before = copy.deepcopy(model.state_dict())
    images, labels = BATCHES[images_of](*batch())
    said = []
    for _ in range(2):
        try:
            said.append(str(function_score(proxy, model, images, labels)))
        except ValueError as error:
            said.append(str(error))
    assert said[0] == said[1]
    assert said[0] and "\n" not in said[0]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(module.training or module._forward_hooks for module in model.modules())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


@EACH
def test_relus_that_work_in_place_change_nothing(proxy: FunctionProxy) -> None:
    torch.manual_seed(0)
    chain = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|nor_conv_3x3~2|"
    model = build_topology(chain, cells=2, channels=4)
    images, labels = torch.randn(6, 3, 8, 8), torch.arange(6) % 3
    expected = function_score(proxy, model, images, labels)
    assert math.isfinite(expected)
    for module in model.modules():
        if isinstance(module, Cell | Head):  # a residual block reads its input twice
            for relu in module.modules():
                if isinstance(relu, nn.ReLU):
                    relu.inplace = True
    assert function_score(proxy, model, images, labels) == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@EACH
def test_score_on_the_device_of_the_network(proxy: FunctionProxy) -> None:
    expected = function_score(proxy, network("plain"), *batch())
    found = function_score(proxy, network("plain").cuda(), *batch())
    assert found == pytest.approx(expected, rel=1e-2)


def test_params_count_what_is_frozen_or_shared_or_never_fires_once() -> None:
    conv = nn.Conv2d(3, 2, 1)
    model = nn.Sequential(conv, nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1, bias=False), conv)
    model.idle = nn.Linear(4, 1)
    conv.requires_grad_(False)
    params = PROXIES.find("params")
    assert isinstance(params, FunctionProxy)
    assert function_score(params, model, batch()[0]) == (3 * 2 + 2) + 2 * 2 + 2 * 3 + (4 + 1)


@KINDS
def test_nwot_is_its_direct_formula(kind: str) -> None:
    images, labels = batch()
    images = images.to(next(network(kind).parameters()))
    expected = DIRECT["nwot"](network(kind), images, images, labels)
    assert nwot(network(kind), images) == pytest.approx(expected, rel=1e-9)


def test_nwot_of_a_code_that_can_be_counted_by_hand() -> None:
    images = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0]])
    # They agree at 2 of 3 units; the ReLU fires twice: K = [[6, 4], [4, 6]].
    relu = nn.ReLU(inplace=True)
    assert nwot(nn.Sequential(relu, relu), images) == pytest.approx(math.log(36 - 16))


def test_nwot_uses_the_statistics_of_the_batch() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()).eval()
    images = torch.tensor([[1.0, 5.0, 9.0], [2.0, 4.0, 8.0]])  # all positive before the norm
    assert nwot(model, images) == pytest.approx(math.log(9 - 1 * 0))


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("equal", ["two", "all"])
def test_nwot_of_images_with_one_code_is_minus_infinity(size: int, equal: str) -> None:
    images = torch.randn(size, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert math.isfinite(nwot(network("plain"), images))
    # Elimination alone leaves rounding for two equal rows of 32.
    images[-1 if equal == "two" else slice(None)] = images[3].clone()
    assert nwot(network("plain"), images) == -math.inf


@pytest.mark.parametrize(
    "model",
    [nn.Conv2d(3, 2, 3), nn.Sequential(nn.Conv2d(3, 2, 3), nn.GELU()), nn.Sequential()],
    ids=["none", "another", "empty"],
)
def test_nwot_names_a_network_without_relus(model: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"no ReLU, ReLU6"):
        nwot(model, batch()[0])


def test_nwot_names_a_relu_without_images() -> None:
    model = nn.Sequential(nn.Flatten(0), nn.ReLU())
    with pytest.raises(ValueError, match=r"a ReLU has \d+ rows for 4 images"):
        nwot(model, batch()[0])
    assert not any(module._forward_hooks for module in model.modules())


def test_a_function_without_a_pass_gets_no_images() -> None:
    counting = FunctionProxy(
        name="counting",
        function=lambda model, images, labels, seed: (images, labels) == (None, None) and seed,
        passes=(),
    )
    assert function_score(counting, network("plain"), None, seed=5) == 5.0
    images, labels = batch()
    assert function_score(counting, network("plain"), images, labels, seed=5) == 5.0


def test_missing_images_and_labels_are_named() -> None:
    images, _ = batch()
    labelled = FunctionProxy(
        name="labelled",
        function=lambda model, images, labels, seed: 1.0,
        passes=("data",),
        needs_labels=True,
    )
    with pytest.raises(ConfigError, match="'labelled' needs images"):
        function_score(labelled, network("plain"), None)
    with pytest.raises(ConfigError, match="'labelled' needs labels"):
        function_score(labelled, network("plain"), images)
    assert function_score(labelled, network("plain"), images, torch.zeros(SHAPE[0])) == 1.0
