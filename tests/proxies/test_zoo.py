"""Every proxy of the zoo equals its direct formula on real networks."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from greenmachine.language import parse
from greenmachine.networks import build_size, build_topology, module_costs
from greenmachine.proxies import (
    PROXIES,
    ArchitectureProxy,
    EvolvedProxy,
    ExpressionProxy,
    FunctionProxy,
    Proxy,
    function_score,
)
from greenmachine.signals.passes import noise_images
from tests.proxies import direct, direct_gradients
from tests.proxies.direct_features import FEATURES
from tests.proxies.direct_patterns import PATTERNS
from tests.proxies.engine_scores import engine_score

DIRECT = direct.DIRECT | direct_gradients.DIRECT | FEATURES | PATTERNS
SHAPE = (6, 3, 16, 16)
FULL = (
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|"
    "+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_1x1~2|"
)
DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|"
NETWORKS = ("full", "dead", "size")
# Scores of architectures see no network: their own tests hold them against plain formulas. What
# evolved has no formula but its expression: it is held against its export.
OF_NETWORKS = [p for p in PROXIES if not isinstance(p, ArchitectureProxy | EvolvedProxy)]
EACH = pytest.mark.parametrize("proxy", list(PROXIES), ids=lambda p: p.name)


def build(kind: str) -> nn.Module:
    """A small network of either space; ``dead`` has layers that see or reach nothing."""
    torch.manual_seed(5)
    if kind == "size":
        return build_size("8:12:8:16:10")
    return build_topology(FULL if kind == "full" else DEAD, cells=1, channels=8)


def labelled() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(11)
    return torch.randn(SHAPE, generator=generator), torch.arange(SHAPE[0]) % 3  # two images a class


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("proxy", OF_NETWORKS, ids=lambda p: p.name)
def test_equals_its_direct_formula(proxy: ExpressionProxy | FunctionProxy, kind: str) -> None:
    images, labels = labelled()
    noise, model, again = noise_images(SHAPE, 2), build(kind), build(kind)
    if isinstance(proxy, ExpressionProxy):
        score = engine_score(proxy.expression, model, SHAPE, images, labels, seed=2)
    else:  # in float64: where small differences divide, the last bit of float32 shows
        images, noise = images.double(), noise.double()
        model, again = model.double(), again.double()
        given = images if "data" in proxy.passes else noise
        score = function_score(proxy, model, given, labels, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # correlation of a constant channel
        expected = DIRECT[proxy.name](again, noise, images, labels)
    assert score == pytest.approx(expected, rel=1e-4)
    assert expected != 0


@EACH
def test_is_described(proxy: Proxy) -> None:
    assert proxy.description.endswith(".")
    assert len(proxy.reference) > 10
    if isinstance(proxy, ExpressionProxy):
        assert parse(proxy.expression).text == proxy.expression
    assert proxy.notes == "" or proxy.notes.endswith(".")
    assert proxy.direction == 1 or "low score is good" in proxy.description
    if "labelled mini-batch" in proxy.description:
        assert "data" in proxy.passes


def test_every_proxy_has_a_direct_formula() -> None:
    assert set(DIRECT) == {proxy.name for proxy in OF_NETWORKS}


@pytest.mark.parametrize("kind", NETWORKS)
def test_sizes_are_those_of_the_analytic_costs(kind: str) -> None:
    model = build(kind)
    vectors = sum(p.numel() for p in model.parameters() if p.dim() == 1)
    parameters, flops_m = module_costs(model, SHAPE[1:])
    params = PROXIES.find("params")
    assert isinstance(params, FunctionProxy)
    assert function_score(params, model, noise_images(SHAPE, 0)) == parameters
    weights = engine_score(PROXIES.find("weight_count").expression, model, SHAPE)
    assert weights + vectors == parameters
    flops = engine_score(PROXIES.find("flops").expression, model, SHAPE)
    assert flops + 10 == pytest.approx(flops_m * 1e6)  # the benchmark counts the head's biases


@pytest.mark.parametrize("kind", NETWORKS)
def test_meco_does_not_see_batch_normalisation(kind: str) -> None:
    text = PROXIES.find("meco_outputs").expression
    after = text.replace("noise_output", "noise_norm_output")
    # A normalised channel differs by the epsilon under the root alone, and that by its scale.
    assert engine_score(after, build(kind), SHAPE) == pytest.approx(
        engine_score(text, build(kind), SHAPE), rel=1e-3
    )


def test_plain_is_nothing_before_a_normalisation() -> None:
    images, labels = labelled()
    text = "first_layer(dot(data_weight_grad, weight))"
    lengths = "first_layer(mul(l2_norm(data_weight_grad), l2_norm(weight)))"
    model = build("full")
    product = engine_score(text, model, SHAPE, images, labels)
    assert abs(product) < 1e-3 * engine_score(lengths, model, SHAPE, images, labels)


def test_nwot_inputs_is_nwot_where_each_layer_reads_a_relu() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.ReLU(), nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU(), nn.Flatten()
    )
    model.append(nn.Linear(4 * 12 * 12, 10))
    kernel = torch.zeros(SHAPE[0], SHAPE[0], dtype=torch.float64)

    def hook(module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        code = (output.detach().flatten(1) > 0).double()
        kernel.add_(code @ code.T + (1 - code) @ (1 - code).T)

    text = PROXIES.find("nwot_inputs").expression
    score = engine_score(text, model, SHAPE, seed=4)
    for module in model:
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(hook)
    model(noise_images(SHAPE, 4))
    assert score == pytest.approx(float(torch.logdet(kernel)), rel=1e-6)
