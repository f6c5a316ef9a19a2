"""The layers whose weights and maps are signals, and the share of a network that they form.

This file imports only torch, because exported proxies inline its source.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from greenmachine.networks.untouched import untouched

__all__ = [
    "CONVOLUTIONS",
    "TRANSPOSED",
    "WEIGHTED",
    "Coverage",
    "coverage",
    "fired_layers",
    "gradients_expected",
]

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
WEIGHTED = (*CONVOLUTIONS, nn.Linear)


@dataclass(frozen=True)
class Coverage:
    """The share of the weights that a network uses that belongs to convolutions and linear layers.

    A weight is an element of a parameter with two or more dimensions; biases and the scales of
    normalisation layers do not count.

    Attributes:
        covered: number of weights of convolutions and linear layers that ran.
        used: number of these and all other weights that the network used.
        others: names of the parameters that contain the other weights.
    """

    covered: int
    used: int
    others: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The covered share of the weights used; 1 if there are none."""
        return self.covered / self.used if self.used else 1.0

    def warn(self) -> None:
        """Warn if part of the network is not covered."""
        if not self.others:
            return
        names = ", ".join(self.others[:3]) + (", ..." if len(self.others) > 3 else "")
        percent = math.floor(1000 * self.share) / 10  # never 100, since others are used
        warnings.warn(
            f"the score covers {percent}% of the weights that the network uses "
            f"({self.covered:,} of {self.used:,}): {names} belong to no convolution or linear "
            "layer that runs",
            stacklevel=3,
        )


@contextmanager
def fired_layers(model: nn.Module) -> Iterator[set[nn.Module]]:
    """Yield a set to which every module of ``model`` that runs inside the block is added."""
    fired: set[nn.Module] = set()
    handles = [
        module.register_forward_hook(lambda module, args, output: fired.add(module))
        for module in model.modules()
    ]
    try:
        yield fired
    finally:
        for handle in handles:
            handle.remove()


def coverage(
    model: nn.Module, fired: Set[nn.Module], run: Callable[[], object], seed: int = 0
) -> Coverage:
    """Return the share of ``model`` that its convolutions and linear layers form.

    Args:
        model: the network.
        fired: its layers that ran.
        run: sends a batch through the network. It is called only if a weight belongs to no layer
            that ran, to see whether the network uses it.
        seed: seed of the randomness inside the network.
    """
    matrices = weight_matrices(model)
    if not others_of(matrices, fired):
        count = elements([parameter for _, _, parameter in matrices])
        return Coverage(count, count)
    with untouched(model, seed):  # computed weights are plain here
        matrices = weight_matrices(model)
        others = others_of(matrices, fired)
        reads = Reads({id(parameter) for _, _, parameter in others})
        with fired_layers(model) as ran, torch.no_grad(), reads:
            run()
        used = [
            (name, parameter)
            for name, module, parameter in others
            # A layer that runs reads only its own weights.
            if id(parameter) in reads.found or (module in ran and not isinstance(module, WEIGHTED))
        ]
        unread = {id(parameter) for _, _, parameter in others}
        covered = elements([p for _, _, p in matrices if id(p) not in unread])
        missed = elements([parameter for _, parameter in used])
        return Coverage(covered, covered + missed, tuple(name for name, _ in used))


@contextmanager
def gradients_expected(model: nn.Module) -> Iterator[None]:
    """Warn if layers run inside the block while the network turns gradients off.

    A custom autograd function that computes layers without a graph, to save memory, hides their
    gradients from torch.
    """
    hidden: list[str] = []

    def hook_of(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object, output: object) -> None:
            if not torch.is_grad_enabled():
                hidden.append(name)

        return hook

    handles = []
    if torch.is_grad_enabled() and any(p.requires_grad for p in model.parameters()):
        for name, module in model.named_modules():
            if isinstance(module, WEIGHTED):
                handles.append(module.register_forward_hook(hook_of(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if hidden:
        warnings.warn(
            f"the network turns gradients off while {hidden[0]} runs (layers: {len(hidden)}): "
            "their gradients count as 0",
            stacklevel=3,
        )


def weight_matrices(model: nn.Module) -> list[tuple[str, nn.Module, Tensor]]:
    """Return name, owner and value of every parameter with two or more dimensions."""
    return [
        (f"{path}.{name}".lstrip("."), module, parameter)
        for path, module in model.named_modules()
        for name, parameter in module._parameters.items()
        if parameter is not None and len([side for side in parameter.shape if side > 1]) > 1
    ]


def elements(tensors: list[Tensor]) -> int:
    """Return the number of elements; a tensor that is listed twice counts once."""
    total = 0
    for size in {id(tensor): tensor.numel() for tensor in tensors}.values():
        total += size
    return total


def others_of(
    matrices: list[tuple[str, nn.Module, Tensor]], fired: Set[nn.Module]
) -> list[tuple[str, nn.Module, Tensor]]:
    """Return the entries of ``matrices`` that are not the weight of a layer that ran."""
    covered = {
        id(module.weight)
        for module in fired
        if isinstance(module, WEIGHTED) and module._parameters.get("weight") is not None
    }
    return [entry for entry in matrices if id(entry[2]) not in covered]


class Reads(TorchFunctionMode):
    """Records which of the given tensors are arguments of torch functions.

    Attributes:
        found: identities of these tensors.
    """

    def __init__(self, wanted: set[int]) -> None:
        super().__init__()
        self.wanted = wanted
        self.found: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Record the arguments and call ``func``."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") != "__get__":  # asking for a shape reads no value
            for value in (*args, *kwargs.values()):
                for item in value if isinstance(value, list | tuple) else (value,):
                    if id(item) in self.wanted:
                        self.found.add(id(item))
        return func(*args, **kwargs)
