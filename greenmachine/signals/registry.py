"""The registry of passes and of the signals that they provide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from greenmachine.errors import ConfigError
from greenmachine.plugins import when_forgotten
from greenmachine.primitives import vocabulary
from greenmachine.primitives.registry import (
    INPUT_TENSOR,
    LAYER_SCALAR,
    OUTPUT_TENSOR,
    WEIGHT_TENSOR,
)
from greenmachine.signals import passes
from greenmachine.signals.capture import Layer
from greenmachine.signals.paper_passes import MODE_SIGNALS, MODES
from greenmachine.signals.passes import Inputs

__all__ = ["PASSES", "SIGNALS", "TERMINALS", "Pass", "is_weight", "register_pass", "wanted_of"]

SIGNALS: dict[str, str] = {
    "input": INPUT_TENSOR,
    "output": OUTPUT_TENSOR,
    "norm_output": OUTPUT_TENSOR,
    "weight_grad": WEIGHT_TENSOR,
    "input_grad": INPUT_TENSOR,
    "output_grad": OUTPUT_TENSOR,
}
"""The signals that ``run_pass`` provides at a layer, and their kinds."""

PassFunction = Callable[[nn.Module, Inputs, set[str], int], list[Layer]]
"""Takes the network, the inputs, the signals to keep, and the seed of everything random; returns
the layers in execution order (``signals/capture.py``)."""


@dataclass(frozen=True)
class Pass:
    """A pass: what is sent through a network, and which signals it provides.

    Attributes:
        name: the first part of its terminals: pass ``noise`` provides ``noise_input``.
        function: see :data:`PassFunction`.
        signals: kind of every signal that it provides, by name.
        needs_images: whether it takes a labelled mini-batch of the data set.
        single: whether it sends one image, whose maps are repeated to the batch size of the others.
        double: whether its signals are float64.
    """

    name: str
    function: PassFunction
    signals: Mapping[str, str] = field(default_factory=lambda: SIGNALS)
    needs_images: bool = False
    single: bool = False
    double: bool = False

    @property
    def doc(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def terminals(self) -> dict[str, str]:
        """Kind of every terminal, by name."""
        return {f"{self.name}_{signal}": kind for signal, kind in self.signals.items()}


PASSES: dict[str, Pass] = {}
"""Every pass by name, in order of registration."""

TERMINALS: dict[str, str] = {"weight": WEIGHT_TENSOR, "depth": LAYER_SCALAR}
"""Every terminal of the typed language and its kind. ``depth`` is a layer's position, 1..L, in
execution order."""


def register_pass(
    name: str | None = None,
    *,
    signals: Mapping[str, str] = SIGNALS,
    needs_images: bool = False,
    single: bool = False,
    double: bool = False,
) -> Callable[[PassFunction], PassFunction]:
    """Register the decorated function, unchanged, as a pass.

    Args:
        name: name of the pass; None means the name of the function.
        signals: kind of every signal that it provides, ``WeightTensor``, ``InputTensor`` or
            ``OutputTensor``, by name; the default is the signals of ``run_pass``.
        needs_images: whether it takes a labelled mini-batch of the data set.
        single: whether it sends one image, whose maps are repeated to the batch size.
        double: whether its signals are float64.

    Raises:
        ConfigError: the name is taken or is not an identifier, a kind is not a tensor kind, or the
            function has no docstring.

    Examples:
        >>> @greenmachine.register_pass()
        ... def uniform(model, inputs, wanted, seed):
        ...     \"\"\"Images drawn from U(0, 1), gradient of the sum of the outputs.\"\"\"
        ...     generator = torch.Generator().manual_seed(seed)
        ...     images = torch.rand(inputs.shape, generator=generator).to(float_like(model))
        ...     return run_pass(model, images, torch.sum, wanted, seed=seed)
    """

    def register(function: Any) -> Any:
        made = Pass(
            function.__name__ if name is None else name,
            function,
            dict(signals),
            needs_images,
            single,
            double,
        )
        _add(made)
        return function

    return register


def _add(made: Pass) -> None:
    if not made.name.isidentifier() or made.name in PASSES or made.name in ("random", *MODES):
        raise ConfigError(
            f"pass {made.name!r}: the name is taken or not an identifier: choose another"
        )
    if not made.doc or not made.signals:
        raise ConfigError(f"pass {made.name!r} needs a docstring and at least one signal")
    if wrong := set(made.signals.values()) - {WEIGHT_TENSOR, INPUT_TENSOR, OUTPUT_TENSOR}:
        raise ConfigError(
            f"pass {made.name!r}: {', '.join(map(str, wrong))} is not a kind of tensor"
        )
    for terminal in made.terminals:
        if terminal in TERMINALS or terminal in MODE_SIGNALS or terminal in vocabulary:
            raise ConfigError(f"pass {made.name!r}: {terminal} already exists: choose another name")
    PASSES[made.name] = made
    TERMINALS.update(made.terminals)


@when_forgotten
def _forget(gone: Callable[[str], bool]) -> None:
    for made in list(PASSES.values()):
        if gone(made.function.__module__):
            del PASSES[made.name]
            for terminal in made.terminals:
                del TERMINALS[terminal]


def wanted_of(name: str, terminals: set[str]) -> set[str]:
    """Return the signals of pass ``name`` that ``terminals`` contain, without the prefix."""
    return {signal for signal in PASSES[name].signals if f"{name}_{signal}" in terminals}


def is_weight(name: str) -> bool:
    """Return whether terminal ``name`` has the shape of the weights; else that of feature maps."""
    if name in MODE_SIGNALS:
        return MODE_SIGNALS[name][1].startswith("weight")
    return TERMINALS[name] == WEIGHT_TENSOR


register_pass("data", needs_images=True)(passes.data_pass)
register_pass("noise")(passes.noise_pass)
register_pass("perturbed")(passes.perturbed_pass)
register_pass("ones", single=True, double=True)(passes.ones_pass)
