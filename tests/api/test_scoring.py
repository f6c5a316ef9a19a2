"""``greenmachine.score`` and ``rank``: the scores of the engine and of the exports."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import greenmachine
from greenmachine.engine import Evaluator, score_model
from greenmachine.errors import ConfigError, ExpressionError, GreenMachineError, RunError
from greenmachine.export import write_export
from greenmachine.language import parse
from greenmachine.neutral import neutral
from greenmachine.proxies.functions import NOT_FINITE
from greenmachine.signals import CaptureSpec
from tests.proxies.loading import load
from tests.proxies.tiny_networks import SHAPE, batch, network

EXPRESSIONS = [
    "sum_layers(min_eigenvalue(channel_correlation(noise_input)))",
    "sum_layers(l1_norm(mul(ones_weight_grad, weight)))",
    "logdet(sum_matrices(sign_agreement(noise_input)))",
    "sum_layers(std(perturbed_output))",
    "sum_layers(mul(depth, l2_norm(weight)))",
    "mean_layers(l2_norm(data_weight_grad))",
    "sum_layers(dot(noise_input, ones_input))",
]


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        raise ArithmeticError("no way\nthrough")


def norm_of(model: nn.Module, images: Tensor | None, labels: Tensor | None, seed: int) -> float:
    """A function proxy: what it is given, in one number."""
    norm = 0.0 if images is None else float(images.double().norm())
    return norm + (0 if labels is None else int(labels.sum())) + seed


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


def dict_of(data: tuple[Tensor, Tensor]) -> dict[str, Any]:
    return dict(zip(("images", "labels"), data, strict=True))


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
    ("passes", "needs_labels", "given", "expected"),
    [
        (("data",), True, {"images": torch.ones(4, 1), "labels": torch.ones(4).long()}, 2 + 4 + 7),
        (("data",), False, {"images": torch.ones(4, 1)}, 2 + 7),
        (("noise",), False, {"shape": (2, 3)}, None),
        ((), False, {}, 7),
        ((), False, {"images": torch.ones(4, 1), "labels": torch.ones(4).long()}, 7),
    ],
)
def test_function_proxies_score(
    passes: tuple[str, ...], needs_labels: bool, given: dict[str, Any], expected: float | None
) -> None:
    proxy = greenmachine.FunctionProxy(
        name="norm_of", function=norm_of, passes=passes, needs_labels=needs_labels
    )
    if expected is None:
        noise = torch.randn((2, 3), generator=torch.Generator().manual_seed(7))
        expected = float(noise.double().norm()) + 7
    assert greenmachine.score(nn.Linear(1, 1), proxy, **given, seed=7) == pytest.approx(expected)


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


# --- rank -----------------------------------------------------------------------------------


def wide(channels: int) -> nn.Module:
    return nn.Conv2d(3, channels, 3)


@pytest.mark.parametrize(("direction", "order"), [(1, [1, 2, 0]), (-1, [0, 2, 1])])
def test_rank_follows_the_direction(direction: int, order: list[int]) -> None:
    proxy = greenmachine.ExpressionProxy(
        name="size", expression="sum_layers(numel(weight))", direction=direction
    )
    table = greenmachine.rank([wide(2), wide(9), wide(5)], proxy, shape=SHAPE)
    assert table.columns.tolist() == ["name", "score", "rank", "coverage", "failure"]
    assert table["name"].tolist() == order
    assert table["rank"].tolist() == [1, 2, 3]
    assert table["failure"].tolist() == [""] * 3
    assert table["score"].tolist() == [27.0 * [2, 9, 5][place] for place in order]


def test_ties_share_a_rank_in_the_order_given() -> None:
    models = {"small": wide(2), "b": wide(4), "a": wide(4)}
    table = greenmachine.rank(models, "weight_count", images=torch.zeros(SHAPE))
    assert table["name"].tolist() == ["b", "a", "small"]
    assert table["rank"].tolist() == [1, 1, 3]


@pytest.mark.parametrize("direction", [1, -1])
def test_networks_that_fail_rank_last_and_say_why(direction: int) -> None:
    infinite = wide(2)
    nn.init.constant_(infinite.weight, math.inf)
    proxy = greenmachine.ExpressionProxy(
        name="norm", expression="sum_layers(l2_norm(weight))", direction=direction
    )
    models = {"broken": Broken(), "infinite": infinite, "fine": wide(2)}
    table = greenmachine.rank(models, proxy, shape=SHAPE).set_index("name")
    assert table.index.tolist() == ["fine", "broken", "infinite"]
    assert table["rank"].tolist() == [1, 2, 2]
    assert table.loc["broken", "failure"] == "ArithmeticError: no way through"
    assert math.isnan(table.loc["broken", "score"])
    assert table.loc["infinite", "failure"] == NOT_FINITE


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


@pytest.mark.parametrize(
    "proxies",
    [
        (name for name in ["l2_norm"]),
        {"l2_norm"},
        {"l2_norm": 1},
        map(str, ["l2_norm"]),
        [["l2_norm"]],
        np.array(["l2_norm"]),
        pd.Series(["l2_norm"]),
    ],
    ids=["generator", "set", "dict", "map", "nested", "array", "series"],
)
def test_several_proxies_are_a_list(proxies: Any) -> None:
    with pytest.raises(ConfigError, match=r"list of them, such as \["):
        greenmachine.rank([network("plain")], proxies, shape=SHAPE)


@pytest.mark.parametrize("models", [None, 3, b"a", "a.b:c", nn.Sequential(), [("a", wide(2), 1)]])
def test_what_are_no_networks_is_refused_in_one_line(models: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        greenmachine.rank(models, "l2_norm", shape=SHAPE)
    assert "\n" not in str(raised.value)


class Refuses(nn.Module):
    """A network that raises an error of this package, for example because it scores another."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise greenmachine.errors.ConfigError("not here")


@pytest.mark.parametrize(
    "proxy", ["nwot_inputs", "synflow", ["l2_norm", "params"], lambda m, x, y: m(x).var()]
)
@pytest.mark.parametrize("bad", ["no model", "a b:c", Refuses(), lambda: Refuses(), 3])
def test_a_network_that_fails_in_a_generator_costs_one_row(bad: Any, proxy: Any) -> None:
    good = network("plain")
    table = greenmachine.rank(iter([("a", good), ("bad", bad), ("b", good)]), proxy, shape=SHAPE)
    failed = table.set_index("name")["failure"]
    assert failed["bad"] and failed["a"] == failed["b"]


def test_models_of_a_generator_come_and_go() -> None:
    alive: list[weakref.ref[nn.Module]] = []

    def models() -> Iterator[tuple[str, nn.Module]]:
        for width in (3, 5, 4, 6):
            assert sum(reference() is not None for reference in alive) <= 1
            model = wide(width)
            alive.append(weakref.ref(model))
            yield f"width {width}", model
            del model

    table = greenmachine.rank(models(), "weight_count", shape=SHAPE)
    assert table["name"].tolist() == ["width 6", "width 5", "width 4", "width 3"]


def test_rank_repeats() -> None:
    tables = [
        greenmachine.rank([network("plain", seed) for seed in range(3)], "grad_norm",
                          **dict_of(batch()))
        for _ in range(2)
    ]  # fmt: skip
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize("models", [[], {}, iter(())])
def test_rank_of_nothing_is_refused(models: Any) -> None:
    with pytest.raises(ConfigError, match="models is empty"):
        greenmachine.rank(models, "synflow", shape=SHAPE)


def test_rank_of_one_network_does_not_rank_its_layers() -> None:
    with pytest.raises(ConfigError, match="several networks"):
        greenmachine.rank(network("plain"), "synflow", shape=SHAPE)  # type: ignore[arg-type]


def test_exported_proxy_of_vectors_gives_the_engine_s_score(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
    text = "sum_layers(min_eigenvalue(channel_correlation(noise_output)))"
    write_export(tmp_path / "vectors.py", text, direction=1, shape=(8, 64), name="vectors")
    exported = load(tmp_path / "vectors.py")
    with neutral():
        assert exported.score(model) == greenmachine.score(model, text, shape=(8, 64))


def build() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))


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


def test_rank_orders_by_the_mean_over_seeds() -> None:
    models = {"small": build, "large": lambda: nn.Conv2d(3, 400, 3), "broken": Broken()}
    table = greenmachine.rank(models, "l2_norm", shape=SHAPE, seed=2, seeds=3)
    assert table["name"].tolist() == ["large", "small", "broken"]
    for name in ("small", "large"):
        found = greenmachine.score(models[name], "l2_norm", shape=SHAPE, seed=2, seeds=3)
        row = table.set_index("name").loc[name]
        assert (row["score"], row["deviation"]) == (found.mean, found.deviation)
    assert table.iloc[2][["score", "deviation"]].isna().all()
    assert "no way" in table["failure"][2]
    assert "deviation" not in greenmachine.rank(models, "l2_norm", shape=SHAPE)


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


# --- lists, functions, texts, devices ---------------------------------------------------------

MANY = [*EXPRESSIONS, "nwot", "params", "synflow"]


@pytest.mark.parametrize("kind", ["plain", "branches", "branches-double"])
def test_a_list_of_proxies_scores_as_each_alone(kind: str) -> None:
    model, given = network(kind), dict_of(batch())
    found = greenmachine.score(model, MANY, **given, seed=3)
    assert found == {name: greenmachine.score(model, name, **given, seed=3) for name in found}
    assert len(found) == len(MANY) and list(found)[-3:] == MANY[-3:]


def test_expressions_of_a_list_share_the_passes() -> None:
    model, passes = network("plain"), []
    model.register_forward_hook(lambda *_: passes.append(1))
    greenmachine.score(model, EXPRESSIONS[0], shape=SHAPE)
    alone = len(passes)
    passes.clear()
    greenmachine.score(model, [EXPRESSIONS[0], "l2_norm", "nwot_inputs"], shape=SHAPE)
    assert len(passes) == alone


@pytest.mark.parametrize("proxies", [["l2_norm", "synflow"], ("synflow", "l2_norm", "synflow")])
def test_ranks_of_a_list_sum(proxies: Any) -> None:
    models = {"a": wide(4), "b": wide(9), "broken": Broken(), "c": wide(2)}
    table = greenmachine.rank(models, proxies, shape=SHAPE).set_index("name")
    names = list(dict.fromkeys(proxies))
    for name in names:
        alone = greenmachine.rank(models, name, shape=SHAPE).set_index("name")
        assert table[name].equals(alone["score"].loc[table.index])
        assert table[f"{name} rank"].equals(alone["rank"].loc[table.index].rename(f"{name} rank"))
    text = greenmachine.rank(models, f"rank_sum({', '.join(names)})", shape=SHAPE)
    pd.testing.assert_frame_equal(table.reset_index(), text)
    assert table.index.tolist() == ["b", "a", "c", "broken"]
    assert table.loc["broken", "rank"] == 4 and "no way through" in table.loc["broken", "failure"]


def test_a_minus_in_a_rank_sum_turns_a_proxy_round() -> None:
    models = {"a": wide(4), "b": wide(9), "c": wide(2)}
    table = greenmachine.rank(models, "log_rank_sum(-params, -l2_norm)", shape=SHAPE)
    assert table["name"].tolist() == ["c", "a", "b"]
    assert table["params rank"].tolist() == [1, 2, 3]
    with pytest.raises(ConfigError, match="rank"):
        greenmachine.score(wide(4), "rank_sum(params, l2_norm)", shape=SHAPE)


@pytest.mark.parametrize("text", ["rank_sum(params, synflow)", "log_rank_sum(a, -b)", "az_nas"])
def test_a_rank_sum_beside_other_proxies_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="alone"):
        greenmachine.rank([wide(4), wide(2)], ["l2_norm", text], shape=SHAPE)


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.norm(self.conv(x)), 0.5, self.training).mean((2, 3))


def grads(model: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
    """What a user writes: a loss, a backward pass, a sum over gradients."""
    assert model.training
    loss = model(images).square().sum() + (0 if labels is None else labels.sum())
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return torch.stack([gradient.abs().sum() for gradient in gradients]).sum()


@pytest.mark.parametrize("prepare", [nn.Module.train, nn.Module.eval, nn.Module.double])
def test_a_function_is_a_proxy_and_leaves_no_trace(prepare: Any) -> None:
    model = prepare(Dropping())
    images, labels = batch()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training, state = model.training, torch.get_rng_state()
    with torch.no_grad():
        first, again, other = (
            greenmachine.score(model, grads, images=images, labels=labels, seed=seed)
            for seed in (1, 1, 2)
        )
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), state) and model.training == training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    noise = greenmachine.score(model, grads, shape=SHAPE, seed=1)
    assert noise != first and math.isfinite(noise)
    both = greenmachine.score(model, [grads, "l2_norm"], images=images, labels=labels, seed=1)
    assert both["grads"] == first
    table = greenmachine.rank([model, Broken()], grads, images=images, labels=labels, seed=1)
    assert table["score"][0] == first and "no way through" in table["failure"][1]


@pytest.mark.parametrize("value", ["3", None, [1, 2], torch.ones(2), 3j, b"3"])
def test_a_function_that_returns_no_number_is_one_line(value: Any) -> None:
    with pytest.raises(greenmachine.GreenMachineError, match="not a number"):
        greenmachine.score(wide(3), lambda model, images, labels: value, shape=SHAPE)


@pytest.mark.parametrize("error", [SystemExit(0), RuntimeError("a\nb"), RecursionError()])
def test_a_function_that_raises_costs_one_row(error: BaseException) -> None:
    def raising(model: nn.Module, images: Any, labels: Any) -> float:
        raise error

    table = greenmachine.rank([wide(3)], [raising, "params"], shape=SHAPE)
    assert math.isnan(table["raising"][0]) and table["params"][0] == 84
    assert type(error).__name__ in table["failure"][0] and "\n" not in table["failure"][0]


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ([], "no proxies"),
        (3, "int"),
        (None, "NoneType"),
        (nn.Linear(2, 2), "Linear"),
        (lambda model: 3.0, "images, labels"),
        ([lambda a, b, c: 1.0, lambda a, b, c: 2.0], "lambda"),
        (["l2_norm", "nwott"], "nwott"),
        (["l2_norm", "snip"], "snip needs data"),
        (["l2_norm", "sed"], "sed scores architectures"),
        ("rank_sum(l2_norm)", "two or more"),
        ("rank_sum(sum_layers(l2_norm(weight)), sum_layers( l2_norm(weight) ))", "twice"),
    ],
)
def test_what_is_no_proxy_is_refused_before_any_work(proxy: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        greenmachine.rank([Broken()], proxy, shape=SHAPE)
    with pytest.raises(ConfigError):
        greenmachine.score(Broken(), proxy, shape=SHAPE)


def test_a_proxy_of_a_list_is_called_like_no_other_column() -> None:
    def rank(model: nn.Module, images: Any, labels: Any) -> float:
        return 1.0

    with pytest.raises(ConfigError, match="rename"):
        greenmachine.rank([wide(3)], [rank, "params"], shape=SHAPE)
    assert greenmachine.score(wide(3), rank, shape=SHAPE) == 1.0


def test_a_shape_that_the_network_says_is_taken() -> None:
    model: Any = wide(3)
    model.in_size = (9, 7)
    expected = greenmachine.score(model, EXPRESSIONS[0], shape=(8, 3, 9, 7))
    assert greenmachine.score(model, EXPRESSIONS[0]) == expected
    table = greenmachine.rank({"says": model, "silent": wide(3)}, EXPRESSIONS[0])
    assert table["score"][0] == expected and "shape" in table["failure"][1]


def test_not_a_network_costs_one_row() -> None:
    models: Any = {"three": 3, "fine": wide(3), "class": nn.Linear}
    table = greenmachine.rank(models, "l2_norm", shape=SHAPE).set_index("name")
    assert table.loc["fine", "rank"] == 1
    assert "int" in table.loc["three", "failure"] and "TypeError" in table.loc["class", "failure"]


def test_the_same_network_twice_has_one_score() -> None:
    model = wide(3)
    table = greenmachine.rank([model, ("again", model)], ["l2_norm", "synflow"], shape=SHAPE)
    assert table["rank"].tolist() == [1, 1] and table["l2_norm"].nunique() == 1


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


@pytest.mark.parametrize(("terminal", "progress"), [(True, True), (True, False), (False, True)])
def test_a_bar_is_drawn_in_a_terminal_alone(
    terminal: bool,
    progress: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if terminal else "0")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    greenmachine.rank([wide(3), wide(4)], "l2_norm", shape=SHAPE, progress=progress)
    printed = capsys.readouterr()
    assert ("2/2" in printed.err or "networks" in printed.err) == (terminal and progress)
    assert printed.out == ""
