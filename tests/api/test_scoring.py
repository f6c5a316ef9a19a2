"""``greenmachine.score`` and ``rank``: the scores of the engine and of the exports."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import greenmachine
from greenmachine.engine import Evaluator, score_model
from greenmachine.errors import ConfigError, ExpressionError, GreenMachineError, RunError
from greenmachine.export import write_export
from greenmachine.language import parse
from greenmachine.neutral import neutral
from greenmachine.signals import CaptureSpec
from tests.api.small_networks import EXPRESSIONS, Broken, build, dict_of, wide
from tests.proxies.loading import load
from tests.proxies.tiny_networks import SHAPE, batch, network


@pytest.mark.parametrize("kind", ["plain", "branches", "branches-double"])
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_score_is_that_of_the_exported_file(text: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "proxy.py"
    write_export(path, text, direction=1, shape=SHAPE, name="a proxy")
    exported = load(path).score
    model, (images, labels) = network(kind), batch()
    data = {"images": images, "labels": labels}
    found = greenmachine.score(model, path, **data, seed=3)
    assert math.isfinite(found)
    assert found == exported(model, images, labels, seed=3)
    assert found == greenmachine.score(model, text, **data, seed=3)
    if "data" not in text:
        assert found == greenmachine.score(model, str(path), shape=SHAPE, seed=3)
        assert found == exported(model, seed=3)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_score_is_that_of_the_evaluator(text: str, synthetic_data: Path) -> None:
    expression = parse(text)
    benchmark = greenmachine.load_benchmark("nats-tss")
    terminals = tuple(sorted(expression.terminals))
    spec = CaptureSpec("nats-tss", "cifar10", terminals, batch=4, seed=5, options={"cells": 1})
    ((expected,),) = Evaluator.of_networks(spec, [17]).scores([expression])
    images, labels = benchmark.images("cifar10", 4, seed=5)
    model = benchmark.build(17, "cifar10", seed=5, cells=1)
    assert expected == greenmachine.score(model, text, images=images, labels=labels, seed=5)


def test_expressions_of_one_model_share_its_passes() -> None:
    model = network("plain")
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))
    found = score_model(model, [parse(text) for text in EXPRESSIONS[:5:2]], SHAPE)
    assert len(passes) == 1
    alone = [greenmachine.score(model, text, shape=SHAPE) for text in EXPRESSIONS[:5:2]]
    assert found.tolist() == alone


def test_score_does_not_depend_on_threads_and_leaves_them() -> None:
    expected = greenmachine.score(network("branches"), "grad_norm", **dict_of(batch()))
    torch.set_num_threads(2)
    try:
        assert greenmachine.score(network("branches"), "grad_norm", **dict_of(batch())) == expected
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
@pytest.mark.parametrize("proxy", ["snip", "synflow", "nwot"])
def test_score_works_where_gradients_are_off(mode: Any, proxy: str) -> None:
    model = network("branches")
    expected = greenmachine.score(model, proxy, **dict_of(batch()))
    with mode():
        inside = dict_of(batch())  # in inference mode, tensors that autograd refuses
        assert greenmachine.score(model, proxy, **inside) == expected


def test_score_leaves_the_model_and_the_generator() -> None:
    model = network("branches").eval()
    model.linear.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    greenmachine.score(model, "snip", **dict_of(batch()))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.linear.weight.requires_grad
    assert not any(module._forward_hooks for module in model.modules())


def test_seed_draws_the_noise() -> None:
    model = network("plain")
    first, again, other = (
        greenmachine.score(model, EXPRESSIONS[0], shape=SHAPE, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_formula_without_value_is_nan() -> None:
    model = network("plain")
    nn.init.constant_(model.get_parameter("0.weight"), math.nan)
    assert math.isnan(greenmachine.score(model, "l2_norm", shape=SHAPE))


def test_networks_of_vectors_are_scored() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    assert math.isfinite(greenmachine.score(model, "nwot_inputs", shape=(3, 6)))


@pytest.mark.parametrize(
    ("proxy", "given", "error", "says"),
    [
        ("nwott", {"shape": SHAPE}, ConfigError, "unknown proxy 'nwott'"),
        ("sum_layers(noise_input)", {"shape": SHAPE}, ExpressionError, "sum_layers"),
        ("missing.py", {"shape": SHAPE}, ConfigError, "cannot read missing.py"),
        ("broken.py", {"shape": SHAPE}, ConfigError, "is not Python"),
        ("other.py", {"shape": SHAPE}, ConfigError, "not an exported proxy"),
        (".", {"shape": SHAPE}, RunError, "holds no run"),
        ("synflow", {}, ConfigError, "give images, or the shape"),
        ("synflow", {"shape": (3,)}, ConfigError, "is no batch"),
        ("synflow", {"shape": (2, 0, 8, 8)}, ConfigError, "is no batch"),
        ("synflow", {"shape": (2, 3.5, 8, 8)}, ConfigError, "is no batch"),
        ("synflow", {"images": batch()[0], "shape": (1, 3, 8, 8)}, ConfigError, "give one"),
        ("snip", {"shape": SHAPE}, ConfigError, "snip needs data: give images and labels"),
        ("snip", {"images": batch()[0]}, ConfigError, "give images and labels"),
        ("snip", {"images": batch()[0], "labels": batch()[1][:2]}, ConfigError, "do not fit"),
        ("nwot", {"shape": SHAPE}, ConfigError, "nwot needs data: give images"),
        ("sed", {"shape": SHAPE}, ConfigError, "sed scores architectures of tss or sss, no netw"),
        ("sed", {}, ConfigError, "use `greenmachine score sed --on BENCHMARK`"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    proxy: str,
    given: dict[str, Any],
    error: type[Exception],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("EXPRESSION = (")
    (tmp_path / "other.py").write_text("x = 1\n")
    with pytest.raises(error, match=says):
        greenmachine.score(Broken(), proxy, **given)
    with pytest.raises(error, match=says):
        greenmachine.rank([Broken()], proxy, **given)


@pytest.mark.parametrize(
    ("model", "proxy", "shape", "cause", "says"),
    [
        (Broken(), "synflow", SHAPE, ArithmeticError, "no way"),
        (network("plain"), "nwot_inputs", (2, 5, 8, 8), RuntimeError, "channels"),
        (nn.ReLU(), "nwot_inputs", SHAPE, ValueError, "no convolution or linear layer"),
    ],
)
def test_a_model_that_fails_is_one_line_with_its_cause(
    model: nn.Module, proxy: str, shape: tuple[int, ...], cause: type[Exception], says: str
) -> None:
    with pytest.raises(greenmachine.GreenMachineError, match=says) as failed:
        greenmachine.score(model, proxy, shape=shape)
    assert isinstance(failed.value.__cause__, cause)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    "shape",
    ["8,3,8,8", "8x3x8x8", "", b"8388", 8, (), (8,), {8, 3}, {"B": 8, "C": 3}, (8, "3", 8, 8),
     (8, 3, 8, math.nan), (8, 3, 8, math.inf), (8, 3, 8, True), (8, 3, (8, 8)), object()],
)  # fmt: skip
def test_what_is_no_shape_is_refused_with_an_example(shape: Any) -> None:
    for call in (greenmachine.score, lambda net, *a, **k: greenmachine.rank([net], *a, **k)):
        with pytest.raises(ConfigError, match=r"such as \(8, 3, 32, 32\)") as raised:
            call(network("plain"), "l2_norm", shape=shape)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", [tuple, list, np.array, torch.tensor, torch.Size, iter])
def test_a_shape_may_be_any_sequence(kind: Any) -> None:
    expected = greenmachine.score(network("plain"), "l2_norm", shape=SHAPE)
    assert greenmachine.score(network("plain"), "l2_norm", shape=kind(SHAPE)) == expected


def test_exported_proxy_of_vectors_gives_the_engine_s_score(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
    text = "sum_layers(min_eigenvalue(channel_correlation(noise_output)))"
    write_export(tmp_path / "vectors.py", text, direction=1, shape=(8, 64), name="vectors")
    exported = load(tmp_path / "vectors.py")
    with neutral():
        assert exported.score(model) == greenmachine.score(model, text, shape=(8, 64))


def test_seeds_of_a_network_change_its_noise_and_those_of_a_function_its_weights() -> None:
    model = build()
    before = [parameter.clone() for parameter in model.parameters()]
    for proxy in ("l2_norm", EXPRESSIONS[0], "vkdnw"):
        alone = [greenmachine.score(model, proxy, shape=SHAPE, seed=seed) for seed in (7, 8, 9)]
        found = greenmachine.score(model, proxy, shape=SHAPE, seed=7, seeds=3)
        assert list(found.scores.items()) == list(zip((7, 8, 9), alone, strict=True))
        assert float(found) == found.mean == pytest.approx(sum(alone) / 3)
        assert found.deviation == pytest.approx(pd.Series(alone).std(), abs=1e-12)
    weights = greenmachine.score(model, "l2_norm", shape=SHAPE, seeds=3)
    assert weights.deviation == 0  # the weights are those of the network
    assert all(map(torch.equal, before, model.parameters()))
    torch.manual_seed(1)
    drawn = greenmachine.score(build, "l2_norm", shape=SHAPE, seeds=3)
    state = torch.get_rng_state()
    assert len(set(drawn.scores.values())) == 3 and drawn.deviation > 0
    assert greenmachine.score(build, "l2_norm", shape=SHAPE, seeds=3) == drawn
    assert greenmachine.score(build, "l2_norm", shape=SHAPE, seed=1) == drawn.scores[1]
    assert torch.equal(torch.get_rng_state(), state)


def test_one_seed_has_no_deviation_and_a_failing_one_no_mean() -> None:
    one = greenmachine.score(build, "l2_norm", shape=SHAPE, seed=4, seeds=1)
    assert one.mean == greenmachine.score(build, "l2_norm", shape=SHAPE, seed=4)
    assert math.isnan(one.deviation)
    undefined = greenmachine.SeedScore({0: 1.0, 1: math.nan})
    assert math.isnan(undefined.mean) and math.isnan(undefined.deviation)
    assert greenmachine.SeedScore({0: 0.1, 1: 0.1, 2: 0.1}).mean == 0.1


@pytest.mark.parametrize("seeds", [0, -2, 1.5, "3", True])
def test_a_number_of_seeds_that_is_none_is_refused(seeds: Any) -> None:
    for call in (
        lambda: greenmachine.score(build, "l2_norm", shape=SHAPE, seeds=seeds),
        lambda: greenmachine.rank([build], "l2_norm", shape=SHAPE, seeds=seeds),
    ):
        with pytest.raises(ConfigError, match="1 or more"):
            call()


@pytest.mark.parametrize("model", [3, "resnet", lambda: 3, None])
def test_what_is_no_network_and_builds_none_is_refused(model: Any) -> None:
    with pytest.raises(GreenMachineError, match="Module|factory"):
        greenmachine.score(model, "l2_norm", shape=SHAPE)


def test_a_shape_that_the_network_says_is_taken() -> None:
    model: Any = wide(3)
    model.in_size = (9, 7)
    expected = greenmachine.score(model, EXPRESSIONS[0], shape=(8, 3, 9, 7))
    assert greenmachine.score(model, EXPRESSIONS[0]) == expected
    table = greenmachine.rank({"says": model, "silent": wide(3)}, EXPRESSIONS[0])
    assert table["score"][0] == expected and "shape" in table["failure"][1]


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "auto"])
def test_device_gives_the_same_score(device: Any) -> None:
    if device == "auto" and torch.cuda.is_available():
        pytest.skip("a GPU rounds otherwise")
    model = network("branches")
    expected = greenmachine.score(model, "synflow", shape=SHAPE)
    assert greenmachine.score(model, "synflow", shape=SHAPE, device=device) == expected


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", "cpu:x", 3])
def test_a_device_that_is_not_there_is_one_line(device: Any) -> None:
    with pytest.raises(ConfigError, match="cpu") as refused:
        greenmachine.score(wide(3), "synflow", shape=SHAPE, device=device)
    assert "\n" not in str(refused.value)


def test_a_network_elsewhere_is_copied_and_left() -> None:
    with torch.device("meta"):
        model = wide(3)
    table = greenmachine.rank([model], "l2_norm", shape=SHAPE, device="cpu")
    assert "meta" in table["failure"][0] and model.get_parameter("weight").is_meta
