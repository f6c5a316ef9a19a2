"""Networks that other people's libraries build: a score, or one line that says why there is none.

Needs ``pip install -e '.[zoo-tests]'``; nothing is downloaded. A minute and a half of one core.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

import greenmachine
from experiments.libraries import NETWORKS, PROXIES, SEED, Network, Outcome, outcome
from greenmachine.errors import GreenMachineError
from greenmachine.export.source import export_source
from greenmachine.proxies import ExpressionProxy, FunctionProxy, resolve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:the score covers", "ignore:.*gradient_checkpointing"),
]

BY_NAME = {network.family: network for network in NETWORKS}
TRANSFORMERS = [network.family for network in NETWORKS if network.library == "transformers"]
EXPRESSIONS = [name for name in PROXIES if isinstance(resolve(name), ExpressionProxy)]
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)

# Refusals of docs/how_to/any_network.md, each by words that its message has.
REFUSALS = {
    "gm_tss": ("token ids", "rows"),
    "gm_any": ("token ids",),
    "synflow": ("token ids",),
    "meco": ("token ids", "rows"),
    "zen": ("token ids",),
    "nwot": ("ReLU",),
    "az_expressivity": ("token ids", "blocks"),
    "az_progressivity": ("token ids", "blocks"),
    "az_trainability": ("token ids", "blocks"),
}


@pytest.fixture(params=list(BY_NAME))
def network(request: pytest.FixtureRequest) -> Network:
    found = BY_NAME[request.param]
    pytest.importorskip(found.library)
    return found


@cache
def built(family: str) -> nn.Module:
    return BY_NAME[family].build()


@dataclass(frozen=True)
class Scored:
    """Every proxy's outcome, and what a user could see change meanwhile."""

    outcomes: dict[str, Outcome]
    before: list[Any]
    after: list[Any]


@cache
def scored(family: str) -> Scored:
    network, model = BY_NAME[family], built(family)
    images, labels = network.batch()
    model.eval()
    next(model.parameters()).requires_grad_(False)
    before = state(model, images)
    outcomes = {proxy: outcome(model, proxy, images, labels) for proxy in PROXIES}
    return Scored(outcomes, before, state(model, images))


def state(model: nn.Module, images: torch.Tensor) -> list[Any]:
    """What a user can see: modules, hooks, attributes, values, gradients, generator, images."""
    found: list[Any] = [torch.get_rng_state().tolist(), images.tolist()]
    for path, module in model.named_modules():
        hooks = [len(module._forward_hooks), len(module._forward_pre_hooks)]
        found.append((path, type(module), module.training, hooks, sorted(vars(module))))
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        layout = (tensor.data_ptr(), tensor.stride(), tensor.dtype, tensor.requires_grad)
        found.append((name, layout, tensor.grad, tensor.detach().double().sum().item()))
    return found


def unseen_weights(network: Network) -> set[str]:
    """Names of the matrices that a gradient reaches and that no layer which fires owns.

    Found without GreenMachine, by the gradient of the output's sum.
    """
    model, (images, _) = network.build(), network.batch()
    fired: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, LAYERS):
            module.register_forward_hook(lambda module, args, output: fired.add(module))
    returned = model(images)
    output = returned if isinstance(returned, torch.Tensor) else returned.logits
    names = [(name, p) for name, p in model.named_parameters() if p.squeeze().dim() > 1]
    gradients = torch.autograd.grad(output.sum(), [p for _, p in names], allow_unused=True)
    seen = {id(module.weight) for module in fired}
    pairs = zip(names, gradients, strict=True)
    return {name for (name, p), g in pairs if g is not None and id(p) not in seen}


def test_every_proxy_scores_or_says_in_one_line_why_not(network: Network) -> None:
    images, labels = network.batch()
    for proxy, found in scored(network.family).outcomes.items():
        if math.isfinite(found.score):
            assert not found.refusal
            continue
        words = REFUSALS.get(proxy, ())
        assert any(word in found.refusal for word in words), f"{proxy}: {found.refusal}"
        with pytest.raises(GreenMachineError) as raised:
            greenmachine.score(built(network.family), proxy, images=images, labels=labels)
        assert "\n" not in str(raised.value)


def test_no_partial_score_without_a_warning(network: Network) -> None:
    images, labels = network.batch()
    partial = bool(unseen_weights(network))
    for name, found in scored(network.family).outcomes.items():
        proxy = resolve(name)
        if found.refusal or (isinstance(proxy, FunctionProxy) and not proxy.layers_only):
            continue
        assert (found.coverage < 1) == partial, name
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            greenmachine.score(built(network.family), name, images=images, labels=labels)
        assert any(warning.category is UserWarning for warning in caught) == partial, name


@pytest.mark.parametrize("proxy", EXPRESSIONS)
def test_exported_file_gives_the_engine_s_score(network: Network, proxy: str) -> None:
    images, labels = network.batch()
    space: dict[str, Any] = {"__name__": "exported"}
    source = export_source(
        proxy_expression(proxy), direction=1, shape=network.shape, name="exported"
    )
    exec(compile(source, proxy, "exec", dont_inherit=True), space)
    known = scored(network.family).outcomes[proxy]
    if known.refusal:
        with pytest.raises((ValueError, RuntimeError)):
            space["score"](built(network.family), images, labels, seed=SEED)
        return
    alone = space["score"](built(network.family), images, labels, seed=SEED)
    assert alone == pytest.approx(known.score, rel=1e-6)


def proxy_expression(name: str) -> str:
    proxy = resolve(name)
    assert isinstance(proxy, ExpressionProxy)
    return proxy.expression


def firings(model: nn.Module, images: torch.Tensor) -> int:
    """How many modules run in a forward and a backward pass."""
    count = 0

    def hook(module: nn.Module, args: Any, output: Any) -> None:
        nonlocal count
        count += 1

    handles = [module.register_forward_hook(hook) for module in model.modules()]
    output = model.train()(images)
    (output if isinstance(output, torch.Tensor) else output.logits).sum().backward()
    model.zero_grad()
    for handle in handles:
        handle.remove()
    return count


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("family", TRANSFORMERS)
def test_gradient_checkpointing_changes_no_score(family: str, reentrant: bool) -> None:
    pytest.importorskip("transformers")
    network = BY_NAME[family]
    model, (images, labels) = network.build(), network.batch()
    owner: Any = getattr(model, "model", model) if family.endswith("embeddings") else model
    if not owner.supports_gradient_checkpointing:
        pytest.skip("this network of transformers has no gradient checkpointing")
    plain = firings(model, images)
    owner.gradient_checkpointing_enable({"use_reentrant": reentrant})
    assert firings(model, images) > plain  # layers do run again in the backward pass
    for proxy, known in scored(family).outcomes.items():
        if known.refusal:
            with pytest.raises(GreenMachineError):
                greenmachine.score(model, proxy, images=images, labels=labels, seed=SEED)
            continue
        found = outcome(model, proxy, images, labels)
        assert found.score == pytest.approx(known.score, rel=1e-4), proxy
        assert found.coverage == known.coverage


def test_network_is_left_as_it_was_found(network: Network) -> None:
    found = scored(network.family)
    assert found.after == found.before
