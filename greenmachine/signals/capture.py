"""Record the signals of one pass at every convolution and linear layer of a network.

Hooks record the layers that run. Gradients come from ``torch.autograd.grad``, so ``.grad`` is
never touched, and the network is left unchanged (``networks/untouched.py``).

This file imports only torch and the torch-only files of ``networks``. Exported proxies inline its
source word for word, so that they give the same scores as the engine; keep it free of other
imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from greenmachine.networks.layers import CONVOLUTIONS, TRANSPOSED, WEIGHTED, gradients_expected
from greenmachine.networks.outputs import pick_output
from greenmachine.networks.untouched import untouched

GRADIENTS = ("weight_grad", "input_grad", "output_grad")
BATCH_NORMS: Set[Callable[..., Tensor]] = {functional.batch_norm, torch.batch_norm}
NORMS: Set[Callable[..., Tensor]] = {
    *BATCH_NORMS,
    functional.instance_norm,
    torch.instance_norm,
    functional.layer_norm,
    torch.layer_norm,
    functional.group_norm,
    torch.group_norm,
    functional.rms_norm,
    torch.rms_norm,
}
NO_GRADIENT = (
    "the output of the network has no gradient: it does not depend on the weights or images that "
    "are read, or it is detached, or it is a predicted class"
)
HALF = (torch.float16, torch.bfloat16)
KEEPS_VALUES = "_keeps_values"
"""Attribute of a network that changes no tensor in place, and whose normalisations are modules."""


@dataclass
class Layer:
    """One call of a convolution or linear layer.

    A module that runs twice gives two layers; both have its weights and their total gradient.

    Attributes:
        name: path of the module; that of the second call of a shared module ends in ``#2``.
        module: the module that ran.
        ends: its weight, input and output in the graph of the pass.
        edges: where autograd delivers the gradient of each end that has one.
        signals: tensors by signal name. Weights and their gradients are (O, I, kh, kw).
            Feature maps and their gradients are channels-last, (B, H, W, C); the positions of
            a linear layer (its tokens) are in H, and W is 1.
    """

    name: str
    module: nn.Module
    ends: dict[str, Tensor]
    edges: dict[str, GradientEdge] = field(default_factory=dict)
    signals: dict[str, Tensor] = field(default_factory=dict)

    def keep(self, signal: str, value: Tensor, *, copy: bool = False) -> None:
        """Store ``value`` as a signal, in the layout of its kind.

        Args:
            signal: name of the signal.
            value: the tensor.
            copy: whether later code may change feature maps; a gradient never needs a copy.
        """
        if signal.startswith("weight"):
            self.signals[signal] = weights_of(value, self.module)
        else:
            self.signals[signal] = maps_of(value, self.module, copy=copy)


def fresh_copy(images: Tensor) -> Tensor:
    """Return a copy of ``images`` that the network may change in place; not a leaf of autograd.

    It has the channels-last layout, which makes pooling and convolution fast on a CPU.
    """
    layout = torch.channels_last if images.dim() == 4 else torch.contiguous_format
    return images.clone(memory_format=layout)


def maps_of(tensor: Tensor, module: nn.Module, *, copy: bool = True) -> Tensor:
    """Return a layer's detached feature maps as contiguous (B, H, W, C).

    Without ``copy`` they may share the tensor's memory. Half precision becomes float32. The
    positions of a one-dimensional convolution are in H, with W = 1; those of a three-dimensional
    one are in H = depth × height and W.
    """
    tensor = tensor.detach()
    if tensor.dtype in HALF:
        tensor = tensor.float()
    if isinstance(module, CONVOLUTIONS) and tensor.dim() == 4:
        maps = tensor.permute(0, 2, 3, 1).contiguous()
    elif isinstance(module, CONVOLUTIONS):
        maps = tensor.movedim(1, -1).contiguous()
        maps = maps.unsqueeze(2) if maps.dim() == 3 else maps.flatten(1, 2)
    else:
        # The batch comes first; all axes between it and the features are positions.
        maps = tensor.contiguous().reshape(tensor.shape[0], -1, 1, tensor.shape[-1])
    return maps.clone() if copy and maps.data_ptr() == tensor.data_ptr() else maps


def weights_of(tensor: Tensor, module: nn.Module) -> Tensor:
    """Return a detached copy of weights as (O, I, kh, kw), one filter per output channel.

    A linear layer is a 1×1 convolution. Half precision becomes float32.
    """
    copy = tensor.detach().clone(memory_format=torch.contiguous_format)
    if copy.dtype in HALF:
        copy = copy.float()
    if isinstance(module, TRANSPOSED):  # torch keeps them as (I, O / groups, ...)
        grouped = copy.reshape(module.groups, -1, *copy.shape[1:]).transpose(1, 2)
        copy = grouped.flatten(0, 1).contiguous()
    if copy.dim() == 5:
        copy = copy.flatten(2, 3)
    return copy if copy.dim() == 4 else copy.reshape(*copy.shape, *(1,) * (4 - copy.dim()))


class Normalisation(TorchFunctionMode):
    """Watches normalisation, or turns it off, wherever it is called from.

    It intercepts functions and not modules: a subclass of a module may do more than normalise, such
    as apply an activation, and this must stay.

    Args:
        done: called with the input and the output of every normalisation.
        watched: the functions that count as normalisation.
        batch_norms: False makes batch normalisation return its input unchanged.
    """

    def __init__(
        self,
        done: Callable[[Tensor, Tensor], None],
        watched: Set[Callable[..., Tensor]],
        batch_norms: bool = True,
    ) -> None:
        super().__init__()
        self.done = done
        self.watched = watched
        self.batch_norms = batch_norms

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call ``func``, unless it is a normalisation that is turned off."""
        kwargs = kwargs or {}
        if func not in self.watched:
            return func(*args, **kwargs)
        given = args[0] if args else kwargs["input"]
        if func in BATCH_NORMS and not self.batch_norms:
            # A copy, because an in-place activation must not change the input.
            return given.clone()
        normalised = func(*args, **kwargs)
        self.done(given, normalised)
        return normalised


@contextmanager
def hooked_norms(model: nn.Module, done: Callable[[Tensor, Tensor], None]) -> Iterator[None]:
    """Watch the batch norms of a network whose only normalisations are modules of torch."""
    handles = [
        module.register_forward_hook(lambda _, args, output: done(args[0], output))
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def recording(model: nn.Module, wanted: set[str]) -> Iterator[list[Layer]]:
    """Register hooks that append the layers to the yielded list in execution order.

    Args:
        model: the network.
        wanted: names of the signals to keep.
    """
    layers: list[Layer] = []
    firings: dict[str, int] = {}
    copy = KEEPS_VALUES not in vars(model)

    def layer_hook(path: str) -> Callable[[nn.Module, Any, Any, Tensor], None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
            given = args[0] if args else next(iter(kwargs.values()))
            if isinstance(module, CONVOLUTIONS) and given.dim() < module.weight.dim():
                raise ValueError(
                    f"layer {path} has an input of shape {tuple(given.shape)} without a batch "
                    "axis: give images as (B, C, H, W)"
                )
            count = firings[path] = firings.get(path, 0) + 1
            ends = {"weight": module.weight, "input": given, "output": output}
            layer = Layer(path if count == 1 else f"{path}#{count}", module, ends)
            # Values and gradient edges are taken now, because a later in-place activation
            # overwrites the output and moves its edge. Torch function modes are disabled here:
            # this code is not part of the network, and `Normalisation` must not see its calls.
            with torch._C.DisableTorchFunction():
                for name, tensor in ends.items():
                    if name in wanted or (name == "output" and "norm_output" in wanted):
                        layer.keep(name, tensor, copy=copy)
                    if f"{name}_grad" in wanted and tensor.requires_grad:
                        layer.edges[f"{name}_grad"] = get_gradient_edge(tensor)
            layers.append(layer)

        return hook

    handles = [
        module.register_forward_hook(layer_hook(path), with_kwargs=True)
        for path, module in model.named_modules()
        if isinstance(module, WEIGHTED)
    ]
    try:
        yield layers
    finally:
        for handle in handles:
            handle.remove()


def send(
    model: nn.Module, images: Tensor, wanted: set[str], *, norms: bool
) -> tuple[Any, list[Layer]]:
    """Send ``images`` forward; return the network's result, and the layers in execution order.

    Recording ends with the forward pass, because a network may compute layers again in the backward
    pass to save memory.
    """
    with recording(model, wanted) as layers:

        def normalised(given: Tensor, output: Tensor) -> None:
            for layer in reversed(layers):
                if layer.ends["output"] is given:
                    layer.keep("norm_output", output, copy=KEEPS_VALUES not in vars(model))
                    break

        watching: AbstractContextManager[Any] = nullcontext()
        if norms and KEEPS_VALUES in vars(model):
            watching = hooked_norms(model, normalised) if "norm_output" in wanted else watching
        elif not norms or "norm_output" in wanted:
            watching = Normalisation(normalised, NORMS, norms)
        with watching, gradients_expected(model):
            return model(images), layers


def check_batch_axis(model: nn.Module, images: Tensor, layers: list[Layer]) -> None:
    """Check that the first dimension of every linear layer is the batch.

    If a layer has as many tokens as images, its shape does not show which comes first. One more
    image is then sent through the network, and the first dimension must grow by one.

    Raises:
        ValueError: the batch is another dimension.
    """
    count = len(images)
    unclear = {
        layer.name
        for layer in layers
        if isinstance(layer.module, nn.Linear) and count in layer.ends["input"].shape[1:-1]
    }
    if not unclear:
        return
    more = torch.cat([images, images[:1]]).detach()
    with torch.no_grad():
        _, found = send(model, fresh_copy(more), set(), norms=True)
    for layer in found:
        if layer.name in unclear and len(layer.ends["input"]) != count + 1:
            raise ValueError(
                f"the first dimension of layer {layer.name} is not the batch: build the network "
                "batch-first"
            )


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
    """Send ``images`` forward, and backward if a gradient is wanted.

    Args:
        model: any network whose output :func:`pick_output` finds.
        images: (B, C, H, W), or of the shape that the network takes.
        objective: maps the output to a scalar, whose gradient is taken.
        wanted: signals to keep: ``input``, ``output``, ``norm_output``, ``weight_grad``,
            ``input_grad``, ``output_grad``.
        norms: False turns batch normalisation off.
        absent_as_zero: False leaves out a gradient that does not exist.
        seed: seed of the randomness inside the network (dropout).

    Returns:
        The layers in execution order. A layer on which the output does not depend has zero
        gradients; a layer without a normalisation after it has ``norm_output`` = ``output``.

    Raises:
        ValueError: the network's output is ambiguous, or a layer's first dimension is not the
            batch.
    """
    names = [name for name in GRADIENTS if name in wanted]
    with untouched(model, seed), torch.set_grad_enabled(bool(names)):
        leaf = images.detach().requires_grad_(bool(names) and images.is_floating_point())
        returned, layers = send(model, fresh_copy(leaf), wanted, norms=norms)
        edges = [edge for layer in layers for edge in layer.edges.values()]
        found: list[Tensor | None] = []
        if edges:
            output = pick_output(returned)
            if not output.requires_grad:
                raise ValueError(NO_GRADIENT)
            found = list(torch.autograd.grad(objective(output), edges, allow_unused=True))
        if wanted - {"weight_grad"}:
            check_batch_axis(model, images, layers)
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
        layer.ends.clear()  # frees the graph
        layer.edges.clear()
        for name, value in layer.signals.items():
            if not name.startswith("weight") and len(value) != len(images):
                raise ValueError(
                    f"{name} of layer {layer.name} has {len(value)} rows for {len(images)} images"
                )
    return layers
