"""Record what one pass leaves at every convolution and linear layer of a network.

Hooks see only layers that fire; gradients come from ``torch.autograd.grad``, so ``.grad`` is
never touched; parameters, buffers, modes, hooks and random state are left as they were found.

This file needs torch alone: exported proxies inline its source word for word, which is why
they give the engine's own scores. Keep it free of other imports.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.utils import parametrize

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
