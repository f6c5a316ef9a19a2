"""Lists of proxies and functions as proxies, in ``greenmachine.score`` and ``rank``."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import greenmachine
from greenmachine.errors import ConfigError
from tests.api.small_networks import EXPRESSIONS, Broken, dict_of, norm_of, wide
from tests.proxies.tiny_networks import SHAPE, batch, network

MANY = [*EXPRESSIONS, "nwot", "params", "synflow"]


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
