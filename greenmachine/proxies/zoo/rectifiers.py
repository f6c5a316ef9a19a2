"""Detect the rectifiers of a network; shared by the proxies that read ReLUs."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["ReluInputs"]

# ATen operators, which modules, functions and methods all call, by name without the final "_".
_RELUS = {"relu", "leaky_relu", "_prelu_kernel", "rrelu_with_noise", "rrelu_with_noise_functional"}
_CUTS = {"clamp_min": 1, "clamp": 1, "hardtanh": 1, "threshold": 1}  # index of the lower bound
_OTHERS = {
    "gelu",
    "silu",
    "mish",
    "hardswish",
    "elu",
    "celu",
    "softplus",
    "glu",
    "tanh",
    "sigmoid",
    "hardsigmoid",
    "log_sigmoid_forward",
    "softshrink",
    "hardshrink",
    *_CUTS,
}


class ReluInputs(TorchDispatchMode):
    """Passes every input of a rectifier to :meth:`rectified`, before it can be overwritten.

    Rectifiers are ReLU, ReLU6, LeakyReLU, PReLU, RReLU and clamping at 0, whether they are
    modules, functions or methods.

    Attributes:
        fired: number of times that a rectifier ran.
        missed: number of times that other activations ran, by the name of their operator.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.fired = 0
        self.missed: dict[str, int] = {}

    def warn(self, proxy: str) -> None:
        """Warn if activations ran that ``proxy`` does not read."""
        if self.missed:
            names = ", ".join(f"{name} ({count}x)" for name, count in self.missed.items())
            warnings.warn(
                f"{proxy} reads {self.fired} rectifiers and misses other activations: {names}",
                stacklevel=3,
            )

    def rectified(self, given: Tensor) -> None:
        """Receive the input of a rectifier."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Inspect the arguments and call ``func``."""
        name = func.overloadpacket.__name__.rstrip("_")
        place = _CUTS.get(name)
        if name in _RELUS or (place is not None and _is_zero(args[place : place + 1])):
            self.fired += 1
            self.rectified(args[0].detach())
        elif name in _OTHERS and args[0].is_floating_point() and not _gates(args[0]):
            self.missed[name] = self.missed.get(name, 0) + 1
        return func(*args, **(kwargs or {}))


def _is_zero(bound: tuple[Any, ...]) -> bool:
    return len(bound) == 1 and bound[0] is not None and bool(bound[0] == 0)


def _gates(given: Tensor) -> bool:
    """Return whether a tensor has one value per channel, as the gate of squeeze-and-excite has."""
    return given.dim() == 4 and given.shape[2:].numel() == 1
