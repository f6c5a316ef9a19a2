"""The modes of the paper language against plain hooks, on small networks."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from greenmachine.language import PAPER_TERMINALS
from greenmachine.signals.capture import WEIGHTED, Layer
from greenmachine.signals.paper_passes import MODE_SIGNALS, MODES
from greenmachine.signals.run_passes import run_passes
from tests.signals.networks import (
    NETWORKS,
    Base,
    Dead,
    Grouped,
    GroupNormed,
    InPlace,
    Plain,
    Shared,
    Tokens,
    Zeros,
    make,
)

SHAPE = (3, 3, 8, 8)
STORED = set(MODE_SIGNALS)


class Forked(Base):
    """Two convolutions that read the same tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(6, 6, 1)
        self.right = nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        stem = self.stem(x)
        return self.head((self.left(stem) + self.right(stem).tanh()).mean(dim=(2, 3)))


def mode_images(seed: int) -> dict[str, Tensor]:
    """Four samples from one generator, in the order of the modes; the last is the perturbation."""
    generator = torch.Generator().manual_seed(seed)
    first, second, third, move = (torch.randn(SHAPE, generator=generator) for _ in range(4))
    return {
        "pass": first,
        "pass_noise": second,
        "pass_perturbation": third + math.sqrt(0.1) * move,
    }


def hooked(model: nn.Module, images: Tensor) -> dict[str, dict[str, Tensor]]:
    """What plain hooks find at every module that has fired, by its path."""
    model = copy.deepcopy(model).train()
    found: dict[str, dict[str, Tensor]] = {}

    def forward(path: str, module: nn.Module, args: Any, output: Tensor) -> None:
        found[path] = {"fwd_input": args[0].detach(), "fwd_output": output.detach()}

    def backward(path: str, module: nn.Module, inputs: Any, outputs: Any) -> None:
        given = {"bwd_input": inputs[0], "bwd_output": outputs[0]}
        found[path] |= {name: value for name, value in given.items() if value is not None}

    for path, module in model.named_modules():
        if isinstance(module, WEIGHTED):
            module.register_forward_hook(lambda *a, p=path: forward(p, *a))
            module.register_full_backward_hook(lambda *a, p=path: backward(p, *a))
    model(images.clone().requires_grad_()).sum().backward()
    for path in found:
        weight = model.get_submodule(path).weight
        assert isinstance(weight, Tensor)
        found[path] |= {} if weight.grad is None else {"grad": weight.grad}
    return found


def captured(model: nn.Module, terminals: set[str] = STORED, seed: int = 5) -> list[Layer]:
    return run_passes(model, terminals, SHAPE, seed=seed)


@pytest.mark.parametrize("network", [Plain, Grouped, Dead, Zeros, Tokens, GroupNormed, Forked])
def test_signals_are_what_plain_hooks_see(network: type[Base]) -> None:
    model = make(network)
    layers = captured(model)
    missing = 0
    for mode, images in mode_images(5).items():
        expected = hooked(model, images)
        assert [layer.name for layer in layers] == list(expected)
        for layer in layers:
            for name in ("grad", "fwd_input", "fwd_output", "bwd_input", "bwd_output"):
                missing += name not in expected[layer.name]
                value = expected[layer.name].get(name, torch.ones(1))
                found = layer.signals[f"{mode}_{name}"]
                torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-6)
    # Nothing reads a layer of Dead; nothing comes back to the zeros that a layer of Zeros reads.
    assert missing == {Dead: 9, Zeros: 3}.get(network, 0)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_gives_every_signal(network: type[Base]) -> None:
    for layer in captured(make(network)):
        assert set(layer.signals) == STORED
        assert torch.equal(layer.signals["random_grad"], torch.ones(1))
        assert not any(value.requires_grad for value in layer.signals.values())
        assert all(value.is_contiguous() for value in layer.signals.values())


def test_shapes_are_torch_s() -> None:
    first, *_, last = captured(make(Plain))
    assert first.signals["random_wt"].shape == first.signals["pass_grad"].shape == (6, 3, 3, 3)
    assert first.signals["pass_fwd_input"].shape == SHAPE
    assert first.signals["pass_bwd_output"].shape == (3, 6, 8, 8)
    assert last.signals["random_wt"].shape == last.signals["pass_noise_grad"].shape == (4, 6)
    assert last.signals["pass_perturbation_fwd_output"].shape == (3, 4)
    (tokens,) = [layer for layer in captured(make(Tokens)) if layer.name == "middle"]
    assert tokens.signals["pass_fwd_input"].shape == (3, 64, 6)


def test_twenty_terminals_of_which_four_are_one() -> None:
    assert len(PAPER_TERMINALS) == 20
    assert {t for t in PAPER_TERMINALS if t not in STORED} == {f"{mode}_wt" for mode in MODES}


def test_a_signal_does_not_depend_on_what_else_is_captured() -> None:
    whole = captured(make(Plain))
    for name in STORED:
        alone = captured(make(Plain), {name})
        assert [layer.name for layer in alone] == [layer.name for layer in whole]
        for one, other in zip(alone, whole, strict=True):
            assert set(one.signals) == {name}
            torch.testing.assert_close(one.signals[name], other.signals[name])


def test_modes_and_seeds_have_their_own_noise() -> None:
    names = [f"{mode}_fwd_input" for mode in MODES]
    samples = [captured(make(Plain), seed=seed)[0].signals[n] for seed in (5, 6) for n in names]
    for place, sample in enumerate(samples):
        assert not any(torch.equal(sample, other) for other in samples[:place])


@pytest.mark.parametrize("network", [Plain, InPlace, Shared, Dead])
def test_the_network_is_left_as_it_was(network: type[Base]) -> None:
    model = make(network)
    before = copy.deepcopy(model.state_dict())
    captured(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for module in model.modules():
        assert not (module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_both_languages_in_one_capture() -> None:
    terminals = {"weight", "random_wt", "noise_input", "pass_fwd_input"}
    for layer in captured(make(Plain), terminals):
        assert set(layer.signals) == terminals
