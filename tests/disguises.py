"""One small network, and the same function built otherwise: what every proxy has to see through.

Images are (8, 3, 8, 8), labels of 4 classes with two images each.
"""

from __future__ import annotations

import copy
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

SHAPE = (8, 3, 8, 8)


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Return the images and labels."""
    generator = torch.Generator("cpu").manual_seed(3)
    images = torch.randn(SHAPE, generator=generator, dtype=torch.float32, device="cpu")
    return images.to(dtype), torch.tensor([0, 1, 2, 3] * 2, device="cpu")


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Net(nn.Module):
    """Three blocks of convolution, batch norm and ReLU, global pool, linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = block(3, 6)
        self.second = block(6, 6)
        self.third = block(6, 8, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 4)

    def blocks(self, x: Tensor) -> Tensor:
        result: Tensor = self.third(self.second(self.first(x)))
        return result

    def forward(self, x: Tensor) -> Any:
        return self.head(self.pool(self.blocks(x)).flatten(1))


def plain(kind: type[Net] = Net) -> Net:
    """Return a network whose weights are always the same."""
    with torch.random.fork_rng([]), torch.device("cpu"):
        torch.manual_seed(5)
        return kind()


def like(kind: type[Net]) -> Callable[[], tuple[Net, nn.Module]]:
    """Return what makes the plain network, and one of ``kind`` with its weights."""

    def pair() -> tuple[Net, nn.Module]:
        model, other = plain(), plain(kind)
        other.load_state_dict(model.state_dict())
        return model, other

    return pair


# --- a layer is computed again in the backward pass ------------------------------------------


class Checkpointed(Net):
    def blocks(self, x: Tensor) -> Any:
        return checkpoint(super().blocks, x, use_reentrant=False)


class Reentrant(Net):
    def blocks(self, x: Tensor) -> Any:
        return checkpoint(super().blocks, x, use_reentrant=True)


class CheckpointedInPieces(Net):
    def blocks(self, x: Tensor) -> Any:
        pieces = [self.first, self.second, self.third]
        return checkpoint_sequential(pieces, 2, x, use_reentrant=False)


# --- weights that are computed from others ----------------------------------------------------


class Doubled(nn.Module):
    def forward(self, half: Tensor) -> Tensor:
        return 2 * half

    def right_inverse(self, whole: Tensor) -> Tensor:
        return whole / 2


def computed(change: Callable[[nn.Module], object]) -> Callable[[], tuple[Net, nn.Module]]:
    """Return what makes a network whose weights ``change`` computes, and one that has them."""

    def pair() -> tuple[Net, nn.Module]:
        model = plain()
        layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        with torch.random.fork_rng([]):
            torch.manual_seed(6)
            for layer in layers:
                change(layer)
        bare = plain()
        twin = copy.deepcopy(model) if parametrize.is_parametrized(layers[0]) else fresh(model)
        with torch.no_grad():
            for name, layer in bare.named_modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    other = twin.get_submodule(name)
                    for hook in other._forward_pre_hooks.values():
                        hook(other, ())
                    layer.weight.copy_(other.weight)
        return bare, model

    def fresh(model: Net) -> Net:
        # A module with a computed weight cannot be copied: the weight is no leaf.
        with torch.random.fork_rng([]):
            torch.manual_seed(6)
            twin = plain()
            for layer in [m for m in twin.modules() if isinstance(m, nn.Conv2d | nn.Linear)]:
                change(layer)
        return twin

    return pair


# --- modules that do more or less than one thing ----------------------------------------------


class NormAct(nn.BatchNorm2d):
    """A batch norm that carries the activation, as timm's."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu_()


class CarriedActivation(Net):
    def __init__(self) -> None:
        super().__init__()
        for name in ("first", "second", "third"):
            piece = getattr(self, name)
            norm = NormAct(piece[1].num_features)
            setattr(self, name, nn.Sequential(piece[0], norm, nn.Identity()))


class FunctionalNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.batch_norm(x, None, None, self.weight, self.bias, training=True)


class FunctionalNorms(Net):
    def __init__(self) -> None:
        super().__init__()
        for name in ("first", "second", "third"):
            piece = getattr(self, name)
            piece[1] = FunctionalNorm(piece[1].num_features)


class Rectified(nn.Module):
    def __init__(self, piece: nn.Sequential, relu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.add_module("0", piece[0])
        self.add_module("1", piece[1])
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        for module in self.children():
            x = module(x)
        return self.relu(x)


class FunctionalRelu(Net):
    def __init__(self) -> None:
        super().__init__()
        self.first = Rectified(self.first, functional.relu)
        self.second = Rectified(self.second, torch.relu_)
        self.third = Rectified(self.third, lambda x: x.relu())


class InPlace(Net):
    def __init__(self) -> None:
        super().__init__()
        for name in ("first", "second", "third"):
            getattr(self, name)[2] = nn.ReLU(inplace=True)


# --- what comes out ---------------------------------------------------------------------------

Pair = namedtuple("Pair", ["logits", "aux_logits"])


def returning(made: Callable[[Net, Tensor, Tensor], Any]) -> type[Net]:
    """Return a kind of network that returns ``made(network, features, logits)``."""

    class Returning(Net):
        def forward(self, x: Tensor) -> Any:
            features = self.pool(self.blocks(x)).flatten(1)
            return made(self, features, self.head(features))

    return Returning


# --- what is left behind ----------------------------------------------------------------------


class Keeping(Net):
    """Keeps what it computed, counts its calls, and registers a buffer while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.calls = 0

    def forward(self, x: Tensor) -> Any:
        self.features = self.blocks(x)
        self.seen.append(self.features)
        self.calls += 1
        self.register_buffer("mean", self.features.detach().mean())
        return self.head(self.pool(self.features).flatten(1))


def after_a_run() -> tuple[Net, nn.Module]:
    """A network that has kept what it computed, with a graph that its owner still holds."""
    model, other = like(Keeping)()
    other(batch()[0]).sum().backward()
    return model, other


def in_inference_mode() -> tuple[Net, nn.Module]:
    with torch.inference_mode():
        return plain(), plain()


def frozen_and_evaluating() -> tuple[Net, nn.Module]:
    model, other = plain(), plain()
    other.requires_grad_(False)
    return model, other.eval()


def channels_last() -> tuple[Net, nn.Module]:
    model, other = plain(), plain()
    return model, other.to(memory_format=torch.channels_last)


# --- the same in other dimensions -------------------------------------------------------------


class Shaped(nn.Module):
    """Convolutions of some dimension on images with as many axes, in float64."""

    def __init__(self, dimension: int, transposed: bool = False) -> None:
        super().__init__()
        self.dimension, self.transposed = dimension, transposed
        conv: Any = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dimension]
        last: Any = nn.ConvTranspose2d if transposed else conv
        kernel = {1: (3,), 2: (3, 1), 3: (1, 3, 1)}[dimension]
        padding = tuple(side // 2 for side in kernel)
        self.first = nn.Sequential(conv(3, 6, kernel, padding=padding, bias=False), nn.ReLU())
        self.second = nn.Sequential(conv(6, 6, kernel, padding=padding, groups=2), nn.ReLU())
        self.third = nn.Sequential(last(6, 8, kernel, padding=padding, groups=2), nn.ReLU())
        self.head = nn.Linear(8, 4)
        self.double()

    def forward(self, x: Tensor) -> Any:
        x = x.flatten(2)
        x = {1: x, 2: x.unsqueeze(-1), 3: x[:, :, None, :, None]}[self.dimension]
        x = self.third(self.second(self.first(x)))
        return self.head(x.flatten(2).mean(dim=2))


def dimensions(dimension: int, transposed: bool = False) -> tuple[nn.Module, nn.Module]:
    """Return a two-dimensional network, and the same function of another dimension."""
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        model, other = Shaped(2), Shaped(dimension, transposed)
    with torch.no_grad():
        for name in ("first", "second", "third"):
            ours, theirs = getattr(model, name)[0], getattr(other, name)[0]
            weight = ours.weight
            if transposed and name == "third":
                # The kernel turned round, as torch keeps it: (inputs, outputs / groups, 3, 1).
                weight = weight.flip(2, 3).reshape(2, 4, 3, 3, 1).transpose(1, 2)
            theirs.weight.copy_(weight.reshape(theirs.weight.shape))
            if ours.bias is not None:
                theirs.bias.copy_(ours.bias)
        other.head.load_state_dict(model.head.state_dict())
    return model, other


# --- what surrounds the call ------------------------------------------------------------------


@contextmanager
def setting(get: Callable[[], Any], put: Callable[[Any], Any], value: Any) -> Iterator[None]:
    before = get()
    put(value)
    try:
        yield
    finally:
        put(before)


def default_dtype(dtype: torch.dtype) -> Any:
    return setting(torch.get_default_dtype, torch.set_default_dtype, dtype)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Let convolutions and products of float32 be computed in less."""
    with ExitStack() as stack:
        for part in ("conv", "matmul"):
            place = getattr(torch.backends.mkldnn, part, None)
            if hasattr(place, "fp32_precision"):
                stack.callback(setattr, place, "fp32_precision", place.fp32_precision)
                place.fp32_precision = name
        yield


def everything() -> ExitStack:
    stack = ExitStack()
    for context in (
        default_device("meta"),
        default_dtype(torch.float64),
        torch.autocast("cpu", dtype=torch.bfloat16),
        torch.inference_mode(),
        setting(torch.get_num_threads, torch.set_num_threads, 3),
        setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"),
    ):
        stack.enter_context(context)
    return stack


def unchanged() -> tuple[Net, nn.Module]:
    return plain(), plain()


@dataclass(frozen=True)
class Disguise:
    """Another way to build the same function, or to call it.

    Attributes:
        pair: makes the plain network and the disguised one.
        context: what surrounds the call.
        options: of the call.
        modules: whether it has the same modules: some proxies count these by their definition.
        refused: names of proxies that refuse it, each in one line.
        drawn: names of proxies to which it is another function, or draws other weights.
        dtype: of the network.
        convert: of images and labels.
    """

    pair: Callable[[], tuple[nn.Module, nn.Module]]
    context: Callable[[], Any] = nullcontext
    options: dict[str, Any] = field(default_factory=dict)
    modules: bool = True
    refused: frozenset[str] = frozenset()
    drawn: frozenset[str] = frozenset()
    dtype: torch.dtype = torch.float32
    convert: Callable[[Tensor, Tensor], tuple[Any, Any]] = lambda images, labels: (images, labels)


AZ_NAS = frozenset({"az_expressivity", "az_progressivity", "az_trainability"})

DISGUISES: dict[str, Disguise] = {
    "checkpoint": Disguise(like(Checkpointed)),
    "reentrant checkpoint": Disguise(like(Reentrant)),
    "checkpoint_sequential": Disguise(like(CheckpointedInPieces)),
    "weight_norm hook": Disguise(computed(weight_norm)),
    "spectral_norm hook": Disguise(computed(spectral_norm)),
    "prune": Disguise(computed(lambda m: prune.l1_unstructured(m, "weight", 0.0))),
    "prune twice": Disguise(
        computed(
            lambda m: [prune.random_unstructured(m, "weight", amount) for amount in (0.0, 0.2)]
        )
    ),
    "weight_norm": Disguise(computed(parametrizations.weight_norm)),
    "spectral_norm": Disguise(computed(parametrizations.spectral_norm)),
    "orthogonal": Disguise(computed(parametrizations.orthogonal)),
    "parametrisation": Disguise(
        computed(lambda m: parametrize.register_parametrization(m, "weight", Doubled()))
    ),
    "norm carries activation": Disguise(like(CarriedActivation), modules=False),
    "functional norm": Disguise(
        lambda: (plain(), state_of(plain(), plain(FunctionalNorms))),
        modules=False,
        refused=frozenset({"zen"}),
        drawn=frozenset({"vkdnw"}),  # in evaluation mode it is another function
    ),
    "functional relu": Disguise(like(FunctionalRelu), modules=False),
    "in-place relu": Disguise(like(InPlace)),
    "features and logits": Disguise(
        like(returning(lambda net, features, logits: (features, logits))), options={"output": 1}
    ),
    "logits and aux": Disguise(
        like(returning(lambda net, features, logits: [logits, logits + 1])), options={"output": 0}
    ),
    "callable output": Disguise(
        like(returning(lambda net, features, logits: {"a": (features, logits)})),
        options={"output": lambda returned: returned["a"][1]},
    ),
    "key": Disguise(
        like(returning(lambda net, features, logits: {"x": features, "y": logits})),
        options={"output": "y"},
    ),
    "dictionary with logits": Disguise(
        like(returning(lambda net, features, logits: {"features": features, "logits": logits}))
    ),
    "object with logits": Disguise(
        like(returning(lambda net, features, logits: SimpleNamespace(logits=logits)))
    ),
    "named tuple": Disguise(
        like(returning(lambda net, features, logits: Pair(logits, logits + 1)))
    ),
    "logits and nothing": Disguise(like(returning(lambda net, features, logits: (logits, None)))),
    "keeps its output": Disguise(like(Keeping)),
    "after a run": Disguise(after_a_run),
    "built in inference mode": Disguise(in_inference_mode),
    "frozen, evaluating": Disguise(frozen_and_evaluating),
    "channels last": Disguise(channels_last),
    "one dimension": Disguise(
        lambda: dimensions(1), modules=False, refused=AZ_NAS | {"swap"}, dtype=torch.float64
    ),
    "three dimensions": Disguise(
        lambda: dimensions(3), modules=False, refused=AZ_NAS | {"swap"}, dtype=torch.float64
    ),
    "transposed": Disguise(
        lambda: dimensions(2, transposed=True),
        modules=False,
        drawn=frozenset({"zen", "vkdnw"}),
        dtype=torch.float64,
    ),
    "compiled": Disguise(lambda: (plain(), torch.compile(plain(), backend="eager")), modules=False),
    "default device": Disguise(unchanged, lambda: default_device("meta")),
    "device context": Disguise(unchanged, lambda: torch.device("meta")),
    "default float64": Disguise(unchanged, lambda: default_dtype(torch.float64)),
    "default bfloat16": Disguise(unchanged, lambda: default_dtype(torch.bfloat16)),
    "bfloat16 products": Disguise(unchanged, lambda: precision("bf16")),
    "autocast": Disguise(unchanged, lambda: torch.autocast("cpu", dtype=torch.bfloat16)),
    "no_grad": Disguise(unchanged, torch.no_grad),
    "inference mode": Disguise(unchanged, torch.inference_mode),
    "all of these": Disguise(unchanged, everything),
    "arrays": Disguise(
        unchanged, convert=lambda images, labels: (images.numpy(), labels.numpy().astype("int32"))
    ),
    "lists": Disguise(unchanged, convert=lambda images, labels: (images.tolist(), labels.tolist())),
    "float64 images, uint8 labels": Disguise(
        unchanged, convert=lambda images, labels: (images.double(), labels.byte())
    ),
}


def state_of(model: nn.Module, other: nn.Module) -> nn.Module:
    """Return ``other`` with the parameters of ``model``."""
    other.load_state_dict(model.state_dict(), strict=False)
    return other
