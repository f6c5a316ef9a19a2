"""What a proxy says of networks that are at hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor, nn

from greenmachine.engine import score_model
from greenmachine.errors import ConfigError, GreenMachineError
from greenmachine.language import Expression, parse
from greenmachine.proxies import ArchitectureProxy, FunctionProxy, Proxy, function_score, resolve
from greenmachine.signals.passes import noise_images

__all__ = ["rank", "score"]


def score(
    model: nn.Module,
    proxy: Proxy | str | Path,
    *,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
) -> float:
    """Return the score of one network: the same, bit for bit, as in a search or an export.

    The model is left as it was found: weights, gradients, running statistics, mode. The passes
    run on its device, and on the CPU on one thread: else the score would move with the cores.

    Args:
        model: any network with convolutions or linear layers.
        proxy: a proxy, the name of one, an expression, or the path of an exported ``.py`` or of
            a finished run.
        images: (B, C, H, W), a mini-batch as the network takes it. Proxies of noise use its
            shape alone; those of the data pass need the images themselves, and functions without
            a pass nothing at all.
        labels: (B,) class indices; needed by proxies of the data pass alone.
        shape: (B, C, H, W) of the noise where no images are given.
        seed: of the noise, and of randomness inside the network.

    Returns:
        The score; NaN where the formula has no value. ``Proxy.direction`` says whether high or
        low is good.

    Raises:
        ConfigError: no such proxy, it scores architectures and no networks, or images, labels or
            shape are missing or do not fit together.
        ExpressionError: the expression has a fault.
        RunError: the folder holds no finished run.
        Exception: whatever the network raises.

    Example:
        >>> greenmachine.score(model, "synflow", shape=(1, 3, 32, 32))
        >>> greenmachine.score(model, "snip", images=x, labels=y)
        >>> greenmachine.score(model, "sum_layers(l2_norm(noise_weight_grad))", images=x)
    """
    return _scorer(_proxy(proxy), images, labels, shape, seed)(model)


def rank(
    models: Mapping[str, nn.Module] | Iterable[nn.Module | tuple[str, nn.Module]],
    proxy: Proxy | str | Path,
    *,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the networks, the best by ``proxy`` first.

    Args:
        models: networks by name, or an iterable of them or of (name, network). From a generator
            they come and go one by one, so that they need not fit into memory together.
        proxy: see :func:`score`, as for the other arguments.
        images: (B, C, H, W).
        labels: (B,) class indices.
        shape: (B, C, H, W) of the noise where no images are given.
        seed: of the noise, and of randomness inside the networks.

    Returns:
        A row a network with ``name`` (its place, from 0, where it has none), ``score``, ``rank``
        (1 is the best, ties share one) and ``failure``: why there is no score, else empty. A
        network that raises has the score NaN; scores that are not finite rank last.

    Raises:
        ConfigError: there is no network, or as for :func:`score`.
        ExpressionError: the expression has a fault.
        RunError: the folder holds no finished run.

    Example:
        >>> greenmachine.rank({"small": a, "large": b}, "nwot_inputs", images=x)
        >>> tss = greenmachine.load_benchmark("nats-tss")
        >>> some = ((tss.archs[i], tss.build(i, "cifar10")) for i in range(100))
        >>> greenmachine.rank(some, "synflow", shape=(1, 3, 32, 32))
    """
    chosen = _proxy(proxy)
    scored = _scorer(chosen, images, labels, shape, seed)
    rows: list[tuple[str | int, float, str]] = []
    for name, model in _named(models):
        try:
            value = scored(model)
        except GreenMachineError:  # not the network's fault
            raise
        except Exception as error:  # a network may raise anything
            reason = (str(error).strip().splitlines() or [""])[0]
            rows.append((name, math.nan, f"{type(error).__name__}: {reason}"))
        else:
            rows.append((name, value, "" if math.isfinite(value) else f"the score is {value}"))
    if not rows:
        raise ConfigError("no networks to rank: models is empty")
    frame = pd.DataFrame(rows, columns=["name", "score", "failure"])
    merit = (chosen.direction * frame["score"]).where(np.isfinite(frame["score"]))
    places = merit.rank(ascending=False, method="min", na_option="bottom").astype(int)
    frame.insert(2, "rank", places)
    return frame.sort_values("rank", kind="stable", ignore_index=True)


def _proxy(proxy: Proxy | str | Path) -> Proxy:
    return proxy if isinstance(proxy, Proxy) else resolve(str(proxy))


def _named(
    models: Mapping[str, nn.Module] | Iterable[nn.Module | tuple[str, nn.Module]],
) -> Iterator[tuple[str | int, nn.Module]]:
    if isinstance(models, nn.Module):  # iterating over a Sequential would rank its layers
        raise ConfigError("rank takes several networks: a mapping, a list or a generator of them")
    if isinstance(models, Mapping):
        yield from models.items()
        return
    for place, item in enumerate(models):
        yield item if isinstance(item, tuple) else (place, item)


def _scorer(
    proxy: Proxy,
    images: Tensor | None,
    labels: Tensor | None,
    shape: Sequence[int] | None,
    seed: int,
) -> Callable[[nn.Module], float]:
    """Return what scores a network; faults of the arguments are found before the first one."""
    if isinstance(proxy, ArchitectureProxy):
        raise ConfigError(
            f"{proxy.name} scores architectures of {' or '.join(proxy.functions)}, no networks: "
            f"use `greenmachine score {proxy.name} --on BENCHMARK`"
        )
    if isinstance(proxy, FunctionProxy) and not proxy.passes:
        return partial(function_score, proxy, images=None, seed=seed)
    size = _shape(images, shape)
    needs_images = "data" in proxy.passes
    needs_labels = proxy.needs_labels if isinstance(proxy, FunctionProxy) else needs_images
    if (needs_images and images is None) or (needs_labels and labels is None):
        wanted = "images and labels" if needs_labels else "images"
        raise ConfigError(f"{proxy.name} looks at data: give {wanted}")
    if labels is not None and labels.shape != size[:1]:
        raise ConfigError(
            f"labels {tuple(labels.shape)} do not fit images {size}: give one label an image"
        )
    if isinstance(proxy, FunctionProxy):
        return partial(_by_function, proxy, images if needs_images else None, labels, size, seed)
    return partial(_by_expression, parse(proxy.expression), images, labels, size, seed)


def _by_expression(
    expression: Expression,
    images: Tensor | None,
    labels: Tensor | None,
    size: tuple[int, ...],
    seed: int,
    model: nn.Module,
) -> float:
    (value,) = score_model(model, [expression], size, images=images, labels=labels, seed=seed)
    return float(value)


def _by_function(
    proxy: FunctionProxy,
    images: Tensor | None,
    labels: Tensor | None,
    size: tuple[int, ...],
    seed: int,
    model: nn.Module,
) -> float:
    batch = noise_images(size, seed) if images is None else images
    return function_score(proxy, model, batch, labels, seed)


def _shape(images: Tensor | None, shape: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape of the images, given or to be drawn."""
    if images is None and shape is None:
        raise ConfigError("give images, or the shape=(B, C, H, W) of the noise")
    size = tuple(images.shape if images is not None else shape or ())
    if len(size) < 2 or any(side != int(side) or side < 1 for side in size):
        raise ConfigError(f"images of shape {size} are no batch: it is (B, C, H, W)")
    if images is not None and shape is not None and tuple(shape) != size:
        raise ConfigError(f"shape {tuple(shape)} is not that of the images, {size}: give one")
    return tuple(int(side) for side in size)
