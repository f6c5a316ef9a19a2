"""What a pass records is what plain autograd finds, and the network stays as it was."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from greenmachine.language import SIGNALS, terminals_of
from greenmachine.networks import build_topology
from greenmachine.signals import PASSES
from greenmachine.signals.capture import Layer, maps_of, run_pass, weights_of
from greenmachine.signals.passes import PERTURBATION, noise_images
from greenmachine.signals.run_passes import run_passes
from tests.signals import networks
from tests.signals.networks import NETWORKS, Base, make

SHAPE = (4, 3, 8, 8)
ALL = set(SIGNALS)
EVERY_TERMINAL = set(terminals_of(list(PASSES))) - {"depth"}
each_network = pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.__name__)


def labelled() -> tuple[Tensor, Tensor]:
    return noise_images(SHAPE, 3), torch.arange(4)


def everything(model: nn.Module) -> list[Layer]:
    images, labels = labelled()
    return run_passes(model, EVERY_TERMINAL, SHAPE, images=images, labels=labels)


def plain(
    model: nn.Module, images: Tensor, objective: Callable[[Tensor], Tensor]
) -> list[dict[str, Tensor]]:
    """The signals by another way: clones inside forward hooks, and ``backward``.

    What follows a layer gets a clone of its output, so it cannot work on the output in place.
    """
    model = copy.deepcopy(model).train().requires_grad_(True)
    firings: list[tuple[nn.Module, Tensor, Tensor, Tensor, dict[str, Tensor]]] = []

    def after(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        output.retain_grad()
        if args[0].requires_grad:
            args[0].retain_grad()
        weight = module.weight
        assert isinstance(weight, Tensor)
        if not weight.is_leaf:
            weight.retain_grad()
        firings.append((module, args[0], output, weight, {}))
        return output.clone()

    def norm(module: nn.Module, args: Any, output: Tensor) -> None:
        source = getattr(args[0].grad_fn, "next_functions", [[None]])[0][0]
        for _, _, fired, _, more in firings:
            if fired.grad_fn is source:
                more["norm_output"] = output.detach().clone()

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(after)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm | nn.BatchNorm1d):
            module.register_forward_hook(norm)
    images = images.clone(memory_format=torch.channels_last).requires_grad_(True)
    with torch.random.fork_rng([]), torch.nn.utils.parametrize.cached():
        torch.manual_seed(0)
        output = model(images * 1.0)
        objective(getattr(output, "logits", output)).backward()  # type: ignore[no-untyped-call]
    found = []
    for module, given, output, weight, more in firings:
        ends = {"weight": weight, "input": given, "output": output}
        signals = {}
        for name, end in ends.items():
            layout = weights_of if name == "weight" else maps_of
            signals[name] = layout(end, module)
            gradient = torch.zeros_like(end) if end.grad is None else end.grad
            signals[f"{name}_grad"] = layout(gradient, module)
        signals["norm_output"] = maps_of(more.get("norm_output", output), module)
        found.append(signals)
    return found


def agree(found: Tensor, expected: Tensor, context: object) -> None:
    assert found.dtype == expected.dtype
    torch.testing.assert_close(
        found, expected, rtol=1e-4, atol=1e-6, msg=lambda m: f"{context}: {m}"
    )


@each_network
@pytest.mark.parametrize("name", ["data", "noise"])
def test_signals_equal_plain_autograd(network: type[Base], name: str) -> None:
    model = make(network)
    images, labels = labelled()
    objectives: dict[str, Callable[[Tensor], Tensor]] = {
        "data": lambda y: functional.cross_entropy(y, labels),
        "noise": torch.sum,
    }
    if name == "noise":
        images = noise_images(SHAPE, 0)
    expected = plain(model, images, objectives[name])
    layers = everything(model)
    assert len(layers) == len(expected) > 1
    for layer, signals in zip(layers, expected, strict=True):
        agree(layer.signals["weight"], signals["weight"], (layer.name, "weight"))
        for signal in SIGNALS:
            agree(layer.signals[f"{name}_{signal}"], signals[signal], (layer.name, signal))


@each_network
def test_layouts(network: type[Base]) -> None:
    for layer in everything(make(network)):
        for name, value in layer.signals.items():
            assert value.is_contiguous()
            assert not value.requires_grad
            if "weight" in name:
                assert value.dim() == 4
            else:
                assert value.dim() == 4
                assert len(value) == (1 if name.startswith("ones") else SHAPE[0])
            assert value.dtype == (torch.float64 if name.startswith("ones") else torch.float32)


def snapshot(model: nn.Module) -> dict[str, Any]:
    """Everything that capturing must not change."""
    modules = dict(model.named_modules())
    hooks = (
        "_forward_hooks",
        "_forward_pre_hooks",
        "_backward_hooks",
        "_forward_hooks_with_kwargs",
    )
    return {
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "buffers": {name: id(value) for name, value in model.named_buffers()},
        "parameters": {name: id(value) for name, value in model.named_parameters()},
        "requires_grad": {n: p.requires_grad for n, p in model.named_parameters()},
        "grad": {
            n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()
        },
        "training": {name: module.training for name, module in modules.items()},
        "hooks": {name: [len(getattr(m, hook)) for hook in hooks] for name, m in modules.items()},
        "attributes": {name: sorted(vars(module)) for name, module in modules.items()},
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(legacy=False)["state"]["key"],
        "python": random.getstate(),
        "grad mode": torch.is_grad_enabled(),
    }


def same(left: Any, right: Any, path: str = "") -> None:
    if isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            same(left[key], right[key], f"{path}/{key}")
    elif isinstance(left, Tensor | np.ndarray):
        assert torch.equal(torch.as_tensor(left), torch.as_tensor(right)), path
    else:
        assert left == right, path


@pytest.mark.parametrize("grads", [False, True])
@pytest.mark.parametrize(
    "network", [*NETWORKS, networks.Raising, networks.Folded], ids=lambda n: n.__name__
)
def test_model_is_left_as_found(network: type[Base], grads: bool) -> None:
    model = make(network)
    if grads:
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
    images, labels = labelled()
    found = images.clone()
    before = snapshot(model)
    fails = network in (networks.Raising, networks.Folded)
    if fails:
        for name in PASSES:
            wanted = {f"{name}_input", f"{name}_weight_grad"}
            with pytest.raises((RuntimeError, ValueError)):
                run_passes(model, wanted, SHAPE, images=images, labels=labels)
    else:
        run_passes(model, EVERY_TERMINAL, SHAPE, images=images, labels=labels)
    same(before, snapshot(model))
    assert torch.equal(images, found)
    assert not images.requires_grad


@each_network
def test_runs_alike_under_no_grad_and_twice(network: type[Base]) -> None:
    model = make(network)
    first = everything(model)
    with torch.no_grad():
        second = everything(model)
    for one, two in zip(first, second, strict=True):
        for name, value in one.signals.items():
            assert torch.equal(value, two.signals[name]), name


def test_layout_of_the_weights_changes_nothing() -> None:
    """Cells with dead convolutions amplify the rounding in which layouts differ."""
    cell = "|none~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|nor_conv_1x1~1|nor_conv_1x1~2|"
    model = build_topology(cell, cells=3)
    terminals = {"noise_output", "noise_weight_grad"}
    usual = run_passes(model, terminals, (4, 3, 32, 32))
    last = run_passes(model.to(memory_format=torch.channels_last), terminals, (4, 3, 32, 32))
    for first, second in zip(usual, last, strict=True):
        assert all(torch.equal(first.signals[name], second.signals[name]) for name in terminals)


def test_weights_keep_their_layout_and_storage() -> None:
    model = build_topology(
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|", cells=1
    )
    before = [(p.data_ptr(), p.stride()) for p in model.parameters()]
    run_passes(model, {"noise_weight_grad"}, (2, 3, 8, 8))
    assert [(p.data_ptr(), p.stride()) for p in model.parameters()] == before


def test_in_place_activations_do_not_corrupt() -> None:
    layers = {layer.name: layer.signals for layer in everything(make(networks.InPlace))}
    assert (layers["stem"]["noise_output"] < 0).any()
    assert (layers["middle.1"]["noise_input"] >= 0).all()
    assert (layers["middle.1"]["noise_norm_output"] < 0).any()
    assert torch.equal(
        layers["stem"]["noise_input"], noise_images(SHAPE, 0).permute(0, 2, 3, 1) * 2
    )


def test_dead_and_silent_layers() -> None:
    layers = {layer.name: layer.signals for layer in everything(make(networks.Dead))}
    assert list(layers) == ["stem", "unread", "head"]  # `never` does not fire
    for name in ("data", "noise", "perturbed", "ones"):
        assert layers["unread"][f"{name}_output"].any()
        for gradient in ("weight_grad", "output_grad"):
            assert not layers["unread"][f"{name}_{gradient}"].any()
    assert layers["unread"]["noise_input_grad"].any()  # its input goes elsewhere too


def test_zero_input() -> None:
    layers = {layer.name: layer.signals for layer in everything(make(networks.Zeros))}
    assert not layers["middle"]["noise_input"].any()
    assert not layers["middle"]["noise_weight_grad"].any()
    assert layers["middle"]["noise_output_grad"].any()


def test_second_firing_has_a_name() -> None:
    layers = everything(make(networks.Shared))
    assert [layer.name for layer in layers] == ["stem", "middle", "middle#2", "head"]
    first, second = layers[1].signals, layers[2].signals
    assert torch.equal(first["noise_weight_grad"], second["noise_weight_grad"])
    assert not torch.equal(first["noise_input"], second["noise_input"])


def test_norm_output_follows_the_norm() -> None:
    normed = {layer.name: layer.signals for layer in everything(make(networks.InPlace))}
    value = normed["middle.1"]["noise_norm_output"]
    torch.testing.assert_close(value.mean(dim=(0, 1, 2)), torch.zeros(6), atol=1e-5, rtol=0)
    assert torch.equal(normed["stem"]["noise_norm_output"], normed["stem"]["noise_output"])
    for network in (networks.GroupNormed, networks.Tokens):
        layers = {layer.name: layer.signals for layer in everything(make(network))}
        name = "stem" if network is networks.GroupNormed else "middle"
        assert not torch.equal(layers[name]["noise_norm_output"], layers[name]["noise_output"])


@pytest.mark.parametrize("signal", sorted(ALL))
def test_only_what_is_wanted_is_kept(signal: str) -> None:
    for layer in run_pass(make(networks.InPlace), noise_images(SHAPE, 0), torch.sum, {signal}):
        assert set(layer.signals) == {signal}
        assert not layer.ends
        assert not layer.edges


@pytest.mark.parametrize("signal", sorted(ALL))
def test_backward_runs_only_for_gradients(signal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    backward = torch.autograd.grad

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(1)
        return backward(*args, **options)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    run_pass(make(networks.Plain), noise_images(SHAPE, 0), torch.sum, {signal})
    assert bool(calls) == signal.endswith("_grad")


def test_perturbed_is_the_difference() -> None:
    model = make(networks.InPlace)
    noise = noise_images(SHAPE, 0)
    moved = noise + PERTURBATION * noise_images(SHAPE, 1)
    before, after = plain(model, noise, torch.sum), plain(model, moved, torch.sum)
    for layer, old, new in zip(everything(model), before, after, strict=True):
        for name in SIGNALS:
            agree(layer.signals[f"perturbed_{name}"], new[name] - old[name], (layer.name, name))
        assert layer.signals["perturbed_output"].any()


def test_dropout_masks_are_equal_in_both_halves_of_perturbed() -> None:
    layers = {layer.name: layer.signals for layer in everything(make(networks.Dropping))}
    dropped = layers["middle.1"]["noise_input"] == 0
    assert 0.3 < dropped.float().mean() < 0.7
    assert not layers["middle.1"]["perturbed_input"][dropped].any()


def direct_synflow(model: nn.Module) -> float:
    """Tanaka et al. 2020 as published code writes it: state of a copy to |w|, `backward`."""
    model = copy.deepcopy(model).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = lambda x: x  # type: ignore[method-assign,assignment]
    for parameter in model.parameters():
        parameter.data.abs_()
    model(torch.ones(1, *SHAPE[1:], dtype=torch.float64)).sum().backward()
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    grads = [(m.weight, m.weight.grad) for m in layers]
    return sum(float((w * g).detach().abs().sum()) for w, g in grads if g is not None)


def test_ones_is_synflow() -> None:
    arch = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    model = build_topology(arch, cells=1)
    layers = run_passes(model, {"weight", "ones_weight_grad"}, SHAPE)
    found = sum(
        float((layer.signals["weight"].double() * layer.signals["ones_weight_grad"]).abs().sum())
        for layer in layers
    )
    assert found == pytest.approx(direct_synflow(model), rel=1e-9)


def test_batch_norm_alone_is_off_in_the_ones_pass() -> None:
    off, on = (networks.InPlace, networks.VectorNormed), (networks.GroupNormed, networks.Tokens)
    for network in (*off, *on):
        unchanged = [
            torch.equal(layer.signals["ones_norm_output"], layer.signals["ones_output"])
            for layer in everything(make(network))
        ]
        assert all(unchanged) == (network in off), network


def test_a_transposed_convolution_is_a_layer() -> None:
    layer = everything(make(networks.Transposed))[1]
    weight = layer.module.weight
    assert torch.equal(layer.signals["weight"], weight.detach().transpose(0, 1))
    assert layer.signals["noise_input"].shape[-1] == weight.shape[0]
    assert layer.signals["noise_output"].shape[-1] == weight.shape[1]


def test_capturing_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for network in NETWORKS:
            everything(make(network))


def test_rows_that_are_not_images_are_refused() -> None:
    with pytest.raises(ValueError, match="middle has 256 rows for 4 images"):
        run_passes(make(networks.Folded), {"noise_input"}, SHAPE)


def test_no_layers_and_missing_images() -> None:
    with pytest.raises(ValueError, match="no convolution or linear layer ran"):
        run_passes(nn.Flatten(), {"noise_input", "ones_input"}, SHAPE)
    with pytest.raises(ValueError, match="labelled mini-batch"):
        run_passes(make(networks.Plain), {"data_input"}, SHAPE)


def test_weight_alone_finds_the_layers_that_fire() -> None:
    layers = run_passes(make(networks.Dead), {"weight"}, SHAPE)
    assert [(layer.name, list(layer.signals)) for layer in layers] == [
        ("stem", ["weight"]),
        ("unread", ["weight"]),
        ("head", ["weight"]),
    ]


def test_what_the_network_returns() -> None:
    class Pair(Base):
        def forward(self, x: Tensor) -> Any:
            return x, super().forward(x)

    run_passes(make(Pair), {"noise_input"}, SHAPE)  # the output is not needed
    with pytest.raises(ValueError, match="choose the part"):
        run_passes(make(Pair), {"noise_weight_grad"}, SHAPE)
