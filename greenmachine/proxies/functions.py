"""Apply a function proxy to a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from torch import Tensor, nn

from greenmachine.errors import ConfigError
from greenmachine.networks.batches import image_batch, label_batch, no_token_ids
from greenmachine.networks.layers import Coverage, coverage, fired_layers
from greenmachine.networks.outputs import Output, single_output
from greenmachine.networks.untouched import all_finite, refuse_unreadable
from greenmachine.neutral import neutral
from greenmachine.proxies.types import FunctionProxy

__all__ = [
    "NOT_FINITE",
    "NetworkScore",
    "as_number",
    "evaluate_function",
    "function_score",
    "name_of",
]


NOT_FINITE = "a weight of the network is not finite, so it has no score"


class NetworkScore(NamedTuple):
    """The score of one network.

    Attributes:
        value: the score.
        coverage: the part of the network's weights that the proxy reads; None for a proxy that is
            not computed layer by layer.
        finite: whether all weights of the network are finite.
    """

    value: float
    coverage: Coverage | None
    finite: bool = True

    @property
    def failure(self) -> str:
        """Why the score is not finite; empty for a finite score."""
        if math.isfinite(self.value):
            return ""
        return f"the score is {self.value}" if self.finite else NOT_FINITE


def function_score(
    proxy: FunctionProxy, model: nn.Module, images: Any, labels: Any = None, seed: int = 0
) -> float:
    """Return the score of :func:`evaluate_function`; warn if it covers only part of the network."""
    score = evaluate_function(proxy, model, images, labels, seed)
    if score.coverage is not None:
        score.coverage.warn()
    return score.value


def evaluate_function(
    proxy: FunctionProxy,
    model: nn.Module,
    images: Any,
    labels: Any = None,
    seed: int = 0,
    *,
    output: Output | None = None,
) -> NetworkScore:
    """Compute the score of ``model`` by ``proxy``; the model is left unchanged.

    It runs with torch's default settings and on one thread, as in a sweep, so that the score does
    not depend on the number of cores.

    Args:
        proxy: a proxy of the zoo, or your own.
        model: any network that the proxy can read, on any device.
        images: (B, C, H, W): images of the data set if ``proxy.passes`` is ``("data",)``, noise
            (``greenmachine.signals.passes.noise_images``) if it is ``("noise",)``. A proxy without
            a pass gets None for images and labels, whatever is given here.
        labels: (B,) class indices; needed if ``proxy.needs_labels``.
        seed: seed of everything random.
        output: which part of the returned value is the network's output; see ``pick_output``.

    Returns:
        The score. It may be infinite or NaN where the notes of the proxy say so; it is NaN if a
        weight or an output of the network is not finite.

    Raises:
        ConfigError: images or labels are missing.
        ValueError: the proxy cannot read this network, returned no number, or images or labels are
            not a batch.
    """
    if not proxy.passes:
        images = labels = None
    elif images is None:
        raise ConfigError(f"proxy {proxy.name!r} needs images: give a mini-batch")
    if proxy.needs_labels and labels is None:
        raise ConfigError(f"proxy {proxy.name!r} needs labels: give those of the images")
    refuse_unreadable(model)
    with neutral(), single_output(model, output) as finite, ExitStack() as stack:
        batch = None if images is None else image_batch(images, model)
        target = labels
        if batch is not None and labels is not None:
            target = label_batch(labels, len(batch)).to(batch.device)
        if batch is not None and not all_finite(model):
            return NetworkScore(math.nan, None, finite=False)
        if batch is not None and batch.is_floating_point():
            stack.enter_context(no_token_ids(model, tuple(batch.shape)))
        covered = None
        if proxy.layers_only:
            with fired_layers(model) as fired:
                value = as_number(proxy.name, proxy.function(model, batch, target, seed))
            covered = coverage(model, fired, lambda: model(batch), seed)
        else:
            value = as_number(proxy.name, proxy.function(model, batch, target, seed))
        return NetworkScore(value if all(finite) else math.nan, covered)


def as_number(name: str, value: Any) -> float:
    """Return what the function ``name`` returned as a number; a tensor may have a gradient.

    Raises:
        ValueError: it is not a number.
    """
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value.detach() if isinstance(value, Tensor) else value)
    except (TypeError, ValueError, RuntimeError):
        kind = type(value).__name__
        raise ValueError(f"{name} returned {kind}, not a number") from None


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, of the function in a partial, or of the class of an object."""
    inner = getattr(function, "func", function)
    return str(getattr(inner, "__name__", type(inner).__name__))
