"""Networks of other people's: what proxies read of them, what they refuse, what they warn of."""

from __future__ import annotations

import copy
import math
import random
import runpy
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import greenmachine
from greenmachine.export import write_export
from greenmachine.proxies import PROXIES, ArchitectureProxy, ExpressionProxy, FunctionProxy
from tests.disguises import SHAPE, Keeping, Net, batch, plain
from tests.proxies.test_same_function import exported

OF_NETWORKS = [proxy for proxy in PROXIES if not isinstance(proxy, ArchitectureProxy)]
EXPRESSIONS = [proxy for proxy in OF_NETWORKS if isinstance(proxy, ExpressionProxy)]
EACH = pytest.mark.parametrize("proxy", OF_NETWORKS, ids=lambda proxy: proxy.name)
IMAGES, LABELS = batch()


def score(model: nn.Module, proxy: Any = "gm_any", **options: Any) -> float:
    return greenmachine.score(model, proxy, **{"images": IMAGES, "labels": LABELS, **options})


def seeded(make: Any) -> Any:
    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        return make()


# --- a network is left as it was found --------------------------------------------------------


def state(model: nn.Module) -> list[Any]:
    """Return every attribute of every module, tensors by identity and value."""

    def seen(value: Any) -> Any:
        if isinstance(value, Tensor):
            return (
                id(value),
                value.detach().clone().tolist(),
                value.requires_grad,
                value.is_contiguous(),
            )
        if isinstance(value, dict):
            return [(key, seen(held)) for key, held in value.items()]
        if isinstance(value, list | tuple | set):
            return [seen(held) for held in value]
        return id(value) if isinstance(value, nn.Module) else repr(value)

    return [(id(m), type(m), seen(vars(m))) for m in model.modules()]


@EACH
def test_attributes_are_left_as_found(proxy: Any) -> None:
    model = plain(Keeping)
    torch.nn.utils.parametrizations.weight_norm(model.first[0])
    torch.nn.utils.spectral_norm(model.head)
    model.second.requires_grad_(False)
    model.third.eval()
    model(IMAGES).sum().backward()
    before = state(model)
    score(model, proxy)
    assert state(model) == before


def test_a_network_that_raises_is_left_as_found() -> None:
    class Raising(Keeping):
        def forward(self, x: Tensor) -> Any:
            super().forward(x)
            raise RuntimeError("on purpose")

    model = plain(Raising)
    before = state(model)
    with pytest.raises(greenmachine.GreenMachineError, match="on purpose"):
        score(model)
    assert state(model) == before


class Nested(Net):
    """Changes containers inside containers, and a tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.nested: dict[str, Any] = {"a": [], "b": deque([1])}
        self.memory = torch.zeros(2)

    def forward(self, x: Tensor) -> Any:
        self.nested["a"].append(1)
        self.nested["b"].append(2)
        self.memory += 1
        return super().forward(x) * (1 + self.memory[0])


@pytest.mark.parametrize("proxy", ["gm_any", "snip", "zico", "synflow", "nwot"])
def test_nested_containers_and_plain_tensors_are_left_as_found(proxy: str) -> None:
    model = plain(Nested)
    before = state(model)
    first = score(model, proxy)
    assert state(model) == before
    assert score(model, proxy) == first


@pytest.mark.parametrize("proxy", ["gm_any", "zico", "zen", "nwot"])
def test_layers_that_are_built_while_it_runs_warn(proxy: str) -> None:
    class Late(Net):
        def forward(self, x: Tensor) -> Any:
            if not hasattr(self, "late"):
                self.late = nn.Linear(4, 4)
            return self.late(super().forward(x))

    with pytest.warns(UserWarning, match="built layers while it ran"):
        score(plain(Late), proxy)


def test_layers_may_differ_in_precision() -> None:
    class Mixed(Net):
        def __init__(self) -> None:
            super().__init__()
            self.second.double()

        def blocks(self, x: Tensor) -> Tensor:
            result: Tensor = self.third(self.second(self.first(x).double()).float())
            return result

    for proxy in OF_NETWORKS:
        if "ones" in proxy.passes:  # everything is float64 there, but for what the network casts
            with pytest.raises(greenmachine.GreenMachineError, match="Double"):
                score(plain(Mixed), proxy)
        else:
            assert math.isfinite(score(plain(Mixed), proxy)), proxy.name


# --- threads ----------------------------------------------------------------------------------


def test_networks_built_in_threads_have_their_own_weights() -> None:
    benchmark = greenmachine.load_benchmark("digits-tss")

    def build(index: int) -> list[Tensor]:
        return list(benchmark.build(index, "digits").state_dict().values())

    alone = [build(index) for index in range(24)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(build, range(24)))
    for one, other in zip(alone, together, strict=True):
        assert all(map(torch.equal, one, other))


def test_scores_in_threads_are_those_of_one() -> None:
    class Dropping(Net):
        def blocks(self, x: Tensor) -> Tensor:
            return functional.dropout(super().blocks(x), 0.5, self.training)

    models = [plain(Dropping) for _ in range(12)]
    names = ["gm_any", "grad_norm", "zico"]
    alone = [score(models[0], name) for name in names]
    run = exported("gm_any")
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda m: [score(m, name) for name in names], models))
        foreign = list(pool.map(lambda m: run(m, IMAGES), models))
    assert found == [alone] * len(models)
    assert foreign == alone[:1] * len(models)


@pytest.mark.parametrize("proxy", ["gm_any", "synflow", "zico", "nwot", "meco", "params"])
def test_layers_in_a_thread_of_the_network_are_refused(proxy: str) -> None:
    class Threaded(Net):
        def forward(self, x: Tensor) -> Any:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(super().forward, x).result()

    if proxy == "params":
        assert score(plain(Threaded), proxy) == score(plain(), proxy)
        return
    with pytest.raises(greenmachine.GreenMachineError, match="thread"):
        score(plain(Threaded), proxy)


@pytest.mark.parametrize("proxy", ["gm_any", "zico", "grasp", "gradsign", "ntk", "meco"])
def test_a_network_without_layers_that_fire_is_refused(proxy: str) -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Linear(2, 2)
            self.hidden = [torch.nn.Parameter(torch.ones(4, 192))]

        def forward(self, x: Tensor) -> Any:
            return functional.linear(x.flatten(1), self.hidden[0])

    with pytest.raises(greenmachine.GreenMachineError, match=r"no .* layer|no gradient"):
        score(Hidden(), proxy)


class Drawing(Net):
    """Draws from generators that are not torch's own."""

    def __init__(self, draw: Any) -> None:
        super().__init__()
        self.own = torch.Generator().manual_seed(9)
        self.draw = draw

    def blocks(self, x: Tensor) -> Tensor:
        return super().blocks(x) * (0.5 + self.draw(self))


@pytest.mark.parametrize(
    "draw",
    [
        lambda net: random.random(),
        lambda net: float(np.random.rand()),
        lambda net: torch.rand((), generator=net.own),
    ],
    ids=["random", "numpy", "own"],
)
@pytest.mark.parametrize("proxy", ["snip", "zico", "gradsign"])
def test_every_generator_is_seeded_and_put_back(draw: Any, proxy: str) -> None:
    model = seeded(lambda: Drawing(draw))

    def states() -> list[Any]:
        numpy_state = [np.asarray(part).tolist() for part in np.random.get_state()]
        return [random.getstate(), numpy_state, model.own.get_state().tolist()]

    before = states()
    first = score(model, proxy)
    assert states() == before
    random.random()
    np.random.rand()
    torch.rand((), generator=model.own)
    assert score(model, proxy) == first


@pytest.mark.parametrize(
    "draw",
    [lambda net: random.random(), lambda net: float(np.random.rand())],
    ids=["random", "numpy"],
)
def test_exports_seed_every_generator_and_put_it_back(draw: Any, tmp_path: Path) -> None:
    text = "sum_layers(l2_norm(noise_weight_grad))"
    write_export(tmp_path / "p.py", text, direction=1, shape=SHAPE, name="p")
    exported = runpy.run_path(str(tmp_path / "p.py"))["score"]
    model = seeded(lambda: Drawing(draw))
    states = random.getstate(), np.random.get_state()[1].tolist()
    found = [exported(model, seed=3), exported(model, seed=3)]
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states
    assert found == pytest.approx([greenmachine.score(model, text, shape=SHAPE, seed=3)] * 2)


# --- a part of the network is not seen --------------------------------------------------------


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


# --- inputs and labels ------------------------------------------------------------------------


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        self.head = nn.Linear(8, 4)

    def forward(self, ids: Tensor) -> Any:
        return self.head(self.body(self.embed(ids)).mean(dim=1))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_token_ids_stay_whole(dtype: torch.dtype) -> None:
    ids = torch.arange(40).reshape(8, 5).remainder(20).to(dtype)
    model = seeded(Words)
    with pytest.warns(UserWarning, match="embed.weight"):
        found = score(model, "grad_norm", images=ids)
    loss = functional.cross_entropy(model(ids.long()), LABELS)
    layers = [model.body[0].weight, model.head.weight]
    gradients = torch.autograd.grad(loss, layers)
    assert found == pytest.approx(sum(float(g.norm()) for g in gradients), rel=1e-5)
    for proxy in ("gm_any", "synflow", "zen", "meco"):
        with pytest.raises(greenmachine.GreenMachineError, match="token ids"):
            score(model, proxy, images=ids)
    with pytest.raises(ValueError, match="token ids"):
        exported("gm_any")(model, ids)


@pytest.mark.parametrize(
    "labels",
    [
        torch.full((8,), -100),
        torch.tensor([0, 1, 2, -100] * 2),
        torch.full((8,), 0.5),
        torch.full((8,), math.nan),
        torch.eye(8, 4),
        LABELS[:3],
        LABELS + 1,
        "labels",
        [[0], [1]],
    ],
)
@pytest.mark.parametrize("proxy", ["grad_norm", "zico"])
def test_labels_that_are_none_are_refused(labels: Any, proxy: str) -> None:
    with pytest.raises(greenmachine.GreenMachineError) as refused:
        score(plain(), proxy, labels=labels)
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="label"):
        exported("grad_norm")(plain(), IMAGES, labels)


@pytest.mark.parametrize("images", [IMAGES * math.nan, IMAGES.to(torch.complex64), IMAGES[0, 0, 0]])
@pytest.mark.parametrize("proxy", ["grad_norm", "nwot", "meco_modules"])
def test_images_that_are_none_are_refused(images: Tensor, proxy: str) -> None:
    with pytest.raises(greenmachine.GreenMachineError):
        score(plain(), proxy, images=images, labels=LABELS[: len(images)])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: greenmachine.score(plain(), "gm_any", shape=(8, 1, 8, 8)), "channels"),
        (lambda: greenmachine.score(plain(), "gm_any", shape=(3, 8, 8)), "batch axis"),
        (lambda: greenmachine.score(plain(), "zico", images=IMAGES[0], labels=LABELS[:3]), ""),
        (lambda: greenmachine.score(plain(), "gm_any", shape="images"), "shape"),
        (lambda: greenmachine.score("gm_any", plain()), "proxy"),
        (lambda: greenmachine.score(plain(), "gm_any", images="images"), "str"),
        (lambda: greenmachine.score(plain(), "gm_any", shape=SHAPE, output=1), "output=1"),
    ],
)
def test_a_wrong_call_says_so_in_one_line(call: Any, says: str) -> None:
    with pytest.raises(greenmachine.GreenMachineError, match=says) as refused:
        call()
    assert "\n" not in str(refused.value)


# --- outputs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "returned", [lambda y: (y, y), lambda y: {"a": y, "b": y}, lambda y: None, lambda y: [], float]
)
@pytest.mark.parametrize("proxy", ["gm_any", "zico", "jacov"])
def test_an_output_that_is_not_clear_is_refused(returned: Any, proxy: str) -> None:
    class Several(Net):
        def forward(self, x: Tensor) -> Any:
            logits = super().forward(x)
            return returned(logits.sum() if returned is float else logits)

    with pytest.raises(greenmachine.GreenMachineError, match="output=0"):
        score(plain(Several), proxy)
    with pytest.raises(ValueError, match="output=0"):
        exported("gm_any")(plain(Several), IMAGES)


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


# --- the first dimension ----------------------------------------------------------------------


class SequenceFirst(nn.Module):
    """Tokens come before images inside; `tokens` of them."""

    def __init__(self, tokens: int, first: bool) -> None:
        super().__init__()
        self.tokens, self.first = tokens, first
        self.embed = nn.Conv2d(3, 8, 1)
        self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        tokens = self.embed(x).flatten(2)[:, :, : self.tokens].mT
        tokens = self.body(tokens.transpose(0, 1) if self.first else tokens)
        return self.head(tokens.mean(dim=0 if self.first else 1))


@pytest.mark.parametrize("tokens", [8, 5])
@pytest.mark.parametrize("proxy", ["meco_inputs", "fisher", "meco", "nwot", "flops"])
def test_tokens_before_images_are_refused(tokens: int, proxy: str) -> None:
    with pytest.raises(greenmachine.GreenMachineError):
        score(seeded(lambda: SequenceFirst(tokens, True)), proxy)
    assert math.isfinite(score(seeded(lambda: SequenceFirst(tokens, False)), proxy))
    if proxy in ("meco_inputs", "fisher"):
        with pytest.raises(ValueError, match="is not the batch"):
            exported(proxy)(seeded(lambda: SequenceFirst(tokens, True)), IMAGES, LABELS)


class LastBlock(nn.Module):
    def __init__(self, last: bool) -> None:
        super().__init__()
        self.last = last
        self.norm, self.mix = nn.LayerNorm(8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        maps = x if self.last else x.permute(0, 2, 3, 1)
        maps = maps + self.mix(self.norm(maps))
        return maps if self.last else maps.permute(0, 3, 1, 2)


class Blocks(nn.Module):
    """Blocks that take and give (B, H, W, C), as Swin's, or (B, C, H, W)."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.last = last
        self.stem = nn.Conv2d(3, 8, 2, 2)
        self.blocks = nn.Sequential(*[LastBlock(last) for _ in range(3)])
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        x = self.blocks(x.permute(0, 2, 3, 1) if self.last else x)
        return self.head(x.mean((1, 2) if self.last else (2, 3)))


@pytest.mark.parametrize("proxy", ["az_expressivity", "az_progressivity", "az_trainability"])
def test_channels_that_come_last_are_channels(proxy: str) -> None:
    first, last = (seeded(lambda last=last: Blocks(last)) for last in (False, True))
    assert score(last, proxy) == pytest.approx(score(first, proxy), rel=1e-4)


# --- precision and values ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_an_export_gives_the_named_score_in_every_precision(dtype: torch.dtype) -> None:
    model = plain().to(dtype)
    for proxy in EXPRESSIONS:
        named = score(model, proxy)
        found = exported(proxy.name)(model, IMAGES, LABELS)
        assert found == pytest.approx(named, rel=1e-6, nan_ok=True), proxy.name


@EACH
def test_weights_that_are_not_finite_give_no_number(proxy: Any) -> None:
    model = plain()
    with torch.no_grad():
        model.second[0].weight[0, 0, 0, 0] = math.nan
    if proxy.name in ("params", "trainable_layers"):
        assert score(model, proxy) == score(plain(), proxy)
        return
    assert math.isnan(score_or_refused(model, proxy))
    if isinstance(proxy, ExpressionProxy):
        assert math.isnan(exported(proxy.name)(model, IMAGES, LABELS))


@pytest.mark.parametrize("proxy", ["nwot", "meco", "meco_modules", "az_expressivity", "jacov"])
def test_an_output_that_is_not_finite_gives_no_number(proxy: str) -> None:
    class Dividing(Net):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x) / 0 - super().forward(x) / 0

    assert math.isnan(score_or_refused(plain(Dividing), proxy))


def score_or_refused(model: nn.Module, proxy: Any) -> float:
    """Return the score; NaN where the proxy refuses the network because it is not finite."""
    try:
        return score(model, proxy)
    except greenmachine.GreenMachineError as refused:
        return math.nan if "finite" in str(refused) else math.inf


def quantised() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(plain(), {nn.Linear})


UNREADABLE: dict[str, Any] = {
    "quantised": quantised,
    "meta": lambda: plain().to("meta"),
    "lazy": lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(4)),
    "complex": lambda: plain().to(torch.complex64),
    "traced": lambda: torch.jit.trace(plain(), IMAGES, check_trace=False),
    "scripted whole": lambda: torch.jit.script(plain()),
    "scripted": lambda: nn.Sequential(torch.jit.script(plain().first), nn.Flatten()),
}


@pytest.mark.parametrize("kind", UNREADABLE)
@EACH
def test_weights_that_cannot_be_read_are_refused(kind: str, proxy: Any) -> None:
    with pytest.raises(greenmachine.GreenMachineError) as refused:
        score(UNREADABLE[kind](), proxy)
    assert "\n" not in str(refused.value)


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
    deep.double()  # in float32 the weights themselves would be infinite
    with torch.no_grad():
        for parameter in deep.parameters():
            parameter.mul_(1e45)
    with pytest.warns(UserWarning, match="overflows"):
        assert not math.isfinite(score(deep, "synflow", images=torch.ones(8, 64)))


def test_functions_that_read_layers_alone_say_so() -> None:
    known = {p.name for p in OF_NETWORKS if isinstance(p, FunctionProxy) and p.layers_only}
    assert {"grasp", "ntk", "gradsign", "zico", "zen", "meco", "meco_opt"} <= known
