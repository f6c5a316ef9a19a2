"""Run any network in one known state, and restore it afterwards.

Inside :func:`untouched` every network has the same form, however it was built:

- It is in train mode, has its own parameters that require gradients, and channels-last kernels.
- A weight that is computed from other parameters (by a parametrisation, or the hooks of
  ``weight_norm``, ``spectral_norm`` and ``prune``) is one plain parameter with its current value.
- Nothing is computed twice: ``torch.utils.checkpoint`` calls its function directly.

Proxies can therefore read and change modules and parameters without handling any of this. This file
imports only torch, because exported proxies inline its source.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize
from torch.utils import checkpoint

from greenmachine.neutral import neutral, seeded

__all__ = ["all_finite", "float_like", "refuse_unreadable", "untouched"]

CONTAINERS = {dict, OrderedDict, list, set, deque}
PLAIN = {dict, OrderedDict, set, tuple, str, bool, int, float, type(None)}
MARK = "_is_untouched_inside"  # attribute of a network that is in this state already


@contextmanager
def untouched(model: nn.Module, seed: int) -> Iterator[None]:
    """Bring ``model`` into the state that the module describes, and restore it at the end.

    Attributes that the network sets while it runs (a stored output, a new buffer) are undone too.
    Used a second time inside, it restores the values of parameters and buffers.

    Args:
        model: any network.
        seed: seed of the randomness inside the network, such as dropout.

    Raises:
        ValueError: the network has weights that cannot be read: quantised, lazy, complex, without
            values (device ``meta``), or inside TorchScript.
    """
    if MARK in vars(model):
        with unchanged_values(model, seed):
            yield
        return
    refuse_unreadable(model)
    modules = list(model.modules())
    found = [Found(module) for module in modules]
    devices = devices_of(modules)
    with neutral(), seeded(seed, devices), torch.enable_grad(), no_checkpoints():
        try:
            held = Extras(modules)
            own_buffers(modules, held)
            if not all(f.training and f.kind.train is nn.Module.train for f in found):
                model.train()
            with torch.no_grad(), seeded(seed, devices):  # computing a weight may be random
                for module in modules:
                    plain_weights(module)
            own_parameters(modules, held)
            watch_threads(modules)
            vars(model)[MARK] = True
            with own_generators(held.generators, seed):
                yield
        finally:
            vars(model).pop(MARK, None)
            late = set(model.modules()).difference(modules)
            for one in found:
                one.restore()
    if any(list(module.parameters()) for module in late):
        warnings.warn(
            "the network built layers while it ran, which the score leaves out: send one batch "
            "through it before scoring",
            stacklevel=3,
        )


@contextmanager
def unchanged_values(model: nn.Module, seed: int) -> Iterator[None]:
    """Restore buffers, values of parameters and torch's generator at the end of the block."""
    modules = list(model.modules())
    parameters = {p for module in modules for p in module._parameters.values() if p is not None}
    values = [(parameter, parameter.data) for parameter in parameters]
    buffers = [(module, dict(module._buffers)) for module in modules if module._buffers]
    devices = devices_of(modules)
    held = Extras(modules)
    own_buffers(modules, held)
    with seeded(seed, devices), torch.enable_grad(), own_generators(held.generators, seed):
        try:
            yield
        finally:
            for parameter, data in values:
                parameter.data = data
            for module, before in buffers:
                module._buffers.clear()
                module._buffers.update(before)


def devices_of(modules: list[nn.Module]) -> list[int]:
    """Return the GPUs on which parameters are."""
    held = (p for module in modules for p in module._parameters.values() if p is not None)
    return sorted({parameter.device.index for parameter in held if parameter.is_cuda})


def watch_threads(modules: list[nn.Module]) -> None:
    """Reject layers that run in another thread: torch's modes apply to one thread only."""
    here = threading.get_ident()

    def hook(module: nn.Module, args: Any) -> None:
        if threading.get_ident() != here:
            raise ValueError(
                f"a layer ({type(module).__name__}) runs in another thread, where its signals "
                "cannot be recorded: run it in the thread of the caller"
            )

    for module in modules:
        if isinstance(module, (_ConvNd, nn.Linear)):
            module.register_forward_pre_hook(hook)  # removed when the module is restored


class Extras:
    """The attributes of modules besides parameters and buffers.

    Attributes:
        tensors: module, attribute and value of every plain tensor.
        lists: the lists that are not empty.
        generators: random number generators.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self.tensors: list[tuple[nn.Module, str, Tensor]] = []
        self.lists: list[list[Any]] = []
        generators: dict[int, torch.Generator] = {}
        for module in modules:
            for name, held in vars(module).items():  # two dozen; checks the type only
                kind = type(held)
                if kind in PLAIN:
                    continue
                if kind is Tensor:
                    self.tensors.append((module, name, held))
                elif kind is list:
                    self.lists += [held] if held else []
                elif torch.Generator in kind.__mro__:
                    generators[id(held)] = held
        self.generators = list(generators.values())


@contextmanager
def own_generators(generators: list[torch.Generator], seed: int) -> Iterator[None]:
    """Seed generators inside the block, and restore their states at the end."""
    before = [(generator, generator.get_state()) for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in before:
            generator.set_state(state)


class Found:
    """The original state of a module: class, attributes, and contents of containers."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.kind = type(module)
        self.training = module.training
        self.attributes = dict(vars(module))
        # Most are empty (a module has a dozen dictionaries of hooks) and need no copy.
        self.contents: list[tuple[Any, Any]] = []
        waiting = [held for held in self.attributes.values() if type(held) in CONTAINERS]
        while waiting:  # containers inside containers too
            held = waiting.pop()
            if not held:
                self.contents.append((held, ()))
                continue
            self.contents.append((held, held.copy()))
            items = held.values() if isinstance(held, dict) else held
            waiting += [item for item in items if type(item) in CONTAINERS]

    def restore(self) -> None:
        """Restore the original state."""
        if type(self.module) is not self.kind:
            self.module.__class__ = self.kind
        vars(self.module).clear()
        vars(self.module).update(self.attributes)
        for held, before in self.contents:
            if not held and not before:
                continue
            held.clear()
            if isinstance(held, list | deque):
                held.extend(before)
            else:
                held.update(before)


def own_buffers(modules: list[nn.Module], held: Extras) -> None:
    """Replace buffers and plain tensors by copies; tensors that were shared stay shared."""
    replace_tensors([module._buffers for module in modules], held, lambda old: old.detach().clone())
    for module, name, tensor in held.tensors:
        # Neither parameter nor buffer. A computed tensor is a stored output and stays.
        if tensor.grad_fn is None:
            vars(module)[name] = tensor.detach().clone()


def own_parameters(modules: list[nn.Module], held: Extras) -> None:
    """Replace parameters by new ones that use the same memory.

    The network's own parameters are not used, because its owner may keep a graph that contains
    them, and because ``requires_grad``, layout and dtype belong to the owner. Parameters that were
    shared stay shared.
    """
    replace_tensors([module._parameters for module in modules], held, new_parameter)


def replace_tensors(
    tables: Sequence[dict[str, Any]], held: Extras, replaced: Callable[[Tensor], Tensor]
) -> None:
    """Replace every tensor by ``replaced(tensor)``, which is computed once for each."""
    new: dict[int, Tensor] = {}  # by identity of the old one
    old: list[Tensor] = []  # kept alive, so that no identity is reused
    for tensors in tables:
        for name, tensor in tensors.items():
            if tensor is None:
                continue
            if id(tensor) not in new:
                old.append(tensor)
                new[id(tensor)] = replaced(tensor)
            tensors[name] = new[id(tensor)]
    for items in held.lists:  # recurrent layers keep their parameters in a list too
        if any(isinstance(item, Tensor) for item in items):
            items[:] = [new.get(id(item), item) for item in items]


def new_parameter(tensor: Tensor) -> nn.Parameter:
    """Return a parameter with the values of ``tensor``, sharing its memory if possible."""
    values = tensor.detach()
    if tensor.is_inference():
        values = values.clone()  # autograd refuses tensors that were made in inference mode
    if values.dim() == 4:
        # The layout determines the convolution's algorithm, and so its rounding, which deep
        # networks amplify. One layout for all keeps scores independent of the owner's layout.
        values = values.to(memory_format=torch.channels_last)
    return nn.Parameter(values, requires_grad=values.is_floating_point())


def plain_weights(module: nn.Module) -> None:
    """Replace every tensor of ``module`` that is computed from others by one parameter."""
    computed: dict[str, Tensor] = {}
    if parametrize.is_parametrized(module):
        parametrizations = module.parametrizations
        assert isinstance(parametrizations, nn.ModuleDict)
        with parametrize.cached():
            computed = {name: getattr(module, name) for name in parametrizations}
        module.__class__ = type(module).__bases__[0]
        del module._modules["parametrizations"]
    for key, hook in list(module._forward_pre_hooks.items()) if module._forward_pre_hooks else ():
        # weight_norm and spectral_norm call it name, prune _tensor_name.
        name = getattr(hook, "_tensor_name", getattr(hook, "name", None))
        if isinstance(name, str) and isinstance(vars(module).get(name), Tensor):
            hook(module, ())  # computes it again, as before a forward pass
            computed[name] = vars(module).pop(name)
            del module._forward_pre_hooks[key]
            for tensors in (module._parameters, module._buffers):  # weight_orig, weight_g, ...
                for source in [n for n in tensors if n.startswith(f"{name}_")]:
                    del tensors[source]
    weight = module._buffers.get("weight")
    if weight is not None and isinstance(module, (_ConvNd, nn.Linear)):
        computed["weight"] = weight  # frozen by hand
        del module._buffers["weight"]
    for name, value in computed.items():
        module._parameters[name] = nn.Parameter(value.detach().clone())


@contextmanager
def no_checkpoints() -> Iterator[None]:
    """Make ``torch.utils.checkpoint`` call its functions directly inside the block.

    It computes layers a second time in the backward pass, and its reentrant form does not support
    ``torch.autograd.grad``. The numbers are those of a direct call.
    """
    plain: dict[str, Any] = {"CheckpointFunction": PlainCall}
    for name in vars(checkpoint):  # torch 2.14 has a second generator, with a longer name
        if name.startswith("_checkpoint_without_reentrant_generator"):
            plain[name] = nothing_around
    before = {name: vars(checkpoint)[name] for name in plain}
    try:
        vars(checkpoint).update(plain)
        yield
    finally:
        vars(checkpoint).update(before)


class PlainCall:
    """Replaces ``CheckpointFunction``, whose ``apply`` runs a function without a graph."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        """Call ``function``."""
        return function(*args)


def nothing_around(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Replace the generator that runs before and after a checkpointed function."""
    yield


def refuse_unreadable(model: nn.Module) -> None:
    """Raise a ``ValueError`` if the network has weights that torch cannot differentiate."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"the network is {type(model).__name__}, not a torch.nn.Module")
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"{path or 'the network'} is a TorchScript module, whose layers cannot be read: "
                "score the network before it is traced or scripted"
            )
        if ".quantized" in type(module).__module__:
            raise ValueError(
                f"{path or 'the network'} ({type(module).__name__}) is quantised: "
                "score the network before it is quantised"
            )
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            full = f"{path}.{name}".lstrip(".")
            if is_lazy(parameter):
                raise ValueError(f"{full} has no shape yet: send images through the network once")
            if parameter.is_meta:
                raise ValueError(f"{full} is on device meta, without values: build the network")
            if parameter.dim() > 1 and not parameter.is_floating_point():
                raise ValueError(
                    f"{full} has dtype {parameter.dtype}: only real floating-point weights are "
                    "supported"
                )


def all_finite(model: nn.Module) -> bool:
    """Return whether every parameter is finite."""
    return all(
        bool(parameter.detach().isfinite().all())
        for parameter in model.parameters()
        if parameter.is_floating_point()
    )


def float_like(model: nn.Module) -> Tensor:
    """Return a tensor of the device and floating dtype in which ``model`` computes."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return parameter.detach()
    return torch.zeros((), device="cpu", dtype=torch.float32)
