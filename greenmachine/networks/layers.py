"""The layers whose weights and maps are signals, and how much of a network they are.

This file needs torch alone, because exported proxies inline its source.
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
    """How many of the weights that a network uses belong to its convolutions and linear layers.

    A weight is an element of a parameter with two or more dimensions. Biases and the scales of
    normalisation are none.

    Attributes:
        covered: weights of convolutions and linear layers that fired.
        used: those, and all others that the network used.
        others: names of the parameters that hold the others.
    """

    covered: int
    used: int
    others: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The covered share of the weights used; 1 where there are none."""
        return self.covered / self.used if self.used else 1.0

    def warn(self) -> None:
        """Warn where a part of the network is not covered."""
        if not self.others:
            return
        names = ", ".join(self.others[:3]) + (", ..." if len(self.others) > 3 else "")
        percent = math.floor(1000 * self.share) / 10  # never 100, since others are used
        warnings.warn(
            f"the score covers {percent}% of the weights that the network uses "
            f"({self.covered:,} of {self.used:,}): {names} belong to no convolution or linear "
            "layer that fires",
            stacklevel=3,
        )


@contextmanager
def fired_layers(model: nn.Module) -> Iterator[set[nn.Module]]:
    """Yield a set that grows by every module of ``model`` that fires inside."""
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
    """Return how much of ``model`` its convolutions and linear layers are.

    Args:
        model: the network.
        fired: its layers that fired.
        run: sends a batch through the network. It is called only where a weight belongs to no
            layer that fired, to see whether the network uses it.
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
            # A layer that fires for another reads its own weights alone.
            if id(parameter) in reads.found or (module in ran and not isinstance(module, WEIGHTED))
        ]
        unread = {id(parameter) for _, _, parameter in others}
        covered = elements([p for _, _, p in matrices if id(p) not in unread])
        missed = elements([parameter for _, parameter in used])
        return Coverage(covered, covered + missed, tuple(name for name, _ in used))


@contextmanager
def gradients_expected(model: nn.Module) -> Iterator[None]:
    """Warn of layers that fire where the network switches gradients off.

    A function that computes layers in ways of its own (without a graph, to save memory) hides
    their gradients from torch.
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
            f"the network switches gradients off where {hidden[0]} fires (layers: {len(hidden)}): "
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
    """Return the number of elements, of a tensor that is listed twice once."""
    total = 0
    for size in {id(tensor): tensor.numel() for tensor in tensors}.values():
        total += size
    return total


def others_of(
    matrices: list[tuple[str, nn.Module, Tensor]], fired: Set[nn.Module]
) -> list[tuple[str, nn.Module, Tensor]]:
    """Return those of ``matrices`` that are not the weight of a layer that fired."""
    covered = {
        id(module.weight)
        for module in fired
        if isinstance(module, WEIGHTED) and module._parameters.get("weight") is not None
    }
    return [entry for entry in matrices if id(entry[2]) not in covered]


class Reads(TorchFunctionMode):
    """Notes which of some tensors torch's functions are given.

    Attributes:
        found: their identities.
    """

    def __init__(self, wanted: set[int]) -> None:
        super().__init__()
        self.wanted = wanted
        self.found: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Note the arguments and call ``func``."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") != "__get__":  # asking for a shape reads no value
            for value in (*args, *kwargs.values()):
                for item in value if isinstance(value, list | tuple) else (value,):
                    if id(item) in self.wanted:
                        self.found.add(id(item))
        return func(*args, **kwargs)
