"""nats_sss_stratified: a zero-cost proxy exported by GreenMachine; it needs only torch.

Formula (a high score is good):

    mul(
        mean_layers(square(entropy(weight))),
        std_layers(signed_sqrt(cumulative_sum(entropy(weight))))
    )

Use: ``score(model)`` returns a float. It is what the engine computed, which runs
on one thread: float32 gradients of a deep network on a small batch move by 1e-3 or so
with the number of threads, so call ``torch.set_num_threads(1)`` to compare scores.

Provenance:

    run: nats-sss-stratified
    seed: 2
    benchmark: nats-sss, cifar10
    networks: 256 train, 400 validation, 2000 test
    generation: 27
    created: 2026-11-24T02:43:33+00:00
    git: d9abf698c6590fdecf589c6d90993cbb03424879

Measured Kendall tau-b (with its standard error where known):

    train cifar10 champion                  0.922 ± 0.005
    train cifar10 params                    0.853 ± 0.011
    train cifar10 flops                     0.678 ± 0.021
    train cifar10 sum_log_channels          0.893 ± 0.006
    train cifar10 depth2_log_channels       0.705 ± 0.019
    validation cifar10 champion             0.903 ± 0.005
    validation cifar10 params               0.811 ± 0.010
    validation cifar10 flops                0.623 ± 0.019
    validation cifar10 sum_log_channels     0.881 ± 0.005
    validation cifar10 depth2_log_channels  0.660 ± 0.016
    test cifar10 champion                   0.831 ± 0.004
    test cifar10 params                     0.679 ± 0.008
    test cifar10 flops                      0.430 ± 0.013
    test cifar10 sum_log_channels           0.811 ± 0.005
    test cifar10 depth2_log_channels        0.512 ± 0.011
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.utils import parametrize

__all__ = ["DIRECTION", "EXPRESSION", "SHAPE", "score"]

EXPRESSION = (
    "mul(mean_layers(square(entropy(weight))), std_layers(signed_sqrt(cumulative_sum(entropy("
    "weight)))))"
)
DIRECTION = 1  # a high score is good
SHAPE = (4, 3, 32, 32)  # (B, C, H, W) of the noise where no images are given

# --- greenmachine/signals/capture.py --------------------------------------------------------

WEIGHTED = (nn.Conv2d, nn.Linear)
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
GRADIENTS = ("weight_grad", "input_grad", "output_grad")


@dataclass
class Layer:
    """One firing of a convolution or linear layer.

    A module that fires twice is two layers; both carry its weights and their whole gradient.

    Attributes:
        name: path of the module; the second firing of a shared module ends in ``#2``.
        module: the module that fired.
        ends: its weight, input and output in the graph of the pass.
        edges: where autograd delivers the gradient of each end that has one.
        signals: tensors by signal name. Weights and their gradients are (O, I, kh, kw).
            Feature maps and their gradients are channels-last, (B, H, W, C); the positions of
            a linear layer (its tokens) stand in H, and W is 1.
    """

    name: str
    module: nn.Module
    ends: dict[str, Tensor]
    edges: dict[str, GradientEdge] = field(default_factory=dict)
    signals: dict[str, Tensor] = field(default_factory=dict)

    def keep(self, signal: str, value: Tensor) -> None:
        """Copy ``value`` into the signals, in the layout of its kind."""
        if signal.startswith("weight"):
            self.signals[signal] = weights_of(value, self.module)
        else:  # a gradient is ours alone: nothing that follows can change it
            self.signals[signal] = maps_of(value, self.module, copy=signal not in GRADIENTS)


def fresh_copy(images: Tensor) -> Tensor:
    """Return ``images`` for a network, which may work on them in place; no leaf of autograd.

    Channels last, which is what makes pooling and convolution fast on a CPU.
    """
    layout = torch.channels_last if images.dim() == 4 else torch.contiguous_format
    return images.clone(memory_format=layout)


def maps_of(tensor: Tensor, module: nn.Module, *, copy: bool = True) -> Tensor:
    """Return a layer's detached feature maps as contiguous (B, H, W, C).

    Without ``copy`` they may share the tensor's memory.
    """
    tensor = tensor.detach()
    if isinstance(module, nn.Conv2d):
        maps = tensor.permute(0, 2, 3, 1).contiguous()
    else:
        # The batch comes first; whatever lies between it and the features are positions.
        maps = tensor.contiguous().reshape(tensor.shape[0], -1, 1, tensor.shape[-1])
    return maps.clone() if copy and maps.data_ptr() == tensor.data_ptr() else maps


def weights_of(tensor: Tensor, module: nn.Module) -> Tensor:
    """Return a detached copy of weights as (O, I, kh, kw): linear is a 1x1 convolution."""
    copy = tensor.detach().clone(memory_format=torch.contiguous_format)
    return copy.reshape(*copy.shape, *(1,) * (4 - copy.dim()))


def has_weights(module: nn.Module) -> bool:
    """Whether the module itself, not one inside it, has a matrix (or more) of weights."""
    own = module.named_parameters(recurse=False)
    weights = any("weight" in name and parameter.dim() > 1 for name, parameter in own)
    return weights or parametrize.is_parametrized(module, "weight")


@contextmanager
def untouched(model: nn.Module, seed: int) -> Iterator[None]:
    """Train mode, gradients and channels-last weights inside; all as it was found outside."""
    modes = {module: module.training for module in model.modules()}
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in modes
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    # The layout picks the convolution's algorithm: one for all, or rounding, which deep networks
    # amplify, would make a network's score depend on how its owner keeps the weights.
    kernels = [(p, p.data) for p in model.parameters() if p.dim() == 4]
    frozen = [p for p in model.parameters() if p.is_floating_point() and not p.requires_grad]
    devices = sorted({p.device.index for p in model.parameters() if p.is_cuda})
    with torch.random.fork_rng(devices), torch.enable_grad(), parametrize.cached():
        torch.manual_seed(seed)  # dropout inside the network draws from here
        try:
            for parameter in frozen:
                parameter.requires_grad_(True)
            for parameter, data in kernels:
                parameter.data = data.to(memory_format=torch.channels_last)
            model.train()
            yield
        finally:
            for parameter in frozen:
                parameter.requires_grad_(False)
            for parameter, data in kernels:
                parameter.data = data
            for module, mode in modes.items():
                module.training = mode
            with torch.no_grad():
                for module, name, buffer, value in buffers:
                    buffer.copy_(value)
                    module._buffers[name] = buffer  # the network may have put another there


@contextmanager
def recording(model: nn.Module, wanted: set[str], norms: bool) -> Iterator[list[Layer]]:
    """Hooks that fill the yielded list with the layers in order of firing; removed after.

    Args:
        model: the network.
        wanted: names of the signals to keep.
        norms: False switches normalisation off: it hands its input on unchanged.
    """
    layers: list[Layer] = []
    by_output: dict[int, Layer] = {}
    firings: dict[str, int] = {}

    def layer_hook(path: str) -> Callable[[nn.Module, Any, Any, Tensor], None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
            given = args[0] if args else next(iter(kwargs.values()))
            count = firings[path] = firings.get(path, 0) + 1
            ends = {"weight": module.weight, "input": given, "output": output}
            layer = Layer(path if count == 1 else f"{path}#{count}", module, ends)
            # Values and gradient edges are taken now: an in-place activation that follows
            # overwrites the output and moves its edge.
            for name, tensor in ends.items():
                if name in wanted or (name == "output" and "norm_output" in wanted):
                    layer.keep(name, tensor)
                if f"{name}_grad" in wanted and tensor.requires_grad:
                    layer.edges[f"{name}_grad"] = get_gradient_edge(tensor)
            layers.append(layer)
            by_output[id(output)] = layer

        return hook

    def norm_hook(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Tensor | None:
        given: Tensor = args[0] if args else next(iter(kwargs.values()))
        if not norms:
            return given
        layer = by_output.get(id(given))
        if layer is not None and "norm_output" in wanted:
            layer.keep("norm_output", output)
        return None

    def other_hook(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            warnings.warn(
                f"{path or 'the network'} ({type(module).__name__}) has weights that no signal "
                "covers: only those of Conv2d and Linear are captured",
                stacklevel=2,
            )

        return hook

    handles = []
    try:
        for path, module in model.named_modules():
            if isinstance(module, WEIGHTED):
                handles.append(module.register_forward_hook(layer_hook(path), with_kwargs=True))
            elif isinstance(module, NORMS):
                if not norms:
                    module.eval()  # in train mode some refuse a single image
                handles.append(module.register_forward_hook(norm_hook, with_kwargs=True))
            elif has_weights(module):
                handles.append(module.register_forward_hook(other_hook(path)))
        yield layers
    finally:
        for handle in handles:
            handle.remove()


def run_pass(
    model: nn.Module,
    images: Tensor,
    objective: Callable[[Tensor], Tensor],
    wanted: set[str],
    *,
    norms: bool = True,
    absent_as_zero: bool = True,
    seed: int = 0,
) -> list[Layer]:
    """Send ``images`` forward, and backward where a gradient is wanted.

    Args:
        model: any network whose output is a tensor, or an object with ``.logits``.
        images: (B, C, H, W).
        objective: makes a scalar of the output; its gradient is taken.
        wanted: signals to keep: ``input``, ``output``, ``norm_output``, ``weight_grad``,
            ``input_grad``, ``output_grad``.
        norms: False switches normalisation layers off.
        absent_as_zero: False leaves out a gradient that does not exist.
        seed: of the randomness inside the network (dropout).

    Returns:
        The layers in order of firing. A layer whose output reaches nothing has zero
        gradients; one that no normalisation follows has ``norm_output`` = ``output``.

    Raises:
        TypeError: the network does not return a tensor.
        ValueError: a layer's first dimension is not the batch, so that it has no image axis.
    """
    names = [name for name in GRADIENTS if name in wanted]
    with (
        untouched(model, seed),
        torch.set_grad_enabled(bool(names)),
        recording(model, wanted, norms) as layers,
    ):
        output = model(fresh_copy(images.detach().requires_grad_(bool(names))))
        output = getattr(output, "logits", output)
        if not isinstance(output, Tensor):
            raise TypeError(f"the network returned {type(output).__name__}, not a tensor")
        edges = [edge for layer in layers for edge in layer.edges.values()]
        found: list[Tensor | None] = []
        if edges and output.requires_grad:
            found = list(torch.autograd.grad(objective(output), edges, allow_unused=True))
    for layer in layers:
        for name in names:
            gradient = found.pop(0) if found and name in layer.edges else None
            if gradient is None and absent_as_zero:
                gradient = torch.zeros_like(layer.ends[name.removesuffix("_grad")])
            if gradient is not None:
                layer.keep(name, gradient)
        if "norm_output" in wanted and "norm_output" not in layer.signals:
            layer.signals["norm_output"] = layer.signals["output"]
        if "output" not in wanted:
            layer.signals.pop("output", None)
        layer.ends.clear()  # lets go of the graph
        layer.edges.clear()
        for name, value in layer.signals.items():
            if not name.startswith("weight") and len(value) != len(images):
                raise ValueError(
                    f"{name} of layer {layer.name} has {len(value)} rows for {len(images)} images"
                )
    return layers


# --- greenmachine/signals/passes.py ---------------------------------------------------------


def noise_images(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return N(0, 1) images of ``shape`` = (B, C, H, W), drawn on the CPU for every device."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def noise_pass(model: nn.Module, noise: Tensor, wanted: set[str], seed: int) -> list[Layer]:
    """N(0, 1) images, gradient of the sum of the outputs."""
    return run_pass(model, noise, torch.sum, wanted, seed=seed)


# --- greenmachine/proxies/runtime.py --------------------------------------------------------


def shape_for(images: Tensor | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The (B, C, H, W) of the noise: that of the images, or ``shape`` without any."""
    return shape if images is None else tuple(images.shape)


def merged(passes: dict[str, list[Layer]]) -> list[Layer]:
    """The layers in order of firing, with the signals of each pass under ``pass_signal``."""
    firings = [[layer.name for layer in layers] for layers in passes.values()]
    if not firings[0]:
        raise ValueError("no convolution or linear layer fired")
    if any(firing != firings[0] for firing in firings):
        raise ValueError("the layers that fire differ from pass to pass")
    layers = next(iter(passes.values()))
    signals: list[dict[str, Tensor]] = [{} for _ in layers]
    for name, fired in passes.items():
        for collected, layer in zip(signals, fired, strict=True):
            collected.update({f"{name}_{key}": value for key, value in layer.signals.items()})
    for layer, collected in zip(layers, signals, strict=True):
        layer.signals = collected
    return layers


def add_weights(model: nn.Module, layers: list[Layer]) -> None:
    """Give each layer its weights, those of the model itself, as the signal ``weight``."""
    for layer in layers:
        module = model.get_submodule(layer.name.partition("#")[0])
        weight = module.weight
        assert isinstance(weight, Tensor)
        layer.signals["weight"] = weights_of(weight, module)


def weights(layer: Layer, name: str) -> Tensor:
    """A signal of the shape of the weights, (1, O, I, kh, kw)."""
    return layer.signals[name].unsqueeze(0)


def over_layers(values: tuple[Tensor, ...]) -> Tensor:
    """One value a layer, each (1, ...), as one network: (1, L, ...) float64."""
    return torch.cat(values).to("cpu", torch.float64).unsqueeze(0)


# --- primitives/_helpers.py -----------------------------------------------------------------


def layer_dims(x: Tensor) -> tuple[int, ...]:
    """All dimensions but the stack's."""
    return tuple(range(1, x.ndim))


def inverse_or_zero(x: Tensor) -> Tensor:
    """1/x, with 0 where x is 0."""
    return torch.where(x == 0, 0.0, 1 / x)


# --- primitives/aggregations.py -------------------------------------------------------------


def mean_layers(x: Tensor) -> Tensor:
    """Mean over the layers."""
    return x.mean(dim=-1)


def std_layers(x: Tensor) -> Tensor:
    """Standard deviation over the layers."""
    return x.std(dim=-1, correction=0)


# --- primitives/elementwise.py --------------------------------------------------------------


def square(x: Tensor) -> Tensor:
    """Square: x²."""
    return x * x


def signed_sqrt(x: Tensor) -> Tensor:
    """sign(x)·√|x|."""
    return x.abs().sqrt_().mul_(torch.sign(x))


def mul(x: Tensor, y: Tensor) -> Tensor:
    """Product: x·y."""
    return x * y


# --- primitives/reductions.py ---------------------------------------------------------------

SMALLEST_SHARE = 1e-30  # smallest share of the energy whose logarithm is taken


def entropy(x: Tensor) -> Tensor:
    """Entropy of the squares, divided by their sum."""
    energy = x.square()
    share = energy.mul_(inverse_or_zero(energy.sum(dim=layer_dims(x), keepdim=True)))
    return -share.clamp_min(SMALLEST_SHARE).log_().mul_(share).sum(dim=layer_dims(x))


# --- primitives/scalars.py ------------------------------------------------------------------


def cumulative_sum(x: Tensor) -> Tensor:
    """Sum over the layers up to each one."""
    return x.cumsum(dim=-1)


# --- the proxy ------------------------------------------------------------------------------


def layer_values(layer: Layer) -> tuple[Tensor, ...]:
    """What the formula reads of one layer."""
    weight = weights(layer, "weight")
    return (entropy(weight),)


def formula(layers: list[Layer]) -> float:
    """The score of a network."""
    each = [layer_values(layer) for layer in layers]
    (a,) = (over_layers(values) for values in zip(*each, strict=True))
    b = std_layers(signed_sqrt(cumulative_sum(a)))
    return float(mul(mean_layers(square(a)), b))


def signals_of(
    model: nn.Module, images: Tensor | None, labels: Tensor | None, seed: int
) -> list[Layer]:
    """The layers in order of firing, with the signals that the formula reads."""
    parameter = next(model.parameters(), torch.zeros(()))
    shape = shape_for(images, SHAPE)
    noise = noise_images(shape, seed).to(parameter)
    passes = {
        "noise": noise_pass(model, noise, set(), seed),
    }
    layers = merged(passes)
    add_weights(model, layers)
    return layers


class Proxy:
    """A zero-cost proxy: call it on a network; its repr is the formula."""

    def __call__(
        self,
        model: nn.Module,
        images: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        seed: int = 0,
    ) -> float:
        """Return the score of ``model``, which is left as it was found.

        Args:
            model: any network with convolutions or linear layers, on any device.
            images: only their shape counts, for the noise; None takes ``SHAPE``.
            labels: not used.
            seed: of the noise, and of randomness inside the network.
        """
        with torch.inference_mode(False):
            layers = signals_of(model, images, labels, seed)
        with torch.no_grad():
            return formula(layers)

    def __repr__(self) -> str:
        return EXPRESSION


score = Proxy()
